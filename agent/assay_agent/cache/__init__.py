"""The agent's cache: what the server allows, what is signed, and who follows it."""

from assay_agent.cache.cache import Cache
from assay_agent.cache.subscription import Subscription
from assay_agent.cache.update import Update
from assay_agent.cache.view import Identity, WorkloadView

__all__ = ["Cache", "Identity", "Subscription", "Update", "WorkloadView"]
