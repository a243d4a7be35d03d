"""The Workload API server for tests, with our own client: what it answers, and what a test can make of it."""

import stat
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest
from grpc import aio

from assay.authorize import any_id
from assay.bundle import jwks
from assay.crypto.der import split
from assay.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
    UnimplementedError,
)
from assay.spiffeid import SpiffeId
from assay.svid import proof, wit
from assay.testing import InMemoryTrustDomain, WorkloadApiServer, WrongJwtSvid
from assay.verify import JwtVerifier, WitVerifier, X509Verifier
from assay.workloadapi import (
    Endpoint,
    NoIdentityError,
    WitBundleSource,
    WitSource,
    WorkloadApiClient,
    X509Context,
    X509Source,
)
from assay.workloadapi.wire import METADATA, Stub
from assay_proto.workloadapi import workloadapi_pb2 as pb

PATIENCE = 30.0


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    return InMemoryTrustDomain("example.org")


@pytest.fixture
async def server(domain: InMemoryTrustDomain) -> AsyncIterator[WorkloadApiServer]:
    async with WorkloadApiServer(domain) as server:
        yield server


@pytest.fixture
async def client(server: WorkloadApiServer) -> AsyncIterator[WorkloadApiClient]:
    async with WorkloadApiClient(Endpoint.parse(server.address)) as client:
        yield client


async def test_nobody_has_an_identity_until_it_is_served(server: WorkloadApiServer, client: WorkloadApiClient) -> None:
    asked: list[Awaitable[object]] = [
        client.fetch_x509(),
        client.fetch_jwt(["billing"]),
        anext(client.watch_x509_bundles()),
        anext(client.watch_jwt_bundles()),
        client.fetch_wit(),
        anext(client.watch_wit_bundles()),
    ]
    for call in asked:
        with pytest.raises(PermissionDeniedError, match=r"^no identity issued$"):
            await call
    server.serve("/api")
    assert (await client.fetch_x509()).default.spiffe_id == SpiffeId.parse("spiffe://example.org/api")


async def test_x509_svids_come_in_order_with_hints_names_and_bundles(
    server: WorkloadApiServer, client: WorkloadApiClient, domain: InMemoryTrustDomain
) -> None:
    other = InMemoryTrustDomain("other.org")
    domain.federate(other)
    server.serve("/second", hint="internal", ttl=60)
    server.serve("/first", hint="external", dns_names=["first.internal"])
    context = await client.fetch_x509()
    assert [(one.svid.spiffe_id.path, one.hint) for one in context.svids] == [
        ("/second", "internal"),
        ("/first", "external"),
    ]
    for one in context.svids:
        X509Verifier(domain, any_id()).verify(one.svid.chain)
    assert b"first.internal" in context.svids[1].svid.chain[0]
    assert context.svids[0].svid.not_after < context.svids[1].svid.not_after
    assert {name: list(ders) for name, ders in context.bundles.items()} == {
        one.trust_domain: [authority.der for authority in one.bundle.x509_authorities] for one in (domain, other)
    }


async def test_bundles_are_those_of_the_domain_and_its_friends(
    server: WorkloadApiServer, client: WorkloadApiClient, domain: InMemoryTrustDomain
) -> None:
    server.serve("/api")
    other = InMemoryTrustDomain("other.org")
    async with aclosing(client.watch_jwt_bundles()) as documents, aclosing(client.watch_x509_bundles()) as bundles:
        assert set(await anext(documents)) == set(await anext(bundles)) == {domain.trust_domain}
        domain.federate(other)
        assert set(await anext(bundles)) == {domain.trust_domain, other.trust_domain}
        found = (await anext(documents))[other.trust_domain]
        assert jwks.parse_jwt(other.trust_domain, found).jwt_authorities == other.bundle.jwt_authorities
        other.rotate_jwt_key(forget=True)
        found = (await anext(documents))[other.trust_domain]
        assert jwks.parse_jwt(other.trust_domain, found).jwt_authorities == other.bundle.jwt_authorities
        domain.unfederate(other)
        assert set(await anext(documents)) == {domain.trust_domain}


async def test_jwt_svids_are_for_all_identities_or_the_one_that_is_named(
    server: WorkloadApiServer, client: WorkloadApiClient, domain: InMemoryTrustDomain
) -> None:
    first, second = server.serve("/first"), server.serve("/second", hint="2")
    svids = await client.fetch_jwt(["billing", "audit"])
    assert [(one.spiffe_id, one.hint) for one in svids] == [(first, ""), (second, "2")]
    checked = JwtVerifier(domain, "audit", any_id()).verify(svids[0].token)
    assert (checked.spiffe_id, checked.audience) == (first, ("billing", "audit"))
    assert [one.spiffe_id for one in await client.fetch_jwt(["billing"], second)] == [second]
    with pytest.raises(PermissionDeniedError, match="no identity issued"):
        await client.fetch_jwt(["billing"], domain.id("/third"))


