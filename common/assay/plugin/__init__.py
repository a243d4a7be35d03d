"""Protocols that plugins implement; built-in ones are listed in each daemon's `plugins` package."""
