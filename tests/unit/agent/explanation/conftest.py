"""A workload of user 1000, its agent and the entries that may be for it."""

from collections.abc import Callable
from typing import Any

import pytest

from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_agent.explanation.scene import AgentView, Node, Scene, ServerView, Workload

TD = TrustDomain("example.org")
AGENT = SpiffeId(TD, "/spire/agent/x509pop/here")
SEEN = frozenset(map(Selector.parse, ("unix:uid:1000", "unix:user:web", "unix:gid:1000")))
WITHHELD = {"unix": {"path": "discover_workload_path = true", "sha256": "discover_workload_path = true"}}
NOW = 1_000_000

MakeEntry = Callable[..., Entry]
MakeScene = Callable[..., Scene]


@pytest.fixture
def entry() -> MakeEntry:
    """An entry below the agent for the selectors given; `parent` and `name` are paths."""

    def make(*selectors: str, name: str = "/web", parent: str = AGENT.path, **fields: Any) -> Entry:  # noqa: ANN401 - fields of Entry
        return Entry(
            id=fields.pop("id", f"id-of{name}".replace("/", "-")),
            spiffe_id=SpiffeId(TD, name),
            parent_id=SpiffeId(TD, parent),
            selectors=tuple(sorted(map(Selector.parse, selectors))),
            **fields,
        )

    return make


@pytest.fixture
def scene() -> MakeScene:
    """The scene with those entries at the server; those below the agent are held by it and signed."""

    def make(
        *entries: Entry,
        held: tuple[Entry, ...] | None = None,
        nodes: tuple[Node, ...] = (Node(AGENT),),
        asked: bool = True,
        workload: Workload | None = None,
        **agent: Any,  # noqa: ANN401 - fields of AgentView
    ) -> Scene:
        kept = tuple(one for one in entries if one.parent_id == AGENT) if held is None else held
        view: dict[str, Any] = {
            "spiffe_id": AGENT,
            "attestors": WITHHELD,
            "held": {one.id: one for one in kept},
            "signed": {one.id for one in kept},
            **agent,
        }
        return Scene(
            trust_domain=TD,
            workload=workload or Workload(pid=7, uid=1000, selectors=SEEN),
            agent=AgentView(**view),
            server=ServerView(entries, {one.spiffe_id: one for one in nodes}) if asked else None,
            now=NOW,
        )

    return make
