"""Assay: SPIFFE values, transport and tools that both daemons and their users share.

PYTEST_DONT_REWRITE: a plugin for pytest is installed with this package, and a program that imports the package before
it runs pytest would be warned that it is too late to rewrite its assertions.
"""
