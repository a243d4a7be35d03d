"""Bundles that somebody is asked for: over HTTP, or on another agent's Workload API. Loaded only where configured."""

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import structlog

from assay.errors import AssayError, FailedPreconditionError, UnavailableError
from assay.spiffeid import TrustDomain
from assay.transport.web import fetch, shown
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay_agent.attestation.bootstrap import Attempt, BundleFormat, some
from assay_agent.storage.data import format_time

log = structlog.get_logger(__name__)

WITHIN = 60.0
"""Seconds that a source may take, SPIRE's for the Workload API."""


@dataclass(frozen=True, slots=True)
class UrlSource:
    """A document on the web (`trust_bundle_url`), or on `socket`, where a program of the site's gives it.

    That program is told, in the query, who asks and why: SPIRE's six parameters.
    """

    url: str
    format: BundleFormat
    socket: Path | None
    server: tuple[str, int]
    remote: bool = True

    async def fetch(self, attempt: Attempt) -> tuple[bytes, ...]:
        """What is there now."""
        url = self.url if self.socket is None else self._asking(attempt)
        log.debug("Fetching trust bundle", url=shown(url), socket=str(self.socket or ""))
        return self.format.parse(await fetch(url, self.socket, within=WITHIN), shown(url))

    def _asking(self, attempt: Attempt) -> str:
        parts = urlsplit(self.url)
        host, port = self.server
        # In the order of their names, as Go writes a query.
        query = sorted(
            [
                *parse_qsl(parts.query, keep_blank_values=True),
                ("spire-attest-mode", "rebootstrap" if attempt.again else "bootstrap"),
                ("spire-attest-start-time", format_time(int(attempt.started))),
                ("spire-connection-attempts", str(attempt.number)),
                ("spire-server-address", host),
                ("spire-server-port", str(port)),
                ("spiffe-trust-domain", self.format.trust_domain.name),
            ],
            key=lambda pair: pair[0],
        )
        return urlunsplit(parts._replace(query=urlencode(query)))


@dataclass(frozen=True, slots=True)
class WorkloadApiSource:
    """The trust domain's bundle on a Workload API (`trust_bundle_spiffe_workload_api`)."""

    address: str
    trust_domain: TrustDomain
    remote: bool = True

    async def fetch(self, attempt: Attempt) -> tuple[bytes, ...]:
        """What that API says now."""
        del attempt
        log.debug("Fetching trust bundle from SPIFFE Workload API", address=self.address)
        try:
            async with (
                WorkloadApiClient(Endpoint.parse(self.address)) as client,
                aclosing(client.watch_x509_bundles(within=WITHIN)) as updates,
            ):
                bundles = await anext(updates)
        except AssayError as error:
            raise UnavailableError(
                f"unable to fetch trust bundle from SPIFFE Workload API {self.address}: {error.message}",
                hint=error.hint,
            ) from error
        if self.trust_domain not in bundles:
            raise FailedPreconditionError(
                f"SPIFFE Workload API {self.address} did not provide a trust bundle for trust domain "
                f'"{self.trust_domain}"',
                hint="its agent is of another trust domain, and no entry that this process matches federates with ours",
            )
        return some(bundles[self.trust_domain], self.address)
