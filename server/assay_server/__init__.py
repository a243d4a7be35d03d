"""The issuer daemon.

PYTEST_DONT_REWRITE: a plugin for pytest is installed with this package, and a program that imports the package before
it runs pytest would be warned that it is too late to rewrite its assertions.
"""
