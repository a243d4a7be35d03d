"""The ledger as it is stored: records in a chain, and checkpoints of it."""

from dataclasses import dataclass

from assay_server.model.governed.noun import Noun


@dataclass(frozen=True, slots=True)
class Head:
    """The last record: its number, which counts from 1 without a gap, and its hash; 0 and empty where there is none."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class LedgerRecord:
    """A record: `body` is its canonical form without its own hash (assay.ledger.record)."""

    number: int
    body: str
    hash: str


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """The records up to `number`, signed at `at` (Unix seconds); `token` is a JWS (assay.ledger.checkpoint)."""

    number: int
    at: int
    token: str


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """A public key (JWK) that signs checkpoints since then (Unix seconds); `kid` is its thumbprint."""

    kid: str
    jwk: dict[str, str]
    since: int


LEDGER_KEY = Noun("ledger_key", LedgerKey, key=lambda one: one.kid)
