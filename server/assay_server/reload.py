"""What of the configuration takes effect in a running server."""

import asyncio
from dataclasses import dataclass

import structlog

from assay_server.attestation.service import AttestationService
from assay_server.authorization.authorizer import Authorizer
from assay_server.authorization.ratelimit import RateLimits
from assay_server.config import ServerConfig
from assay_server.endpoints.identity import ServerIdentity
from assay_server.plugins.builtin import Host, node_attestors

log = structlog.get_logger(__name__)

LIVE = frozenset({"admin_ids", "node_attestors", "rates"})


@dataclass(frozen=True, slots=True)
class LiveParts:
    """The parts whose settings can change under the calls that are being answered."""

    authorizer: Authorizer
    identity: ServerIdentity
    limits: RateLimits
    attestation: AttestationService
    host: Host

    async def apply(self, config: ServerConfig) -> None:
        """Take over `LIVE`. Node attestors are made anew, so that the files they name are read again.

        Raises:
            AssayError: a plugin refuses its data, or the bundles cannot be read; then nothing changes.
        """
        attestors = await asyncio.to_thread(node_attestors, config.node_attestors, self.host)
        await self.identity.admit(config.admin_ids)
        self.attestation.attestors = attestors
        self.authorizer.set_admin_ids(config.admin_ids)
        self.limits.set(config.rates)
        for plugin in config.node_attestors:
            if plugin.data:
                log.info("Plugin reconfigured", plugin_name=plugin.name, plugin_type="NodeAttestor")
