"""The agent's configuration: checked values that app.py wires the daemon from."""

from assay_agent.config.settings import DEFAULT_SOCKET_PATH, AgentConfig, BundleFormat

__all__ = ["DEFAULT_SOCKET_PATH", "AgentConfig", "BundleFormat"]
