"""What verifiers of this host are told of credentials, as the server tells the agent (docs/status.md)."""
