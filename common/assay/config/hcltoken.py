"""The words of HCL 1: names, strings, numbers, heredocs and marks, each with its line."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
      (?P<blank>[\s\ufeff]+ | \#[^\n]* | //[^\n]* | /\*.*?\*/)
    | (?P<heredoc><<(?P<trim>-)?(?P<mark>\w+)\r?\n(?P<body>.*?)^(?P<indent>(?(trim)[ \t]*))(?P=mark)[ \t]*\r?$)
    | (?P<string>"(?>[^"\\\n$]++ | \\[^\n] | \$\{[^}\n]{0,256}+\} | \$)*+")
    | (?P<number>-?(?:0[xX][0-9a-fA-F]+ | [0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)(?![\w.]))
    | (?P<name>[^\W\d][\w.-]*)
    | (?P<punctuation>[{}\[\]=,])
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_ESCAPE = re.compile(
    r"""
      \$\{[^}\n]{0,256}+\}
    | \\(?:([abfnrtv"\\]) | u([0-9a-fA-F]{4}) | U([0-9a-fA-F]{8}) | x([0-9a-fA-F]{2}))
    """,
    re.VERBOSE,
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
_LAST_CODE_POINT = 0x10FFFF


class HclSyntaxError(ValueError):
    """Text that is not HCL 1. The reason repeats nothing of it: it may hold secrets."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class Token(NamedTuple):
    """A word. `kind` is name, string, number, punctuation or end; `value` is a string's or number's."""

    kind: str
    text: str
    line: int
    value: str | int | float = ""


def tokens(text: str) -> Iterator[Token]:
    """The text's words, and one of kind `end`.

    Raises:
        HclSyntaxError: something that is no word.
    """
    starts = [found.end() for found in re.finditer("\n", text)]
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        line = bisect_right(starts, position) + 1
        if found is None:
            raise HclSyntaxError(line, _why(text[position : position + 2]))
        if found.lastgroup != "blank":
            yield _token(found, line)
        position = found.end()
    yield Token("end", "", len(starts) + 1)


def _token(found: re.Match[str], line: int) -> Token:
    text = found[0]
    if found["heredoc"] is not None:
        return Token("string", text, line, _heredoc(found))
    if found["string"] is not None:
        return Token("string", text, line, _unescape(text[1:-1], line))
    if found["number"] is not None:
        return Token("number", text, line, _number(text))
    return Token("name" if found["name"] is not None else "punctuation", text, line)


def _number(text: str) -> int | float:
    if "x" in text.lower():
        return int(text, 16)
    return float(text) if set(text) & set(".eE") else int(text)


def _unescape(text: str, line: int) -> str:
    """What a string means; `${...}` is no business of ours and stays as it is."""

    def value(match: re.Match[str]) -> str:
        if match[0].startswith("$"):
            return match[0]
        if match[1]:
            return _SIMPLE[match[1]]
        code = int(match[2] or match[3] or match[4], 16)
        if code > _LAST_CODE_POINT:
            raise HclSyntaxError(line, "has an escape that is no character")
        return chr(code)

    return _ESCAPE.sub(value, text) if "\\" in text else text


def _heredoc(found: re.Match[str]) -> str:
    """The body with its last newline; `<<-` takes the closing mark's indent away if every line has it."""
    body, indent = found["body"], found["indent"]
    lines = body.splitlines(keepends=True)
    if indent and all(line.startswith(indent) for line in lines):
        return "".join(line.removeprefix(indent) for line in lines)
    return body


def _why(rest: str) -> str:
    if rest.startswith('"'):
        return "has a string without its closing quote"
    if rest == "/*":
        return "has a comment without its end"
    if rest == "<<":
        return "has a heredoc without its end"
    return "is not valid HCL: a character that belongs to nothing"
