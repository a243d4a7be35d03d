"""Governed identities as both daemons and verifiers see them: authority, its digests, and the claims of tokens."""
