"""Policy files as text: where each policy begins, so that what is wrong is named by file and line."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statement:
    """One policy of a file: its text, and the line (from 1) on which that begins."""

    file: str
    line: int
    text: str

    def line_of(self, word: str) -> int:
        """The line on which that word first stands; the policy's own if it is nowhere."""
        at = self.text.find(word) if word else -1
        return self.line + self.text.count("\n", 0, at) if at >= 0 else self.line


def statements(file: str, text: str) -> Iterator[Statement]:
    """The policies, each up to its semicolon; what is left at the end, if it is more than comments, is one, too."""
    start = 0
    for end in _semicolons(text):
        yield _statement(file, text, start, end + 1)
        start = end + 1
    if _uncommented(text[start:]).strip():
        yield _statement(file, text, start, len(text))


def _statement(file: str, text: str, start: int, end: int) -> Statement:
    begun = start + _before(text[start:end])
    return Statement(file, 1 + text.count("\n", 0, begun), text[begun:end])


def _before(text: str) -> int:
    """How much white space and comment stands before the first word."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text.startswith("//", at):
            at = (text.find("\n", at) + 1) or len(text)
        else:
            break
    return at


def _semicolons(text: str) -> Iterator[int]:
    """Those that end policies: outside of strings and comments."""
    at, quoted = 0, False
    while at < len(text):
        if quoted:
            quoted = text[at] != '"'
            at += 1 if text[at] == "\\" else 0
        elif text[at] == '"':
            quoted = True
        elif text.startswith("//", at):
            at = text.find("\n", at)
            if at < 0:
                return
        elif text[at] == ";":
            yield at
        at += 1


def _uncommented(text: str) -> str:
    return "\n".join(line.partition("//")[0] for line in text.splitlines())
