"""RPCs that nobody here serves, refused in the words of gRPC's Go library, which SPIRE's clients know."""

from assay.rpc.method import Method
from assay.rpc.method import unserved as refusing
from assay_server.authorization.table import RPCS

_SERVICES = frozenset(method.rpartition("/")[0] for method in RPCS)


def unserved(method: str) -> Method:
    """A method that answers UNIMPLEMENTED, whatever kind of RPC the caller takes it for."""
    return refusing(method, _words(method))


def _words(method: str) -> str:
    service, slash, name = method.removeprefix("/").rpartition("/")
    if not slash:
        return f'malformed method name: "{method}"'
    if method in RPCS:
        return f"method {name} not implemented"
    if f"/{service}" in _SERVICES:
        return f"unknown method {name} for service {service}"
    return f"unknown service {service}"
