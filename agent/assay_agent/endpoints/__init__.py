"""The agent's Unix socket for workloads: the Workload API, reflection and health."""

from assay_agent.endpoints.endpoints import Endpoints

__all__ = ["Endpoints"]
