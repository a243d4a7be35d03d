"""The ledger away from its server: what a record is, what links it to the one before, and what a checkpoint says."""
