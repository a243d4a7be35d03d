import asyncio
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from assay.entry import Entry
from assay.keymanager.base import KeyType
from assay.spiffeid import SpiffeId
from assay_agent.sync.csrs import batch_limit, make_requests

ENTRY = Entry("a", SpiffeId.parse("spiffe://example.org/a"), SpiffeId.parse("spiffe://example.org/b"), ())


@pytest.mark.spec("ID-3.2-b")
async def test_every_entry_gets_its_own_key_and_request() -> None:
    made = await make_requests([ENTRY, replace(ENTRY, id="b")], KeyType.EC_P256)
    assert [one.entry.id for one in made] == ["a", "b"]
    requests = [x509.load_der_x509_csr(one.csr) for one in made]
    assert all(one.is_signature_valid for one in requests)
    assert [one.public_key() for one in requests] == [one.key.public_key() for one in made]
    assert requests[0].public_key() != requests[1].public_key()


@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
async def test_the_configured_kind_of_key_is_made(key_type: KeyType) -> None:
    (made,) = await make_requests([ENTRY], key_type)
    if key_type is KeyType.RSA_2048:
        assert isinstance(made.key, rsa.RSAPrivateKey)
    else:
        assert isinstance(made.key, ec.EllipticCurvePrivateKey)
        assert made.key.curve.key_size == int(key_type.value[-3:])


async def test_other_tasks_run_while_a_batch_is_made() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        counter = group.create_task(count())
        await make_requests([ENTRY] * 64, KeyType.EC_P256)
        counter.cancel()
    assert turns >= 8


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_batch_is_one_that_spires_server_signs(key_type: KeyType) -> None:
    assert 1 <= batch_limit(key_type) <= 500


@pytest.mark.spec("ID-3.2-b")
async def test_the_key_does_not_show() -> None:
    (made,) = await make_requests([ENTRY], KeyType.EC_P256)
    assert "PrivateKey" not in repr(made)
