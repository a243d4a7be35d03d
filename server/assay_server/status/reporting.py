"""How reports of verifiers are written down, whichever way they come."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from assay.spiffeid import SpiffeId
from assay_proto.status.v1 import status_pb2 as pb

Take: TypeAlias = Callable[[str, SpiffeId, int, Sequence[pb.Report]], Awaitable[int]]
"""Writes reports down: reporter, verifier, number of the first; answers the number of the last that is written down.

Raises AssayError for what cannot be written down, now or ever.
"""
