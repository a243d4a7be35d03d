"""The listener over real sockets, asked by a foreign client and by nobody's."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from assay.config.health import HealthSettings
from assay.errors import FailedPreconditionError
from assay.health import listener as module
from assay.health.listener import HealthListener
from assay.health.serve import serve_health
from assay.health.state import of_error
from assay.testing.clock import FakeClock
from assay.testing.deployment import free_port


@dataclass
class House:
    port: int
    well: bool = True

    def live(self) -> tuple[bool, bytes]:
        return self.well, b'{"server":{}}\n'

    async def ask(self, path: str, method: str = "GET") -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.request(method, f"http://127.0.0.1:{self.port}{path}")

    async def send(self, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        return answer


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House(0)
    listener = HealthListener({"/live": house.live}, FakeClock())
    house.port = await listener.start("127.0.0.1", 0)
    yield house
    await listener.close()


async def test_well_is_200_and_ill_is_500(house: House) -> None:
    answer = await house.ask("/live")
    assert (answer.status_code, answer.content) == (200, b'{"server":{}}\n')
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["date"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    house.well = False
    assert (await house.ask("/live?verbose=1")).status_code == 500


async def test_a_head_has_no_body(house: House) -> None:
    answer = await house.ask("/live", "HEAD")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "14")


async def test_other_paths_are_not_there(house: House) -> None:
    answer = await house.ask("/")
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"GET /live HTTP/1.1\r\nA: " + b"x" * 20_000])
async def test_what_is_no_request_is_refused(house: House, data: bytes) -> None:
    assert (await house.send(data)).startswith(b"HTTP/1.1 4")
    assert (await house.ask("/live")).status_code == 200


async def test_a_caller_who_hangs_up_is_no_matter(house: House) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(b"GET /li")
    writer.close()
    assert (await house.ask("/live")).status_code == 200


async def test_only_so_many_are_heard_at_once(house: House) -> None:
    held = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(module.CONNECTIONS)]
    with pytest.raises(httpx.TransportError):
        await house.ask("/live")
    for _, writer in held:
        writer.close()
    for reader, _ in held:
        await reader.read()
    assert (await house.ask("/live")).status_code == 200


async def test_a_taken_port_is_refused_with_what_to_do(house: House) -> None:
    with pytest.raises(FailedPreconditionError, match=r"cannot listen on 127\.0\.0\.1:.*health_checks"):
        await HealthListener({}, FakeClock()).start("127.0.0.1", house.port)


async def test_a_daemon_goes_on_when_the_port_is_taken_or_nothing_is_asked_for(house: House) -> None:
    await serve_health(HealthSettings(True, "127.0.0.1", house.port), {}, FakeClock())
    await serve_health(HealthSettings(port=house.port), {}, FakeClock())


async def test_both_paths_tell_what_the_checks_found() -> None:
    async def ill() -> object:
        return of_error("list_bundle_err", "gone")

    clock, port = FakeClock(), free_port()
    async with asyncio.TaskGroup() as tasks:
        work = serve_health(HealthSettings(True, "127.0.0.1", port, "/l", "/r"), {"catalog.datastore": ill}, clock)  # type: ignore[dict-item]
        task = tasks.create_task(work)
        await clock.wait_sleepers()
        for path in ("/l", "/r"):
            answer = await House(port).ask(path)
            assert (answer.status_code, answer.json()) == (500, {"catalog.datastore": {"list_bundle_err": "gone"}})
        task.cancel()
