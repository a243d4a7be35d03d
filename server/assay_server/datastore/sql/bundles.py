"""Bundles, each with its authorities as one JSON text: they are read and written only together."""

import json
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping
from typing import Any

from assay.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay.entry import Entry
from assay.errors import FailedPreconditionError
from assay.spiffeid import TrustDomain
from assay_server.datastore.base import ChangeKind, Page
from assay_server.datastore.sql.changes import SqlChanges
from assay_server.datastore.sql.connection import Connection, Row
from assay_server.datastore.sql.entries import SqlEntries
from assay_server.datastore.sql.filters import page_of
from assay_server.datastore.sql.text import bundles as sql


class SqlBundles:
    """Implements base.Bundles."""

    def __init__(self, connection: Connection, changes: SqlChanges, entries: SqlEntries) -> None:
        self._connection = connection
        self._changes = changes
        self._entries = entries

    def get(self, trust_domain: TrustDomain) -> Bundle | None:
        """The bundle of that trust domain."""
        row = self._connection.row(sql.BY_NAME, {"wanted": trust_domain.name})
        return _bundle(row) if row else None

    def get_many(self, trust_domains: Collection[TrustDomain]) -> list[Bundle]:
        """Those there are, in order of creation."""
        wanted = json.dumps([trust_domain.name for trust_domain in trust_domains])
        return [_bundle(row) for row in self._connection.rows(sql.BY_NAMES, {"wanted": wanted})]

    def find(self, page: Page) -> tuple[list[Bundle], str]:
        """Bundles in order of creation, and the token of the next page (empty at the end)."""
        rows, token = page_of(self._connection, sql.LISTING, sql.AFTER, (), page)
        return [_bundle(row) for row in rows], token

    def count(self) -> int:
        """How many there are."""
        return int(self._connection.rows(sql.COUNT)[0][0])

    def put(self, bundle: Bundle) -> None:
        """Create or replace; the caller has set `sequence`."""
        name = bundle.trust_domain.name
        position = self._changes.append(ChangeKind.BUNDLE, name)
        contents = {
            "refresh_hint": bundle.refresh_hint,
            "sequence": _signed(bundle.sequence),
            "authorities": _authorities(bundle),
        }
        if not self._connection.run(sql.UPDATE, {"wanted": name, **contents}):
            self._connection.run(sql.INSERT, {"position": position, "trust_domain": name, **contents})

    def delete(self, trust_domain: TrustDomain) -> bool:
        """Whether there was one.

        Raises:
            FailedPreconditionError: entries federate with it.
        """
        if federated := self._connection.rows(sql.FEDERATED_ENTRIES, {"wanted": trust_domain.name})[0][0]:
            raise FailedPreconditionError(
                f"cannot delete bundle; federated with {federated} registration entries",
                hint="delete those entries, or choose to dissociate them",
            )
        deleted = self._connection.run(sql.DELETE, {"wanted": trust_domain.name})
        if deleted:
            self._changes.append(ChangeKind.BUNDLE, trust_domain.name)
        return bool(deleted)

    def federated_entries(self, trust_domain: TrustDomain) -> list[Entry]:
        """Entries that federate with it, in order of creation."""
        return self._entries.federated(trust_domain)


def _authorities(bundle: Bundle) -> str:
    kinds: dict[str, list[dict[str, object]]] = {
        "x509": [{"der": _text(a.der), "tainted": a.tainted} for a in bundle.x509_authorities],
        "jwt": [_key(a) for a in bundle.jwt_authorities],
    }
    # Most domains have none, and releases before them wrote none.
    if bundle.wit_authorities:
        kinds["wit"] = [_key(a) for a in bundle.wit_authorities]
    return json.dumps(kinds)


def _key(authority: JwtAuthority | WitAuthority) -> dict[str, object]:
    return {
        "key_id": authority.key_id,
        "public_key": _text(authority.public_key),
        "expires_at": authority.expires_at,
        "tainted": authority.tainted,
    }


def _bundle(row: Row) -> Bundle:
    _, trust_domain, refresh_hint, sequence, text = row
    kinds = json.loads(text)
    return Bundle(
        TrustDomain(trust_domain),
        tuple(X509Authority(b64decode(a["der"]), a["tainted"]) for a in kinds["x509"]),
        tuple(JwtAuthority(*_described(a)) for a in kinds["jwt"]),
        refresh_hint,
        sequence % 2**64,
        tuple(WitAuthority(*_described(a)) for a in kinds.get("wit", ())),
    )


def _described(key: Mapping[str, Any]) -> tuple[str, bytes, int, bool]:
    return key["key_id"], b64decode(key["public_key"]), key["expires_at"], key["tainted"]


def _signed(number: int) -> int:
    """An unsigned 64-bit number as the column takes it, whose integers have a sign."""
    return number - 2**64 if number >= 2**63 else number


def _text(data: bytes) -> str:
    return b64encode(data).decode()
