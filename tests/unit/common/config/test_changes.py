"""Which settings differ, and which of them a running daemon takes over."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from assay.config.changes import Changes, compare, in_effect
from assay.config.logging import LogSettings
from assay.config.plugin import Plugin


@dataclass(frozen=True)
class Config:
    ca_ttl: int = 1
    rates: int = 1
    node_attestors: tuple[Plugin, ...] = ()
    log: LogSettings = field(default_factory=LogSettings)


LIVE = {"rates", "node_attestors"}
OLD = Config()
NEW = Config(
    2,
    rates=2,
    node_attestors=(Plugin("x509pop", {"ca_bundle_path": "a"}),),
    log=LogSettings(level="debug", file=Path("x")),
)


def test_equal_configurations_have_no_changes() -> None:
    assert compare(OLD, Config(), LIVE) == Changes((), ())


def test_changes_are_told_by_the_keys_of_the_file() -> None:
    assert compare(OLD, NEW, LIVE) == Changes(
        live=("ratelimit", "plugins.NodeAttestor", "log_level"), restart=("ca_ttl", "log_file")
    )


def test_what_is_not_live_needs_a_restart() -> None:
    assert compare(OLD, NEW, ()).live == ("log_level",)


def test_what_needs_a_restart_stays_told_until_there_was_one() -> None:
    running = in_effect(OLD, NEW, LIVE)
    assert running == replace(NEW, ca_ttl=1, log=LogSettings(level="debug"))
    assert compare(running, NEW, LIVE) == Changes(live=(), restart=("ca_ttl", "log_file"))
