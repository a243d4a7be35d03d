from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from assay.cli.flags import DaemonFlags
from assay.cli.taking import taking
from assay.config.document import Document, KeyPath
from assay.config.fault import ConfigError

FLAGS: dict[KeyPath, str] = {
    ("server", "data_dir"): "--data-dir", ("server", "log_level"): "--log-level",
    ("server", "log_source_location"): "--log-source-location", ("server", "bind_port"): "--port",
}  # fmt: skip
WITHOUT = Document("command line", {})


@dataclass(frozen=True, kw_only=True)
class PortFlags(DaemonFlags):
    port: Annotated[str | None, typer.Option(help="The port.")] = None


def given(*arguments: str) -> tuple[PortFlags, int]:
    app = typer.Typer()
    seen: list[tuple[PortFlags, int]] = []

    @app.command()
    @taking(PortFlags)
    def run(flags: PortFlags, *, own: int = 3) -> None:
        """Docs."""
        seen.append((flags, own))

    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return seen[0]


def test_fields_become_options_beside_the_commands_own() -> None:
    flags, own = given("--port", "5", "--config", "x", "--expand-env", "--own", "4")
    assert flags == PortFlags(port="5", config=Path("x"), expand_env=True)
    assert own == 4
    assert given() == (PortFlags(), 3)


def test_only_what_was_given_overrides() -> None:
    flags, _ = given("--data-dir", "/d", "--port", "5", "--log-source-location")
    assert [(one.path[1], one.flag, one.value) for one in flags.overrides(FLAGS)] == [
        ("data_dir", "--data-dir", "/d"), ("log_source_location", "--log-source-location", True),
        ("bind_port", "--port", "5"),
    ]  # fmt: skip
    assert given()[0].overrides(FLAGS) == []


def test_the_document_is_the_file_named_the_default_or_none(tmp_path: Path) -> None:
    named, default = tmp_path / "named.conf", tmp_path / "default.conf"
    named.write_text('a = "$X"')
    assert PortFlags(config=named).document(default, WITHOUT, {"X": "1"}).data == {"a": "$X"}
    assert PortFlags(config=named, expand_env=True).document(default, WITHOUT, {"X": "1"}).data == {"a": "1"}
    assert PortFlags().document(default, WITHOUT, {}) is WITHOUT
    default.write_text("b = 1")
    assert PortFlags().document(default, WITHOUT, {}).data == {"b": 1}


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="could not find config file"):
        PortFlags(config=tmp_path / "no").document(tmp_path, WITHOUT, {})
