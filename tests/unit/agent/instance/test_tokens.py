"""Tokens of principals are kept where they stand on no task, and by no key that is tainted."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from assay.entry import Entry
from assay.errors import UnavailableError
from assay.selector import Selector
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay_agent.client.values import IssuedWit, PrincipalJwt
from assay_agent.instance.tokens import PrincipalTokens


@dataclass
class Server:
    authority: Authority
    clock: FakeClock
    task_id: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def new_instance_wit(self, entry_id: str, value: str, public_key: bytes, algorithm: str) -> IssuedWit:
        raise UnavailableError(f"none for {entry_id} {value} {len(public_key)} {algorithm}")

    async def new_instance_jwt(self, entry_id: str, value: str, audience: Sequence[str]) -> PrincipalJwt:
        self.asked.append((entry_id, value))
        path = f"/principal/pump/{value}"
        token = self.authority.jwt_svid(path, audience, jti=str(len(self.asked)))
        issued = int(self.clock.now().timestamp())
        return PrincipalJwt(token, self.authority.id(path), issued, issued + 300, self.task_id)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Server:
    return Server(Authority("example.org"), clock)


@pytest.fixture
def tokens(server: Server, clock: FakeClock) -> PrincipalTokens:
    return PrincipalTokens(server, clock, draw=lambda: 0.5)


@pytest.fixture
def entry(server: Server) -> Entry:
    authority = server.authority
    return Entry(
        "pumps", authority.id("/principal/pump"), authority.id("/agent"), (Selector("unix", "uid:1"),),
        principal="pump", instance_from="unix:process",
    )  # fmt: skip


async def test_each_instance_has_its_own_for_half_of_its_life(
    tokens: PrincipalTokens, server: Server, clock: FakeClock, entry: Entry
) -> None:
    await tokens.fetch(entry, "a", ["x"])  # by which it is known to stand on no task
    found = {(await tokens.fetch(entry, value, ["x"])).token for value, _ in itertools.product("ab", range(3))}
    assert len(found) == 2
    assert server.asked == [("pumps", "a"), ("pumps", "a"), ("pumps", "b")]
    clock.advance(151)
    await tokens.fetch(entry, "a", ["x"])
    assert len(server.asked) == 4


async def test_one_with_a_jti_of_its_own_is_never_kept(tokens: PrincipalTokens, server: Server, entry: Entry) -> None:
    for _ in range(3):
        await tokens.fetch(replace(entry, jwt_svid_include_jti=True), "a", ["x"])
    assert len(server.asked) == 3


async def test_those_of_a_task_are_asked_for_each_time(tokens: PrincipalTokens, server: Server, entry: Entry) -> None:
    server.task_id = "tsk_1"
    for _ in range(3):
        await tokens.fetch(entry, "a", ["x"])
    assert len(server.asked) == 3
    assert len(tokens) == 0


async def test_what_a_tainted_key_signed_is_not_handed_out(
    tokens: PrincipalTokens, server: Server, entry: Entry
) -> None:
    bundle = server.authority.bundle
    tokens.take_bundle(bundle)
    for _ in range(2):
        await tokens.fetch(entry, "a", ["x"])
    assert len(tokens) == 1
    (key,) = bundle.jwt_authorities
    tokens.take_bundle(replace(bundle, jwt_authorities=(replace(key, tainted=True),), sequence=2))
    assert len(tokens) == 0


async def test_other_sizes_and_other_keys_clear_it(tokens: PrincipalTokens, entry: Entry) -> None:
    for value in "aabcd":
        await tokens.fetch(entry, value, ["x"])
    assert len(tokens) == 4
    tokens.use(2, 30.0)
    assert len(tokens) == 2
    tokens.clear()
    assert len(tokens) == 0
