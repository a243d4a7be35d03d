"""The server's configuration: checked values that app.py wires the daemon from."""

from assay_server.config.settings import CaSubject, ServerConfig

__all__ = ["CaSubject", "ServerConfig"]
