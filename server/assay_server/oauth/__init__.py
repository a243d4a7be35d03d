"""The token endpoint: OAuth as clients know it, before just-in-time credentials of tasks (docs/token-endpoint.md).

Loaded only where `assay { token_endpoint { } }` switches it on.
"""
