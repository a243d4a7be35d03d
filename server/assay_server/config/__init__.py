"""The server's configuration: checked values that app.py wires the daemon from."""

from assay_server.config.settings import DEFAULT_SOCKET_PATH, CaSubject, ServerConfig

__all__ = ["DEFAULT_SOCKET_PATH", "CaSubject", "ServerConfig"]
