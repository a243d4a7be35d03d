"""Answers are kept for as long as they are true, and not more of them than there is room for."""

from collections.abc import Sequence

from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay_proto.spire.api.server.entry.v1.entry_pb2 import GetAuthorizedEntriesResponse as Response
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_server.api.entry_kept import KeptAnswers
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.index_state import Touched
from assay_server.authorization.view import AgentView
from assay_server.datastore.sql.store import SqlStore

TD = TrustDomain("example.org")


class Maker:
    """Makes answers of so many bytes, and counts them."""

    def __init__(self, size: int = 10) -> None:
        self.answer = [Response(entries=[Entry(hint=size * "x")])]
        self.made = 0

    async def __call__(self) -> Sequence[Response]:
        self.made += 1
        return self.answer


async def views(store: SqlStore, count: int) -> list[AgentView]:
    index = AuthorizedEntries(store, TD, FakeClock())
    return [await index.view(SpiffeId(TD, f"/spire/agent/{number}")) for number in range(count)]


async def test_an_answer_is_made_again_when_entries_changed_or_everything_may_have(store: SqlStore) -> None:
    [view] = await views(store, 1)
    kept, maker = KeptAnswers[Response](), Maker()
    for what, made in (
        (Touched(), 1),
        (Touched(node=True, trust_domains={TD}), 1),
        (Touched(entries={"a"}), 2),
    ):
        view.touch(what)
        for _ in range(2):
            assert await kept.get(view, None, maker) is maker.answer
        assert maker.made == made
    view.start_over()
    await kept.get(view, None, maker)
    assert maker.made == 3


async def test_what_changed_while_an_answer_was_made_makes_it_anew(store: SqlStore) -> None:
    [view] = await views(store, 1)
    kept, maker = KeptAnswers[Response](), Maker()

    async def interrupted() -> Sequence[Response]:
        view.touch(Touched(entries={"a"}))
        return await maker()

    await kept.get(view, None, interrupted)
    await kept.get(view, None, maker)
    assert maker.made == 2


async def test_answers_beyond_what_there_is_room_for_push_out_the_others(store: SqlStore) -> None:
    several = await views(store, 12)
    kept, maker = KeptAnswers[Response](most=1000), Maker(size=80)
    for view in (*several, several[-1], several[0]):
        await kept.get(view, None, maker)
    assert maker.made == 13


async def test_an_answer_of_more_than_a_quarter_is_not_kept(store: SqlStore) -> None:
    [view] = await views(store, 1)
    for size, made in ((220, 1), (260, 2)):
        kept, maker = KeptAnswers[Response](most=1000), Maker(size)
        for _ in range(2):
            await kept.get(view, None, maker)
        assert maker.made == made
