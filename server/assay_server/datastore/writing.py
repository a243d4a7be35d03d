"""Which of SPIRE's operations it is to write an object, given what its transaction had found before: for metrics."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from assay.bundle import Bundle
from assay_server.model import FederationRelationship, Node

Found = Mapping[object, object]
Operation = tuple[str, ...]


def _node(found: Found, node: Node) -> Iterable[Operation]:
    known = found.get(node.spiffe_id)
    yield "node", "update" if isinstance(known, Node) else "create"
    if not isinstance(known, Node) or known.selectors != node.selectors:
        yield "node", "selectors", "set"


def _bundle(found: Found, bundle: Bundle) -> Iterable[Operation]:
    known = found.get(bundle.trust_domain)
    if not isinstance(known, Bundle):
        yield "bundle", "create" if bundle.trust_domain in found else "set"
    else:
        yield "bundle", "append" if _appends(known, bundle) else "set"


def _federation_relationship(found: Found, relationship: FederationRelationship) -> Iterable[Operation]:
    known = found.get(relationship.trust_domain)
    yield "federation_relationship", "create" if known is None else "update"


def _appends(known: Bundle, bundle: Bundle) -> bool:
    before, after = _authorities(known), _authorities(bundle)
    return before != after and all(new[: len(old)] == old for old, new in zip(before, after, strict=True))


def _authorities(bundle: Bundle) -> tuple[tuple[object, ...], ...]:
    return tuple(map(tuple, (bundle.x509_authorities, bundle.jwt_authorities, bundle.wit_authorities)))


WRITINGS: Mapping[str, Callable[[Found, Any], Iterable[Operation]]] = MappingProxyType(
    {"node": _node, "bundle": _bundle, "federation_relationship": _federation_relationship}
)
