"""Test SPIFFE code without a daemon: a trust domain in memory, and a Workload API on a real socket.

What is named here is for everyone's tests; the other modules are for those of Assay itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.testing.clock import FakeClock
    from assay.testing.source import InMemorySource
    from assay.testing.status import InMemoryStatus
    from assay.testing.tasktoken import WrongTaskToken
    from assay.testing.trustdomain import InMemoryTrustDomain
    from assay.testing.workloadapi import WorkloadApiServer
    from assay.testing.wrongjwt import WrongJwtSvid
    from assay.testing.wrongx509 import WrongX509Svid

__all__ = [
    "FakeClock",
    "InMemorySource",
    "InMemoryStatus",
    "InMemoryTrustDomain",
    "WorkloadApiServer",
    "WrongJwtSvid",
    "WrongTaskToken",
    "WrongX509Svid",
]

_HOMES = {
    "FakeClock": "clock",
    "InMemorySource": "source",
    "InMemoryStatus": "status",
    "InMemoryTrustDomain": "trustdomain",
    "WorkloadApiServer": "workloadapi",
    "WrongJwtSvid": "wrongjwt",
    "WrongTaskToken": "tasktoken",
    "WrongX509Svid": "wrongx509",
}


def __getattr__(name: str) -> object:
    # Loaded when named: pytest loads the plugin beside it in every run, also for those who never use it.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
