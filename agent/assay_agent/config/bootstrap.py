"""What goes together of the settings that say how an agent gets to know its server, in SPIRE's words."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from assay.config.document import Document
from assay.config.fault import Fault
from assay.errors import AssayError
from assay_agent.config.schema import AgentSection

_SOURCES = ("insecure_bootstrap", "trust_bundle_url", "trust_bundle_path", "trust_bundle_spiffe_workload_api")


def bootstrap_faults(document: Document, agent: AgentSection) -> list[Fault]:
    """Everything that contradicts itself or is missing."""
    return [document.fault(("agent", key), reason) for key, reason in _faults(agent)]


def _faults(agent: AgentSection) -> Iterator[tuple[str, str]]:
    if agent.join_token and agent.join_token_file:
        yield "join_token_file", "only one of join_token or join_token_file can be specified, not both"
    sources = [name for name in _SOURCES if getattr(agent, name)]
    if not sources:
        reason = (
            "trust_bundle_path, trust_bundle_url, or trust_bundle_spiffe_workload_api must be configured unless "
            "insecure_bootstrap is set; `assay bundle show` on the server prints the bundle"
        )
        yield "trust_bundle_path", reason
    for other in sources[1:]:
        place = "insecure_bootstrap" if agent.insecure_bootstrap else other
        yield place, f"only one of {sources[0]} or {other} can be specified, not both"
    yield from _url_faults(agent)
    if agent.trust_bundle_spiffe_workload_api:
        yield from _workload_api_faults(agent)
    if agent.insecure_bootstrap and agent.rebootstrap_mode != "never":
        yield "rebootstrap_mode", "insecure_bootstrap option can not be used with rebootstrapping"


def _url_faults(agent: AgentSection) -> Iterator[tuple[str, str]]:
    url, socket = agent.trust_bundle_url, agent.trust_bundle_unix_socket
    if not url:
        if socket and not agent.trust_bundle_spiffe_workload_api:
            yield "trust_bundle_unix_socket", "if trust_bundle_unix_socket is specified, so must be trust_bundle_url"
        return
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        yield "trust_bundle_url", f"unable to parse trust bundle URL: {error}"
        return
    if socket is None and parts.scheme != "https":
        yield "trust_bundle_url", "trust bundle URL must start with https://"
    elif socket is not None and parts.scheme != "http":
        yield "trust_bundle_url", "trust bundle URL must start with http:// when used with trust bundle unix socket"
    elif not named:
        yield "trust_bundle_url", "unable to parse trust bundle URL: it names no host"
    for prefix in ("spiffe-", "spire-") if socket else ():
        if any(key.startswith(prefix) for key, _ in parse_qsl(parts.query, keep_blank_values=True)):
            yield "trust_bundle_url", f"trust_bundle_url query params can not start with {prefix}"


def _workload_api_faults(agent: AgentSection) -> Iterator[tuple[str, str]]:
    from assay.workloadapi.address import Endpoint  # noqa: PLC0415 - where configured

    if agent.trust_bundle_unix_socket:
        reason = "trust_bundle_unix_socket can not be used with trust_bundle_spiffe_workload_api"
        yield "trust_bundle_unix_socket", reason
    try:
        Endpoint.parse(agent.trust_bundle_spiffe_workload_api)
    except AssayError as error:
        reason = "trust_bundle_spiffe_workload_api is not a valid SPIFFE Workload API endpoint address"
        yield "trust_bundle_spiffe_workload_api", f"{reason}: {error.message}"
