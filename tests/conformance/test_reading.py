"""The reader of the list: what it understands, and that it refuses all else by file and row."""

from pathlib import Path

import pytest
from tests.conformance import reading
from tests.conformance.requirement import PREFIXES, Requirement

ROW = 'level = "MUST"\nwho = ["issuer", "agent"]\ntext = "Does what it should."\n'


def standard(prefix: str) -> str:
    return f'[standard]\nprefix = "{prefix}"\ntitle = "T"\ndocument = "T.md"\nstability = "stable"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A list without a row, but with a plan and a deviation."""
    for prefix in PREFIXES:
        (tmp_path / f"{prefix.lower()}.toml").write_text(standard(prefix))
    (tmp_path / "plans.toml").write_text('D = "the agent in full"\n')
    (tmp_path / "deviations.toml").write_text(
        '[[deviation]]\nkind = "spire"\nrows = ["ID-1-a"]\nwhat = "W."\nwhy = "Y."\n'
    )
    return tmp_path


def add(folder: Path, text: str) -> None:
    with (folder / "id.toml").open("a") as file:
        file.write(text)


def test_reads_rows_plans_and_deviations_in_the_order_of_the_page(folder: Path) -> None:
    add(folder, f'["ID-2.1-a"]\n{ROW}\n["ID-2.1-b"]\n{ROW}later = "D"\n')
    found = reading.load(folder)
    assert [one.prefix for one in found.standards] == list(PREFIXES)
    assert list(found.requirements()) == [
        Requirement("ID-2.1-a", "MUST", ("issuer", "agent"), "Does what it should.", "", ""),
        Requirement("ID-2.1-b", "MUST", ("issuer", "agent"), "Does what it should.", "later", "D"),
    ]
    assert found.plans == {"D": "the agent in full"}
    assert [(one.kind, one.rows) for one in found.deviations] == [("spire", ("ID-1-a",))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('["ID-1-a"', "id.toml: "),
        (f'["ID-1-a"]\n{ROW}["ID-1-a"]\n{ROW}', "id.toml: "),
        (f"[ID-1a]\n{ROW}", "not an id"),
        (f"[X509-1-a]\n{ROW}", "X509-1-a does not begin with ID-"),
        ("ID-1-a = 1", "id.toml: "),
        ('[ID-1-a]\nlevel = "MUST"\nwho = ["issuer"]\n', "ID-1-a: a row has level, who, text"),
        (f'[ID-1-a]\n{ROW}reason = "No."\n', "ID-1-a: a row has level, who, text"),
        (f'[ID-1-a]\n{ROW}later = "D"\nnever = "No."\n', "says later and never"),
        (f'[ID-1-a]\n{ROW}later = "Z"\n', "waits for 'Z', which is not in plans.toml"),
        (f'[ID-1-a]\n{ROW}never = " "\n', "a line of text is missing"),
        (f"[ID-1-a]\n{ROW}".replace("MUST", "OUGHT"), "no level 'OUGHT'"),
        (f"[ID-1-a]\n{ROW}".replace('"agent"', '"nobody"'), "nobody is called 'nobody'"),
        (f"[ID-1-a]\n{ROW}".replace('["issuer", "agent"]', "[]"), "a list with something in it"),
        (f"[ID-1-a]\n{ROW}".replace('"Does what it should."', "7"), "a line of text is missing"),
    ],
)
def test_refuses_a_row_that_is_not_right(folder: Path, text: str, said: str) -> None:
    add(folder, text)
    with pytest.raises(reading.MalformedListError, match=r"^id\.toml: ") as refused:
        reading.load(folder)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("id.toml", "", "id.toml: a table is missing"),
        ("id.toml", standard("ID") + "more = 1\n", "no more or less"),
        ("id.toml", standard("QQ"), "no prefix 'QQ'"),
        ("again.toml", standard("ID"), "one file for each"),
        ("plans.toml", "D = 4\n", "plans.toml: a line of text"),
        ("deviations.toml", "", "deviations.toml: a list with something in it"),
        ("deviations.toml", '[[deviation]]\nkind = "spire"\n', "has kind, rows, what and why"),
        ("deviations.toml", '[[deviation]]\nkind = "x"\nrows = ["I"]\nwhat = "W"\nwhy = "Y"\n', "no kind 'x'"),
    ],
)
def test_refuses_a_file_that_is_not_right(folder: Path, file: str, text: str, said: str) -> None:
    (folder / file).write_text(text)
    with pytest.raises(reading.MalformedListError) as refused:
        reading.load(folder)
    assert said in str(refused.value)


@pytest.mark.parametrize("file", ["plans.toml", "deviations.toml", "jwt.toml"])
def test_refuses_a_list_with_a_file_missing(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(reading.MalformedListError):
        reading.load(folder)


def test_refuses_a_file_that_is_not_text(folder: Path) -> None:
    (folder / "id.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(reading.MalformedListError, match=r"^id\.toml: "):
        reading.load(folder)
