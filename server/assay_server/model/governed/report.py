"""What verifiers tell of the use of credentials, and how far each has told it."""

from dataclasses import dataclass

from assay_server.model.governed.noun import Noun

REPORTER_KEPT = 30 * 24 * 3600
"""Seconds for which a reporter that is silent is remembered."""


@dataclass(frozen=True, slots=True)
class Report:
    """One use of a token, as a verifier tells it: nothing of it is known to be true but who tells it.

    `kind` and `outcome` are words that the wire has, `at` is the verifier's time (Unix seconds), `spiffe_id` who
    presented the token, `staleness` how old (seconds) the knowledge was that it was decided on.
    """

    kind: str
    at: int
    jti: str
    task_id: str = ""
    spiffe_id: str = ""
    audience: str = ""
    action: str = ""
    resource: str = ""
    outcome: str = ""
    reason: str = ""
    parameters_digest: str = ""
    data_class: str = ""
    decision_id: str = ""
    staleness: int = 0
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class Reporter:
    """One memory of a verifier: `last` is the number of the last report of its that is written down."""

    verifier: str
    name: str
    last: int
    at: int


REPORTER = Noun(
    "reporter",
    Reporter,
    key=lambda one: f"{one.verifier} {one.name}",
    terms=lambda one: [("verifier", one.verifier)],
    due=lambda one: one.at + REPORTER_KEPT,
)