async def test_tokens_are_validated_in_earnest(
    server: WorkloadApiServer, client: WorkloadApiClient, domain: InMemoryTrustDomain
) -> None:
    server.serve("/api")
    other = InMemoryTrustDomain("other.org")
    domain.federate(other)
    own = await client.validate_jwt("billing", domain.jwt_svid("/caller", "billing", scope=["read"]))
    assert own.spiffe_id == domain.id("/caller")
    assert own.claims["scope"] == ["read"]
    foreign = await client.validate_jwt("billing", other.jwt_svid("/caller", "billing", scope=["read"], iat=None))
    assert set(foreign.claims) == {"sub", "aud", "exp"}
    for wrong in WrongJwtSvid:
        with pytest.raises(InvalidArgumentError):
            await client.validate_jwt("billing", domain.wrong_jwt_svid(wrong, "/caller", "billing"))


async def test_requests_without_what_they_must_have_are_refused(
    server: WorkloadApiServer, client: WorkloadApiClient, domain: InMemoryTrustDomain
) -> None:
    server.serve("/api")
    with pytest.raises(InvalidArgumentError, match="audience must be specified"):
        await client.fetch_jwt([])
    with pytest.raises(InvalidArgumentError, match="audience must be specified"):
        await client.validate_jwt("", domain.jwt_svid("/api", "billing"))
    with pytest.raises(InvalidArgumentError, match="svid must be specified"):
        await client.validate_jwt("billing", "")


async def test_calls_without_the_security_header_are_refused(server: WorkloadApiServer) -> None:
    server.serve("/api")
    async with aio.insecure_channel(Endpoint.parse(server.address).target) as channel:
        stub = Stub(channel)
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.fetch_jwt_svid(pb.JWTSVIDRequest(audience=["billing"]))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert server.calls == ()


async def test_wit_svids_come_with_their_keys_and_are_verified_by_the_bundles(
    server: WorkloadApiServer, client: WorkloadApiClient, domain: InMemoryTrustDomain
) -> None:
    other = InMemoryTrustDomain("other.test")
    domain.federate(other)
    server.serve("/api", hint="main")
    server.serve("/db")
    first, second = await client.fetch_wit(within=PATIENCE)
    assert [(one.spiffe_id.path, one.hint) for one in (first, second)] == [("/api", "main"), ("/db", "")]
    assert await client.fetch_wit(domain.id("/db"), within=PATIENCE) == (second,)
    with pytest.raises(PermissionDeniedError, match="no identity issued"):
        await client.fetch_wit(domain.id("/nobody"), within=PATIENCE)
    async with WitBundleSource(server.address) as bundles:
        assert set(bundles.bundles()) == {domain.trust_domain, other.trust_domain}
        verifier = WitVerifier(bundles, "here", any_id())
        for svid in (first.svid, other.wit_svid("/foreign")):
            token = proof.prove(svid, "here", domain.clock.now())
            assert verifier.verify(svid.token, token).spiffe_id == svid.spiffe_id


async def test_wit_svids_follow_rotation_and_new_keys_of_the_domain(
    server: WorkloadApiServer, domain: InMemoryTrustDomain
) -> None:
    server.serve("/api")
    async with WitSource(server.address) as source:
        seen = {source.svid().token}
        for change in (server.rotate, domain.rotate_wit_key, domain.rotate_x509_authority):
            version = source.version
            change()
            await source.changed(version, within=PATIENCE)
            seen.add(source.svid().token)
            wit.verify(source.svid().token, domain.bundles(), domain.clock.now())
        assert len(seen) == 4
        server.revoke("/api")
        await source.changed(source.version, within=PATIENCE)
        with pytest.raises(NoIdentityError):
            source.svid()


async def test_wit_can_fail_on_its_own(server: WorkloadApiServer, client: WorkloadApiClient) -> None:
    server.serve("/api")
    server.fail("UNIMPLEMENTED", rpc="FetchWITSVID")
    with pytest.raises(UnimplementedError):
        await client.fetch_wit(within=PATIENCE)
    assert (await client.fetch_x509(within=PATIENCE)).default.spiffe_id.path == "/api"
    server.recover(rpc="FetchWITSVID")
    assert await client.fetch_wit(within=PATIENCE)


async def test_streams_hear_of_every_change_at_once(
    server: WorkloadApiServer, client: WorkloadApiClient, domain: InMemoryTrustDomain
) -> None:
    server.serve("/api")
    async with aclosing(client.watch_x509(within=PATIENCE)) as updates:

        async def verified() -> X509Context:
            context = await anext(updates)
            for one in context.svids:
                X509Verifier(domain, any_id()).verify(one.svid.chain)
            return context

        first = await verified()
        server.rotate()
        second = await verified()
        assert second.default.serial != first.default.serial
        assert second.default.key_pkcs8 != first.default.key_pkcs8
        server.serve("/more")
        assert (await verified()).default == second.default
        server.revoke("/api")
        assert [one.svid.spiffe_id.path for one in (await verified()).svids] == ["/more"]
        domain.rotate_x509_authority(forget=True)
        assert (await verified()).default.spiffe_id == domain.id("/more")
        server.revoke("/more")
        with pytest.raises(PermissionDeniedError, match="no identity issued"):
            await anext(updates)


