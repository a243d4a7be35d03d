"""Commands that are pasted say all that the entry says."""

import shlex
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from typer.main import get_command

from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire import entry as entry_wire
from assay_agent.explanation.finding import Remedy, shell_line
from assay_agent.explanation.remedy import entry_command, register, telling
from assay_agent.explanation.scene import Workload
from assay_server.cli.entry import app
from assay_server.cli.entryflags import EntryFlags

Make = Callable[..., Any]
TD = TrustDomain("example.org")

FULL = Entry(
    id="an-id",
    spiffe_id=SpiffeId(TD, "/web"),
    parent_id=SpiffeId(TD, "/agent"),
    selectors=(Selector("unix", "path:/opt/my app/web's"), Selector("unix", "uid:1")),
    x509_svid_ttl=60,
    jwt_svid_ttl=30,
    federates_with=(TrustDomain("other.test"), TrustDomain("third.test")),
    dns_names=("a.test", "b.test"),
    hint="it's main",
    admin=True,
    downstream=True,
    store_svid=True,
    disable_x509_svid_prefetch=True,
    jwt_svid_include_jti=True,
    expires_at=5_000_000,
)


def parsed(line: str) -> Entry:
    """What `assay entry` makes of a command line."""
    program, group, verb, *arguments = shlex.split(line)
    assert (program, group) == ("assay", "entry")
    command = get_command(app).commands[verb]  # type: ignore[attr-defined]
    given = command.make_context(verb, arguments).params
    flags = EntryFlags(**{name: value for name, value in given.items() if name in EntryFlags.__dataclass_fields__})
    return entry_wire.from_proto(flags.entry())


def test_an_update_keeps_everything() -> None:
    (line,) = Remedy((entry_command("update", FULL),)).lines
    assert parsed(line) == FULL


def test_every_field_of_an_entry_is_tried() -> None:
    """A field that is new must get a flag, or an update would take it away."""
    plain = Entry("", SpiffeId(TD, ""), SpiffeId(TD, ""), ())
    made_by_the_server = {"revision", "created_at", "principal", "instance_from", "withheld"}
    untried = {name for name in Entry.__slots__ if getattr(FULL, name) == getattr(plain, name)}
    assert untried == made_by_the_server


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ({"unix:uid:5", "unix:gid:5", "unix:group:web"}, ["unix:uid:5"]),
        ({"unix:uid:5", "unix:user:web", "unix:path:/web"}, ["unix:path:/web", "unix:user:web"]),
        ({"unix:uid:5", "k8s:ns:prod", "k8s:sa:web", "k8s:pod-name:x"}, ["k8s:ns:prod", "k8s:sa:web"]),
        ({"unix:uid:0", "docker:image_id:nginx"}, ["docker:image_id:nginx"]),
        ({"acme:b", "acme:a"}, ["acme:a"]),
        (set(), []),
    ],
)
def test_selectors_that_tell_a_workload(seen: set[str], wanted: list[str]) -> None:
    assert list(map(str, telling(map(Selector.parse, seen)))) == wanted


@pytest.mark.parametrize(
    ("program", "path"),
    [
        ("/usr/bin/nginx", "/nginx"),
        ("", "/web"),
        ("/opt/my app (deleted)", "/my-app--deleted-"),
        ("/opt/...", "/workload"),
    ],
)
def test_a_name_is_proposed_that_can_be_registered(scene: Make, program: str, path: str) -> None:
    workload = Workload(program=program, selectors=frozenset({Selector("unix", "user:web")}))
    (line,) = register(scene(workload=workload)).lines
    assert parsed(line).spiffe_id == SpiffeId(TD, path)


def test_a_shell_reads_what_was_meant_and_a_terminal_obeys_nothing() -> None:
    words = ["plain", "two words", "it's", "\x1b[31mred\n", "a\\b\x07'c", "ü\u200b"]
    line = shell_line(words)
    assert line.isprintable()
    printed = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    assert printed.decode().split("\0")[:-1] == words
