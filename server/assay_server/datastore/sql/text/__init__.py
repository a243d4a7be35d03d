"""The texts of the statements in ../statements, written by `make sql`."""
