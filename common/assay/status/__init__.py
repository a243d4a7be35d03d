"""What verifiers know of credentials beside their signatures, and how old that knowledge is (docs/status.md)."""
