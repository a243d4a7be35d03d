"""The log as a process writes it: configuring it is for a whole process, so each test has one of its own."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assay.log import subsystem_of

SETUP = """
import logging, sys
from datetime import datetime, timezone
from pathlib import Path
import structlog
early = structlog.get_logger("assay_server.ca.manager")
from assay import log
from assay.config.logging import LogSettings
from assay.testing.clock import FakeClock
clock = FakeClock(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone.utc))
"""


def lines(settings: str, code: str, **env: str) -> list[str]:
    program = f"{SETUP}\nconfigured = log.configure(LogSettings({settings}), clock)\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": "UTC", **env},
    )
    assert not done.stderr
    return done.stdout.splitlines()


def test_a_line_is_spires_with_its_subsystem() -> None:
    (line,) = lines("", 'early.info("X509 CA prepared", slot="A", expiration="soon")')
    assert line == (
        'time="2026-01-02T03:04:05Z" level=info msg="X509 CA prepared" expiration=soon slot=A subsystem_name=ca_manager'
    )


def test_times_are_local() -> None:
    (line,) = lines("", 'early.info("x")', TZ="Europe/Berlin")
    assert line.startswith('time="2026-01-02T04:04:05+01:00" ')


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["debug", "info", "warning", "error"]), ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]), ("error", ["error"]), ("fatal", []), ("panic", []),
        ("trace", ["debug", "info", "warning", "error"]),
    ],
)  # fmt: skip
def test_levels_filter(level: str, seen: list[str]) -> None:
    code = "for name in ('debug', 'info', 'warning', 'error'): getattr(early, name)('x')"
    found = lines(f"level={level!r}", code)
    assert [re.findall(r"level=(\w+)", line)[0] for line in found] == seen


def test_a_change_of_level_reaches_loggers_that_have_logged() -> None:
    code = """
def say(word):
    for name in ("debug", "info", "error"): getattr(early, name)(f"{word}-{name}")
    logging.getLogger("grpc").warning("%s-library", word)
say("launch")
for level in ("debug", "error", "panic"):
    configured.level.set(level)
    say(level)
configured.level.reset()
say("reset")
print(configured.level.current, configured.level.launch)
"""
    found = lines("", code)
    assert [re.findall(r"msg=(\S+)", line)[0] for line in found[:-1]] == [
        "launch-info", "launch-error", "launch-library",
        "debug-debug", "debug-info", "debug-error", "debug-library",
        "error-error",
        "reset-info", "reset-error", "reset-library",
    ]  # fmt: skip
    assert found[-1] == "info info"


def test_json_has_the_same_fields() -> None:
    (line,) = lines("format='json'", 'early.warning("x", n=1, ok=False)')
    assert json.loads(line) == {
        "time": "2026-01-02T03:04:05Z", "level": "warning", "msg": "x", "n": 1, "ok": False,
        "subsystem_name": "ca_manager",
    }  # fmt: skip


def test_secrets_never_get_out() -> None:
    code = """
token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"
pem = "-----BEGIN PRIVATE KEY-----\\nMIGH\\n-----END PRIVATE KEY-----"
early.info("a", token="t0ps3cret", join_token="t0ps3cret", private_key="t0ps3cret", password="t0ps3cret")
early.info("b " + token, note=f"got {token} and {pem}", raw=b"t0ps3cret", chain=[token])
try:
    raise ValueError(token)
except ValueError:
    early.exception("c")
logging.getLogger("grpc").warning("d %s", token)
early.info("e", token="", join_token=None)
"""
    found = lines("", code)
    assert len(found) == 5
    text = "\n".join(found)
    for secret in ("t0ps3cret", "eyJhbGci", "eyJzdWIi", "MIGH", "c2ln"):
        assert secret not in text
    assert 'note="got (redacted) and (redacted)" raw="(9 bytes)"' in text
    assert 'join_token="<nil>"' in found[4]


def test_an_exception_is_an_error_and_a_stack_on_one_line() -> None:
    (line,) = lines("", 'try: 1 / 0\nexcept ZeroDivisionError: early.exception("boom", task="t")')
    assert 'level=error msg=boom error="division by zero" stack="Traceback' in line
    (line,) = lines("", 'early.error("boom", exc_info=ValueError())')
    assert "error=ValueError" in line


def test_libraries_log_in_the_same_lines_from_warning_up() -> None:
    code = "logging.getLogger('grpc').info('no')\nlogging.getLogger('grpc').error('so %s', 1)"
    assert lines("", code) == ['time="2026-01-02T03:04:05Z" level=error msg="so 1" logger=grpc']


@pytest.mark.parametrize(("level", "seen"), [("debug", 2), ("info", 1), ("warning", 0)])
def test_our_own_modules_that_log_as_libraries_do_are_filtered_as_the_rest(level: str, seen: int) -> None:
    code = "one = logging.getLogger('assay.transport'); one.debug('a'); one.info('b', extra={'fields': {'error': 'e'}})"
    code += "; logging.getLogger('asyncio').info('c')"
    found = lines(f"level='{level}'", code)
    assert len(found) == seen
    if found:
        assert "level=info msg=b error=e logger=assay.transport" in found[-1]


def test_the_place_in_the_code_is_said_when_asked_for() -> None:
    (line,) = lines("source_location=True", "def work():\n    early.info('x')\nwork()")
    assert re.search(r'file="<string>:\d+" func=work', line)


def test_a_file_is_opened_anew_when_told(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    code = f"""
path = Path({str(path)!r})
early.info("one")
path.rename(path.with_name("old.log"))
early.info("two")
configured.output.reopen()
early.info("three")
"""
    assert lines(f"file=Path({str(path)!r})", code) == []
    assert [line.split("msg=")[1].split()[0] for line in (tmp_path / "old.log").read_text().splitlines()] == [
        "one",
        "two",
    ]
    assert "msg=three" in path.read_text()


def test_a_reader_that_went_away_ends_nothing() -> None:
    program = f"{SETUP}\nlog.configure(LogSettings(), clock)\nfor _ in range(2000): early.info('x' * 100)\nsys.exit(7)"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if process.stdout is not None:
        process.stdout.close()
    assert process.wait() in {7, 120, -signal.SIGPIPE} - {-signal.SIGPIPE}


def test_a_filtered_line_costs_next_to_nothing() -> None:
    code = """
import time, timeit
print(timeit.timeit(lambda: early.debug("x", a=1), timer=time.process_time, number=100_000) < 1.0)
"""
    assert lines("", code) == ["True"]


@pytest.mark.parametrize(
    ("module", "subsystem"),
    [
        ("assay_server.ca.manager", "ca_manager"), ("assay_agent.sync.follow", "manager"), ("assay_server.app", ""),
        ("assay_agent.workload.api", "endpoints"), ("assay_agent.attestation.node", "attestor"), ("", ""), ("x", ""),
        ("assay_server.api.entry", "api"), ("assay.cli.daemon", ""),
    ],
)  # fmt: skip
def test_subsystems_have_spires_names(module: str, subsystem: str) -> None:
    assert subsystem_of(module) == subsystem
