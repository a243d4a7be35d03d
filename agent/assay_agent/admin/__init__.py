"""The agent's admin socket: the Delegated Identity API, Debug and Logger."""
