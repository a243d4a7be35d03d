"""Which tests cite which ids: `pytest.mark.spec` as it is written, without running anything."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_Test = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, order=True)
class Citation:
    """A test that cites an id; the file stands relative to the folder that was searched.

    Attributes:
        name: the function, `Class::function`, the class, or nothing for a mark on the whole file.
        fault: why it does not count; empty if it does.
    """

    file: str
    name: str
    id: str
    fault: str = ""

    def __str__(self) -> str:
        return f"{self.file}::{self.name}" if self.name else self.file


def collect(folder: Path) -> tuple[Citation, ...]:
    """Every citation below the folder, sorted; one for each pair of test and id."""
    found: set[Citation] = set()
    for path in folder.rglob("*.py"):
        found.update(_in_file(path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8")))
    return tuple(sorted(found))


def _in_file(file: str, source: str) -> Iterator[Citation]:
    """The citations of one file."""
    if "spec(" not in source:
        return
    tree = ast.parse(source, file)
    outside = "" if file.rpartition("/")[2].startswith("test_") else "is not in a file of tests"
    counted: set[ast.Call] = set()
    for name, fault, where in _places(tree.body, outside or _skipped(_pytestmarks(tree.body))):
        for mark in _marks(where):
            counted.add(mark)
            yield from _cited(file, name, mark, fault)
    for mark in _marks(tree):
        if mark not in counted:
            yield Citation(
                file, "", _shown(mark), f"line {mark.lineno}: stands on no test; write it on one, the ids spelled out"
            )


def _places(body: list[ast.stmt], fault: str, inside: str = "") -> Iterator[tuple[str, str, ast.AST]]:
    """Where marks count in a file or class: name, why not after all, and what holds the marks."""
    yield from ((inside.removesuffix("::"), fault, value) for value in _pytestmarks(body))
    for one in body:
        if isinstance(one, _Test):
            yield from _on(one, fault, inside)
        elif isinstance(one, ast.ClassDef):
            own = fault or _not_run(one) or _skipped(_pytestmarks(one.body))
            yield from _on(one, own, inside)
            yield from _places(one.body, own, f"{inside}{one.name}::")


def _on(one: _Test | ast.ClassDef, fault: str, inside: str) -> Iterator[tuple[str, str, ast.AST]]:
    """The decorators of a function or class."""
    fault = fault or _not_run(one)
    yield from ((f"{inside}{one.name}", fault, decorator) for decorator in one.decorator_list)


def _not_run(one: _Test | ast.ClassDef) -> str:
    """Why a function or class shows nothing by itself."""
    begins = "Test" if isinstance(one, ast.ClassDef) else "test"
    return _skipped(one.decorator_list) if one.name.startswith(begins) else "is not a test"


def _skipped(marks: Iterable[ast.expr]) -> str:
    """Why marks keep a test from showing anything; `skipif` may."""
    for mark in (node for one in marks for node in ast.walk(one)):
        if isinstance(mark, ast.Attribute) and _is_mark(mark, {"skip", "xfail"}):
            return "is skipped, or expected to fail"
    return ""


def _pytestmarks(body: list[ast.stmt]) -> Iterator[ast.expr]:
    """What `pytestmark` is set to."""
    for one in body:
        targets = one.targets if isinstance(one, ast.Assign) else [one.target] if isinstance(one, ast.AnnAssign) else []
        if any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in targets):
            value = one.value if isinstance(one, ast.Assign | ast.AnnAssign) else None
            if value is not None:
                yield value


def _marks(where: ast.AST) -> Iterator[ast.Call]:
    """Every `pytest.mark.spec(…)` in there, those of single parameters too."""
    for node in ast.walk(where):
        if isinstance(node, ast.Call) and _is_mark(node.func, {"spec"}):
            yield node


def _is_mark(func: ast.expr, names: set[str]) -> bool:
    """Whether it is `pytest.mark.NAME` or `mark.NAME`."""
    if not isinstance(func, ast.Attribute) or func.attr not in names:
        return False
    return getattr(func.value, "attr", getattr(func.value, "id", "")) == "mark"


def _cited(file: str, name: str, mark: ast.Call, fault: str) -> Iterator[Citation]:
    """The ids of one mark."""
    if mark.keywords or not mark.args:
        yield Citation(file, name, _shown(mark), f"line {mark.lineno}: a mark names its ids and nothing else")
    for one in _unpacked(mark.args):
        if isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield Citation(file, name, one.value, fault)
        else:
            yield Citation(file, name, _shown(one), f"line {mark.lineno}: not an id written out")


def _unpacked(arguments: list[ast.expr]) -> Iterator[ast.expr]:
    """The arguments, those of `*(…)` one by one."""
    for one in arguments:
        if isinstance(one, ast.Starred) and isinstance(one.value, ast.Tuple | ast.List):
            yield from one.value.elts
        else:
            yield one


def _shown(node: ast.AST) -> str:
    return ast.unparse(node)
