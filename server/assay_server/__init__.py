"""The issuer daemon."""
