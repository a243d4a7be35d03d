"""Protocols that plugins implement: those that a daemon's `plugins` package has, and other packages'."""
