"""The `assay` command: what is common to all its groups, and the groups that need no daemon's code."""
