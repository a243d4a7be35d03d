"""A ledger of ten records with checkpoints after the fifth and the last, its lines as an export has them."""

from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from assay.ledger.checkpoint import Checkpoint, CheckpointKeys, sign
from assay.ledger.export import Header, checkpoint_line
from assay.ledger.record import NOTHING, canonical, hash_of, record_line
from assay.ledger.verification import Trusted, Verdict, verify
from assay.spiffeid import TrustDomain

Lines = list[bytes]


@dataclass(frozen=True)
class Ledger:
    """Makes ledgers by one key, and verifies with it."""

    key: ec.EllipticCurvePrivateKey
    trust_domain: TrustDomain

    def token(self, count: int, head: str) -> str:
        return sign(self.key, Checkpoint(self.trust_domain, count, head, 1000 + count, "incarnation"))

    def lines(self, count: int, every: int, *, word: str = "", changed: int = 0) -> Lines:
        """An export; `word` is in each record from `changed` on."""
        previous, token, lines = NOTHING, "", list[str]()
        for number in range(1, count + 1):
            body = canonical(record(number, previous, word if number >= changed else ""))
            previous = hash_of(body)
            lines.append(record_line(body.decode(), previous))
            if not number % every or number == count:
                token = self.token(number, previous)
                lines.append(checkpoint_line(token))
        header = Header(self.trust_domain.name, "incarnation", 1, count, 2000, "", token)
        return [f"{line}\n".encode() for line in (header.line(), *lines)]

    def verdict(self, lines: Lines, *held: str, trust_domain: str = "") -> Verdict:
        wanted = TrustDomain(trust_domain) if trust_domain else None
        return verify(lines, Trusted(CheckpointKeys([self.key.public_key()]), held, wanted))


def record(number: int, previous: str, word: str = "") -> dict[str, Any]:
    return {
        "number": number, "previous": previous, "at": 1000 + number, "type": "decision", "actor": "local:0",
        "subject": f"dec_{number}", "task_id": "tsk_1", "principal": "bot", "actor_type": "ai_agent",
        "details": {"effect": "allow", "reason": f"Grüße {word}", "ttl": number},
    }  # fmt: skip


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    return Ledger(ec.generate_private_key(ec.SECP256R1()), TrustDomain("example.org"))


@pytest.fixture(scope="session")
def foreign() -> Ledger:
    """Another's, who says the same of another trust domain."""
    return Ledger(ec.generate_private_key(ec.SECP256R1()), TrustDomain("other.org"))


@pytest.fixture
def lines(ledger: Ledger) -> Lines:
    """Line 0 is the header, 1 to 5 records, 6 a checkpoint, 7 to 11 records, 12 a checkpoint."""
    return ledger.lines(10, 5)
