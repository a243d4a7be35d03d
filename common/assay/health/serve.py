"""The checks and the listener of a daemon, as one piece of work for its supervisor."""

from collections.abc import Mapping
from functools import partial

import structlog

from assay.clock import Clock
from assay.config.health import HealthSettings
from assay.errors import FailedPreconditionError
from assay.health.checker import Checker
from assay.health.state import Check, report

log = structlog.get_logger(__name__)


async def serve_health(settings: HealthSettings, checks: Mapping[str, Check], clock: Clock) -> None:
    """Check and answer until cancelled; at once done when it is switched off or its address cannot be had."""
    if not settings.enabled:
        return
    from assay.health.listener import HealthListener  # noqa: PLC0415 - few switch it on

    checker = Checker(checks, clock)
    pages = {
        settings.ready_path: partial(report, checker.states, "ready"),
        settings.live_path: partial(report, checker.states, "live"),
    }
    listener = HealthListener(pages, clock)
    try:
        await listener.start(settings.address, settings.port)
    except FailedPreconditionError as error:
        # As SPIRE: whoever asks for health finds nobody, and those who need SVIDs still get them.
        log.warning("Error serving health checks", error=str(error))
        return
    log.info("Serving health checks", address=f"{settings.address}:{settings.port}")
    try:
        await checker.run()
    finally:
        await listener.close()
