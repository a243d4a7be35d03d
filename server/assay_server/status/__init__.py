"""What verifiers are told of credentials that ended and of identities that count no more (docs/status.md)."""