async def test_a_new_jwt_key_is_no_news_for_x509_streams(
    server: WorkloadApiServer, client: WorkloadApiClient, domain: InMemoryTrustDomain
) -> None:
    server.serve("/api")
    async with aclosing(client.watch_x509(within=PATIENCE)) as updates:
        before = (await anext(updates)).default
        domain.rotate_jwt_key()
        # It was answered after the streams had looked.
        await client.fetch_jwt(["billing"])
        server.serve("/more")
        after = await anext(updates)
        assert len(after.svids) == 2
        assert after.default == before


async def test_short_lived_svids_are_renewed_by_themselves(domain: InMemoryTrustDomain) -> None:
    async with (
        WorkloadApiServer(domain, ttl=2) as server,
        WorkloadApiClient(Endpoint.parse(server.address)) as client,
    ):
        server.serve("/long", ttl=3600)
        server.serve("/api")
        async with aclosing(client.watch_x509(within=PATIENCE)) as updates:
            seen = [(await anext(updates)).svids for _ in range(3)]
    assert len({svids[1].svid.serial for svids in seen}) == 3
    assert len({svids[0].svid.serial for svids in seen}) == 1


async def test_failures_are_what_the_test_says_until_it_recovers(
    server: WorkloadApiServer, client: WorkloadApiClient
) -> None:
    server.serve("/api")
    async with aclosing(client.watch_x509(within=PATIENCE)) as updates:
        await anext(updates)
        server.fail("UNAVAILABLE", "agent is busy")
        with pytest.raises(UnavailableError, match="agent is busy"):
            await anext(updates)
    with pytest.raises(UnavailableError):
        await client.fetch_jwt(["billing"])
    server.recover(rpc="FetchJWTSVID")
    await client.fetch_jwt(["billing"])
    with pytest.raises(UnavailableError):
        await client.fetch_x509()
    server.recover()
    server.fail(grpc.StatusCode.UNIMPLEMENTED, rpc="FetchJWTSVID")
    await client.fetch_x509()
    with pytest.raises(UnimplementedError):
        await client.fetch_jwt(["billing"])
    x509, jwt = "FetchX509SVID", "FetchJWTSVID"
    assert server.calls == (x509, jwt, jwt, x509, x509, jwt)


async def test_a_source_lives_through_a_restart(server: WorkloadApiServer, domain: InMemoryTrustDomain) -> None:
    server.serve("/api")
    address = server.address
    async with X509Source(server.address) as source:
        before, version = source.svid(), source.version
        server.stop()
        assert not server.path.exists()
        domain.rotate_x509_authority(forget=True)
        server.start()
        assert server.address == address
        await source.changed(version)
        assert source.svid().serial != before.serial
        X509Verifier(source, any_id()).verify(source.svid().chain)


def test_nothing_is_left_of_it(domain: InMemoryTrustDomain) -> None:
    with WorkloadApiServer(domain) as server:
        path = server.path
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_ISSOCK(path.stat().st_mode)
        server.start()
    assert not path.parent.exists()
    domain.rotate_jwt_key()
    with pytest.raises(FailedPreconditionError, match="with"):
        _ = server.address


def test_what_cannot_be_is_refused(domain: InMemoryTrustDomain) -> None:
    server = WorkloadApiServer(domain)
    server.serve("/api", hint="one")
    with pytest.raises(AlreadyExistsError):
        server.serve("/api")
    with pytest.raises(AlreadyExistsError):
        server.serve("/other", hint="one")
    with pytest.raises(NotFoundError):
        server.revoke("/other")
    with pytest.raises(InvalidArgumentError):
        server.fail("OK")
    with pytest.raises(InvalidArgumentError):
        server.fail("UNAVAILABLE", rpc="FetchX509")
    server.revoke("/api")
    server.serve("/other", hint="one")


def test_too_long_a_folder_is_refused_in_words(
    domain: InMemoryTrustDomain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    server = WorkloadApiServer(domain)
    with pytest.raises(InvalidArgumentError, match="TMPDIR"):
        server.start()
    assert not list(long.iterdir())


def test_what_happened_before_it_started_counts(domain: InMemoryTrustDomain) -> None:
    server = WorkloadApiServer(domain)
    server.serve("/api")
    domain.rotate_x509_authority(forget=True)
    with server, grpc.insecure_channel(Endpoint.parse(server.address).target) as channel:
        fetch = channel.unary_stream(
            "/SpiffeWorkloadAPI/FetchX509SVID", pb.X509SVIDRequest.SerializeToString, pb.X509SVIDResponse.FromString
        )
        (svid,) = next(fetch(pb.X509SVIDRequest(), metadata=METADATA, timeout=PATIENCE)).svids
    X509Verifier(domain, any_id()).verify(split(svid.x509_svid))
