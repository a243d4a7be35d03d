"""The edge of the audit trail: what messages say of the calls that they are of."""
