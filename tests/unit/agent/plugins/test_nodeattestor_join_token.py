from pathlib import Path

import pytest

from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError
from assay_agent.plugins.nodeattestor_join_token import JoinTokenAttestor


async def test_the_payload_is_the_token() -> None:
    attestor = JoinTokenAttestor("token")
    assert attestor.type == "join_token"
    assert (await attestor.begin()).payload == b"token"


async def test_the_file_is_read_anew_at_each_attestation(tmp_path: Path) -> None:
    file = tmp_path / "token"
    attestor = JoinTokenAttestor(token_file=file)
    for token in ("one", "two"):
        file.write_text(f"{token}\n")
        assert (await attestor.begin()).payload == token.encode()


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match=str(tmp_path / "token")):
        await JoinTokenAttestor(token_file=tmp_path / "token").begin()


@pytest.mark.parametrize("content", [None, "", " \n"])
async def test_no_token_is_said_plainly(content: str | None, tmp_path: Path) -> None:
    file = None if content is None else tmp_path / "token"
    if file is not None:
        file.write_text(content or "")
    with pytest.raises(InvalidArgumentError, match="join token was not provided"):
        await JoinTokenAttestor(token_file=file).begin()


async def test_there_is_no_answer_to_a_challenge() -> None:
    conversation = await JoinTokenAttestor("token").begin()
    with pytest.raises(AssayError, match="server issued unexpected challenge"):
        await conversation.answer(b"challenge")


async def test_the_token_does_not_show() -> None:
    assert "token-value" not in repr(await JoinTokenAttestor("token-value").begin())
