import subprocess
import sys

import pytest
from tests.unit.common.cli import deferred as classes

from assay.cli.lean import COMPILES_EACH

CODE = """
import sys
{before}
from assay.cli.lean import load_structlog
load_structlog()
import structlog
loaded = "rich" in sys.modules
import rich.table
import rich.pretty
print("structlog" in sys.modules, loaded, rich.table.Table.__name__)
structlog.get_logger().warning("still logs")
"""


@pytest.mark.parametrize(("before", "loaded"), [("", "False"), ("import rich", "True"), ("import structlog", "True")])
def test_structlog_is_loaded_alone_and_rich_can_follow(before: str, loaded: str) -> None:
    code = CODE.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == f"True {loaded} Table"
    assert "still logs" in second


DEFERRED = """
import dataclasses
from assay.cli.lean import defer_methods
defer_methods()
defer_methods()
from tests.unit.common.cli.deferred import *
"""


def deferred(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", DEFERRED + code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    "kind", ["Point(1, 2)", "Named(1, 2, 'a')", "Ordered(1)", "Open(1)"], ids=lambda code: code.partition("(")[0]
)
def test_dataclasses_whose_methods_come_later_are_like_others(kind: str) -> None:
    made, plain = f"{kind}", eval(kind, vars(classes))  # noqa: S307 - the lines above
    results = deferred(f"for _ in range(2): print(*described({made}))")
    assert results == 2 * [str(one) for one in classes.described(plain)]


def test_a_method_is_compiled_when_it_is_first_used_and_takes_its_place() -> None:
    code = """
def where(kind, name): return vars(kind)[name].__code__.co_filename.rpartition("/")[2]
print(where(Point, "__init__"), where(Point, "__eq__"), where(Point, "__hash__"))
assert Point(1, 2) == Point(1, 2) and Named(1, 2, "a").moved() == Point(2, 2) and hash(Point(1, 2))
print(where(Point, "__eq__"), where(Point, "__hash__"), where(Named, "__eq__"), Point.__eq__.__qualname__)
"""
    own = "lean.py" if COMPILES_EACH else "<string>"
    assert deferred(code) == ["<string>", own, own, "<string>", "<string>", own, "Point.__eq__"]


def test_a_constructor_can_be_asked_for_its_signature() -> None:
    assert deferred("import inspect; print(inspect.signature(Point))") == ["(x:", "int,", "y:", "int)", "->", "None"]


def test_the_command_begins_with_it() -> None:
    code = """
import sys
from assay.cli.__main__ import main
sys.argv = ["assay", "--version"]
try:
    main()
except SystemExit:
    from assay.entry import Entry
    print(vars(Entry)["__eq__"].__code__.co_filename.rpartition("/")[2])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ("lean.py" if COMPILES_EACH else "<string>")
