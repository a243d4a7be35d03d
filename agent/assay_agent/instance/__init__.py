"""Instances of principals: which one a process is, and the SVIDs that are its own."""
