"""JWT-SVIDs that were fetched, and how long each may be handed out again."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from assay.backoff import Backoff
from assay.errors import AssayError
from assay.spiffeid import SpiffeId
from assay.svid import JwtSvid
from assay.svid.jwt import parse
from assay.workloadapi.errors import MalformedResponseError
from assay.workloadapi.values import HintedJwtSvid

MAX_KEPT = 1024
"""Answers that are kept: an audience may be made of what a caller sent."""

# The last part of a token's life in which it is not handed out again: it has still to travel.
_LAST = 0.1


@dataclass(frozen=True, slots=True)
class Request:
    """What a token was asked for."""

    audience: tuple[str, ...]
    spiffe_id: SpiffeId | None


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was parsed, with the operator's hint."""

    svid: JwtSvid = field(repr=False)
    hint: str

    @property
    def spiffe_id(self) -> SpiffeId:
        """Whose it is."""
        return self.svid.spiffe_id


@dataclass(frozen=True, slots=True)
class Answer:
    """Tokens that came together. Times are Unix seconds."""

    tokens: tuple[Token, ...]
    received_at: float
    failures: int = 0
    retry_at: float = 0

    def usable(self, now: float) -> bool:
        """Whether each of them has enough of its life before it to be handed out again."""
        return now < self._at(1 - _LAST)

    def due(self, now: float) -> bool:
        """Whether to ask for new ones: half of their life is over, and the last attempt is long enough ago."""
        return now >= max(self._at(0.5), self.retry_at)

    def failed(self, now: float, draw: float, backoff: Backoff) -> "Answer":
        """After an attempt to renew it that failed."""
        failures = self.failures + 1
        return Answer(self.tokens, self.received_at, failures, now + backoff.delay(failures, draw))

    def _at(self, part: float) -> float:
        """When that part of the life they had on arrival is over: `iat` is the issuer's clock, and optional."""
        end = min(token.svid.expires_at for token in self.tokens)
        return self.received_at + (end - self.received_at) * part


class Tokens:
    """Answers by what was asked for; beyond `MAX_KEPT` the one not used for longest goes."""

    def __init__(self) -> None:
        self._answers: OrderedDict[Request, Answer] = OrderedDict()

    def get(self, request: Request, now: float) -> Answer | None:
        """The answer, while it may be handed out again."""
        answer = self._answers.get(request)
        if answer is None or not answer.usable(now):
            return None
        self._answers.move_to_end(request)
        return answer

    def put(self, request: Request, answer: Answer) -> None:
        """Keep it."""
        self._answers[request] = answer
        self._answers.move_to_end(request)
        while len(self._answers) > MAX_KEPT:
            self._answers.popitem(last=False)

    def drop(self, request: Request) -> None:
        """Forget the answer."""
        self._answers.pop(request, None)


def checked(request: Request, svids: tuple[HintedJwtSvid, ...], now: datetime) -> Answer:
    """The agent's answer as tokens that are what was asked for; their signatures are the agent's affair.

    Raises:
        MalformedResponseError: one is no JWT-SVID, has expired, or is for another identity or audience.
    """
    return Answer(tuple(_token(request, one, now.timestamp()) for one in svids), now.timestamp())


def _token(request: Request, one: HintedJwtSvid, now: float) -> Token:
    try:
        svid = parse(one.token)
    except AssayError as error:
        raise _malformed(error.message) from None
    if svid.spiffe_id != one.spiffe_id or (request.spiffe_id is not None and svid.spiffe_id != request.spiffe_id):
        raise _malformed(f"the token is that of {svid.spiffe_id}, not of {request.spiffe_id or one.spiffe_id}")
    if not set(request.audience) <= set(svid.audience):
        raise _malformed("the token is not for the audience that was asked for")
    if svid.expires_at <= now:
        raise _malformed(f"the token of {svid.spiffe_id} has expired")
    return Token(svid, one.hint)


def _malformed(why: str) -> MalformedResponseError:
    return MalformedResponseError(f"malformed Workload API response: {why}")
