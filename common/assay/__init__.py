"""Assay: SPIFFE values, transport and tools that both daemons and their users share."""
