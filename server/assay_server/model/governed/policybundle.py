"""Reviewed rules, as they were pushed: all versions are kept, one is live."""

from dataclasses import dataclass, field

from assay_server.model.governed.noun import Noun


@dataclass(frozen=True, slots=True)
class PolicyBundle:
    """One version. `files` are policy files by name, `tests` the golden tables; `digest` is over all of that.

    `signature` is a JWS over the digest by whoever pushed it, empty for the set that is shipped (version 0).
    """

    version: int
    digest: str
    schema_version: int
    files: dict[str, str] = field(default_factory=dict[str, str])
    tests: str = ""
    signature: str = ""
    pushed_at: int = 0
    pushed_by: str = ""
    rolled_back_from: int = 0


@dataclass(frozen=True, slots=True)
class LivePolicy:
    """Which version is live, and the highest there ever was: a version never comes again with other contents."""

    version: int
    highest: int


POLICY_BUNDLE = Noun("policy_bundle", PolicyBundle, key=lambda one: f"{one.version:09}")
LIVE_POLICY = Noun("live_policy", LivePolicy, key=lambda _: "live")
