"""The agent's configuration: checked values that app.py wires the daemon from."""

from assay_agent.config.settings import AgentConfig

__all__ = ["AgentConfig"]
