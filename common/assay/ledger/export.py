"""An export of the ledger: lines of JSON, first what it is, then records, and checkpoints after those that they end in.

The first line is `{"assay_ledger": 1, "trust_domain": .., ..}`, a record `{"actor": .., "hash": .., "number": 1, ..}`,
a checkpoint `{"checkpoint": "eyJ.."}`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from assay.errors import InvalidArgumentError

VERSION = 1
MAX_LINE = 1 << 20
"""Octets; a record has a few hundred."""

_VERSION = "assay_ledger"
_CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Header:
    """The first line. `first` and `last` are numbers of records, `last` is 0 and less than `first` where there is none.

    `anchor` is the checkpoint that the first record follows, empty for record 1; `checkpoint` the one that the last
    record ends in. `part` names what alone is in it (`task_id`, `principal`): such an export cannot be verified as a
    whole.
    """

    trust_domain: str
    incarnation: str
    first: int
    last: int
    exported_at: int
    anchor: str = ""
    checkpoint: str = ""
    part: Mapping[str, str] = field(default_factory=dict[str, str])

    def line(self) -> str:
        """As the export begins."""
        return json.dumps({_VERSION: VERSION, **asdict(self)})


def checkpoint_line(token: str) -> str:
    """A checkpoint among the records."""
    return json.dumps({_CHECKPOINT: token})


def checkpoint_of(line: Mapping[str, Any]) -> str | None:
    """The checkpoint that this line is; None if it is another."""
    token = line.get(_CHECKPOINT)
    return token if isinstance(token, str) and len(line) == 1 else None


def header_of(line: Mapping[str, Any]) -> Header:
    """An export's first line.

    Raises:
        InvalidArgumentError: it is none, or of a version that is not known.
    """
    if _VERSION not in line:
        raise InvalidArgumentError("this is no export of a ledger", hint="make one with `assay ledger export`")
    if line[_VERSION] != VERSION:
        raise InvalidArgumentError(f"the export is of version {str(line[_VERSION])[:20]}, and {VERSION} is known here")
    match line:
        case {
            "trust_domain": str(trust_domain),
            "incarnation": str(incarnation),
            "first": int(first),
            "last": int(last),
            "exported_at": int(at),
            "anchor": str(anchor),
            "checkpoint": str(checkpoint),
            "part": dict(),
        } if first > 0:
            part = {str(name): str(value) for name, value in cast("dict[object, object]", line["part"]).items()}
            return Header(trust_domain, incarnation, first, last, at, anchor, checkpoint, part)
        case _:
            raise InvalidArgumentError("the export's first line does not say what it has to")
