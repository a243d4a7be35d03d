from dataclasses import fields
from typing import get_args

import pytest
from typer.models import OptionInfo

from assay.cli.flags import DaemonFlags
from assay.cli.options import AdminSocketOption, WorkloadSocketOption
from assay_agent.config.schema import FLAGS as AGENT_FLAGS
from assay_server.config.schema import FLAGS as SERVER_FLAGS


@pytest.mark.parametrize("option", [AdminSocketOption, WorkloadSocketOption])
def test_whether_a_socket_may_be_used_is_found_out_by_connecting(option: object) -> None:
    (info,) = [one for one in get_args(option) if isinstance(one, OptionInfo)]
    assert not info.readable


@pytest.mark.parametrize("flags", [SERVER_FLAGS, AGENT_FLAGS])
def test_every_common_flag_but_those_about_the_file_sets_a_key(flags: dict[tuple[str | int, ...], str]) -> None:
    names = {f"--{one.name.replace('_', '-')}" for one in fields(DaemonFlags)}
    assert names - set(flags.values()) == {"--config", "--expand-env"}
