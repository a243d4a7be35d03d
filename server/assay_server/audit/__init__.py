"""The audit trail: who called what, on which object, and how that ended (docs/audit.md)."""
