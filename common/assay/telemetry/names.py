"""Names of RPCs and statuses as SPIRE's metrics and audit lines spell them."""

from functools import cache

_SERVICES = {
    "grpc.health.v1.Health": "Health", "logger.v1.Logger": "Logger", "SpiffeWorkloadAPI": "WorkloadAPI",
    "envoy.service.secret.v3.SecretDiscoveryService": "SDS.v3", "spire.api.agent.logger.v1.Logger": "Logger",
    "spire.agent.debug.v1.Debug": "Debug",
    "spire.api.agent.delegatedidentity.v1.DelegatedIdentity": "DelegatedIdentity",
}  # fmt: skip
# The rule below would part them elsewhere; dashboards know them so.
_METHODS = {"SubscribeToX509SVIDs": "subscribe_to_x509_svids"}


@cache
def status_name(name: str) -> str:
    """Go's name for a status: `InvalidArgument` for INVALID_ARGUMENT."""
    if name in {"OK", "CANCELLED"}:
        return {"OK": "OK", "CANCELLED": "Canceled"}[name]
    return "".join(word.capitalize() for word in name.split("_"))


def service_name(path: str) -> str:
    """The service of a full method name, in SPIRE's short form: `entry.v1.Entry`."""
    service = path[1:].rpartition("/")[0].replace("spire.api.server.", "")
    return _SERVICES.get(service, service)


def method_name(path: str) -> str:
    """The method of a full method name."""
    return path.rpartition("/")[2]


def rpc_key(path: str) -> tuple[str, ...]:
    """The key of an RPC's call counter: `rpc.entry.v1.entry.count_entries`."""
    method = method_name(path)
    return ("rpc", *map(_snake, service_name(path).split(".")), _METHODS.get(method) or _snake(method))


def _snake(name: str) -> str:
    """Words of a name in PascalCase with underscores between; runs of capitals stay one word."""
    out = ""
    for at, character in enumerate(name):
        if not character.isalnum():
            out += "_"
            continue
        beside = name[at + 1 : at + 2], name[at - 1 : at]
        begins = character.isupper() and 0 < at < len(name) - 1 and any(one.islower() for one in beside)
        out += f"_{character.lower()}" if begins and not out.endswith("_") else character.lower()
    return out
