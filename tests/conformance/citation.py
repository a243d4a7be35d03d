"""Which tests cite which ids: `pytest.mark.spec` as it is written, without running anything."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_Test = ast.FunctionDef | ast.AsyncFunctionDef
_Marked = _Test | ast.ClassDef


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
    counted: set[ast.Call] = set()
    for name, fault, where in _places(tree):
        for mark in _marks(where):
            counted.add(mark)
            yield from _cited(file, name, mark, fault or _outside(file))
    for mark in _marks(tree):
        if mark not in counted:
            yield Citation(file, "", _shown(mark), f"line {mark.lineno}: stands on nothing that pytest runs")


def _places(tree: ast.Module) -> Iterator[tuple[str, str, ast.AST]]:
    """Where marks count: name, why not after all, and what holds the marks."""
    yield from (("", "", value) for value in _pytestmarks(tree.body))
    for one in tree.body:
        if isinstance(one, ast.ClassDef):
            yield from _in_class(one)
        elif isinstance(one, _Test):
            yield from _on(one, one.name)


def _in_class(made: ast.ClassDef) -> Iterator[tuple[str, str, ast.AST]]:
    """A class of tests."""
    yield from ((made.name, "", value) for value in _pytestmarks(made.body))
    yield from _on(made, made.name)
    for one in made.body:
        if isinstance(one, _Test):
            yield from _on(one, f"{made.name}::{one.name}")


def _on(one: _Marked, name: str) -> Iterator[tuple[str, str, ast.AST]]:
    """The decorators of a function or class."""
    begins = "Test" if isinstance(one, ast.ClassDef) else "test"
    fault = "" if one.name.startswith(begins) else "is not a test"
    if any(_is_mark(_called(decorator), {"skip", "xfail"}) for decorator in one.decorator_list):
        fault = "is skipped, or expected to fail"
    yield from ((name, fault, decorator) for decorator in one.decorator_list)


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


def _called(decorator: ast.expr) -> ast.expr:
    """A decorator without its arguments."""
    return decorator.func if isinstance(decorator, ast.Call) else decorator


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


def _outside(file: str) -> str:
    """Why pytest does not look into that file."""
    return "" if file.rpartition("/")[2].startswith("test_") else "is not in a file of tests"


def _shown(node: ast.AST) -> str:
    return ast.unparse(node)
