"""Server-sent events: what a verifier with an X.509-SVID and plain HTTP is told, and what it says back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import ParseDict

from assay.status.view import StatusView
from assay_proto.status.v1 import status_pb2 as pb
from assay_server.datastore.base import Transaction
from assay_server.governance.ending import end_tasks
from assay_server.model.governed.task import TASK

Endpoint = Any
TOOL = "/tool"


class Events:
    """The events of a stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()
        self.last_id = ""

    async def next(self) -> tuple[str, dict[str, Any]]:
        event, found = "", {}
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "event":
                event = value
            elif name == "data":
                found = json.loads(value)
            elif not line:
                return event, found
        raise EOFError

    async def update(self) -> dict[str, Any]:
        kind, found = await self.next()
        assert kind == "update"
        return found


@asynccontextmanager
async def listening(endpoint: Endpoint, path: str = TOOL, last_id: str = "") -> AsyncIterator[Events]:
    headers = {"last-event-id": last_id.encode()} if last_id else {}
    async with (
        endpoint.client(path) as client,
        client.stream("GET", "/status/events", headers=headers, timeout=30) as answer,
    ):
        yield Events(answer)


async def say(endpoint: Endpoint, page: str, said: object, path: str = TOOL) -> httpx.Response:
    async with endpoint.client(path) as client:
        found: httpx.Response = await client.post(page, content=said if isinstance(said, bytes) else json.dumps(said))
        return found


@pytest.fixture
async def jti(endpoint: Endpoint, form: dict[str, str]) -> str:
    answer = await endpoint.post("/token", form, path="/principal/bot")
    found = (
        await endpoint.post(
            "/introspect", {"token": answer.json()["access_token"], "client_id": "spiffe://example.org/tool"}, path=TOOL
        )
    ).json()
    return str(found["jti"])


async def end_task(endpoint: Endpoint) -> None:
    def end(tx: Transaction) -> None:
        task = tx.governed.get(TASK, "tsk_1")
        assert task is not None
        end_tasks(tx, [task], "operator", "local", endpoint.now)

    await endpoint.store.write(end)


async def test_a_verifier_hears_of_a_revocation_and_confirms_it(endpoint: Endpoint, jti: str) -> None:
    view = StatusView()
    async with listening(endpoint) as events:
        assert events.answer.headers["content-type"].startswith("text/event-stream")
        kind, named = await events.next()
        assert kind == "stream"
        view.apply(ParseDict(await events.update(), pb.Update()), endpoint.now)
        assert (view.age(endpoint.now), view.allowed_age("consequential_read")) == (0, 60)
        await end_task(endpoint)
        position = endpoint.feed.position
        async with asyncio.TaskGroup() as tasks:
            confirming = tasks.create_task(endpoint.feed.confirmed(position, 30))
            view.apply(ParseDict(await events.update(), pb.Update()), endpoint.now)
            assert view.revoked(jti)
            assert view.position >= position
            answer = await say(endpoint, "/status/held", {"position": view.position, "stream": named["stream"]})
            assert answer.status_code == 204
        found = confirming.result()
    assert (found.verifiers, found.confirmed) == (1, 1)


async def test_who_goes_on_is_told_what_happened_since(endpoint: Endpoint, jti: str) -> None:
    async with listening(endpoint) as events:
        await events.next()
        assert (await events.update())["snapshot"]
        last_id = events.last_id
    await end_task(endpoint)
    async with listening(endpoint, last_id=last_id) as events:
        await events.next()
        update = await events.update()
    assert not update["snapshot"]
    assert [one["jti"] for one in update["revoked"]] == [jti]


@pytest.mark.parametrize("last_id", ["restored:7", "x", ":", "a:b", "a:-1", "a:²", "a:" + "9" * 5000])
async def test_who_holds_something_else_begins_anew(endpoint: Endpoint, last_id: str) -> None:
    async with listening(endpoint, last_id=last_id) as events:
        await events.next()
        assert (await events.update())["snapshot"]


async def test_without_a_certificate_there_is_nothing(endpoint: Endpoint) -> None:
    async with listening(endpoint, path="") as events:
        assert events.answer.status_code == 401
    assert (await say(endpoint, "/status/held", {"position": 1}, path="")).status_code == 401
    assert (await say(endpoint, "/status/reports", {}, path="")).status_code == 401


async def test_nobody_confirms_for_somebody_else(endpoint: Endpoint) -> None:
    async with listening(endpoint) as events:
        _, named = await events.next()
        other = await say(endpoint, "/status/held", {"position": 1, "stream": named["stream"]}, path="/other")
        assert other.status_code == 409
        async with listening(endpoint) as second:
            await second.next()
            both = await say(endpoint, "/status/held", {"position": 1})
            assert (both.status_code, both.json()["error_description"]) == (
                409,
                "name the stream, as its first event does",
            )


@pytest.mark.parametrize(
    "said", [b"", b"[]", b"{", b'{"position": "1"}', b'{"position": -1}', b'{"position": true}', b"[" * 9000]
)
async def test_what_is_no_position_is_refused(endpoint: Endpoint, said: bytes) -> None:
    assert (await say(endpoint, "/status/held", said)).status_code == 400


async def test_a_stream_ends_with_the_svid_that_opened_it(endpoint: Endpoint) -> None:
    async with listening(endpoint) as events:
        await events.next()
        await events.update()
        endpoint.clock.advance(3601)
        with pytest.raises(EOFError):
            while True:
                await events.next()


async def test_reports_are_put_down_to_whom_the_certificate_names(endpoint: Endpoint) -> None:
    said = {"reporter": "r1", "first": 5, "reports": [{"kind": "tool.use", "at": 1, "jti": "crd_1"}, {"jti": "crd_2"}]}
    answer = await say(endpoint, "/status/reports", said)
    assert answer.json() == {"reporter": "r1", "last": 6}
    assert endpoint.reports.batches == [("r1", "spiffe://example.org/tool", 5, ["crd_1", "crd_2"])]


@pytest.mark.parametrize("said", [{"reports": [{"password": "x"}]}, {"first": -1}, {"reports": 7}])
async def test_reports_that_are_none_are_refused(endpoint: Endpoint, said: dict[str, Any]) -> None:
    assert (await say(endpoint, "/status/reports", said)).status_code == 400
    assert not endpoint.reports.batches


async def test_too_much_at_once_is_refused(endpoint: Endpoint) -> None:
    assert (await say(endpoint, "/status/reports", b"x" * 300_000)).status_code == 413
