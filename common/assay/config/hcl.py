"""HCL 1, SPIRE's language, into plain values; every key keeps its line.

Read by ourselves because the maintained library, python-hcl2, reads another language: HCL 2 has no quoted names, no
commas between keys and takes `%{` for a directive. It also adds a third of a second to a daemon's start, and three
seconds where it cannot write its cache. Tests compare the two on what both can read.

Blocks and their labels become nested dicts, so that a block and `name = { }` read the same.
"""

from dataclasses import dataclass, field

from assay.config.document import MAX_DEPTH, Document, KeyPath, dotted, is_list, is_section
from assay.config.fault import ConfigError, Fault
from assay.config.hcltoken import HclSyntaxError, Token, tokens

_LITERALS: dict[str, object] = {"true": True, "false": False, "null": None}


def parse(text: str, name: str) -> Document:
    """The document in that HCL text.

    Raises:
        ConfigError: not HCL; with the line.
    """
    try:
        reader = _Reader(name, list(tokens(text)))
        data = reader.body((), closing="")
    except HclSyntaxError as error:
        raise ConfigError([Fault(f"{name}:{error.line}", "", error.reason)]) from None
    except ValueError:
        raise ConfigError([Fault(name, "", "has a number that is too long")]) from None
    return Document(name, data, reader.lines, tuple(reader.faults))


@dataclass(slots=True)
class _Reader:
    name: str
    words: list[Token]
    at: int = 0
    lines: dict[KeyPath, int] = field(default_factory=dict[KeyPath, int])
    faults: list[Fault] = field(default_factory=list[Fault])

    def body(self, path: KeyPath, closing: str) -> dict[str, object]:
        """Keys and blocks up to the closing brace, or to the end of the text."""
        self._check_depth(path)
        made: dict[str, object] = {}
        opened = self._last_line
        while not self._at_end(closing, opened):
            keys = self._keys()
            if self._take("="):
                self._set(path, keys, self._value((*path, keys[0].text)), made)
            else:
                self._block(path, keys, made)
            self._take(",")
        return made

    @property
    def _next(self) -> Token:
        return self.words[self.at]

    @property
    def _last_line(self) -> int:
        """Where the word before the next one stands."""
        return self.words[max(0, self.at - 1)].line

    def _at_end(self, closing: str, opened: int) -> bool:
        word = self._next
        if word.kind == "end":
            if closing:
                raise HclSyntaxError(opened, f"opens what is never closed; a {closing} is missing")
            return True
        return bool(closing) and self._take(closing)

    def _take(self, punctuation: str) -> bool:
        found = self._next.kind == "punctuation" and self._next.text == punctuation
        self.at += found
        return found

    def _keys(self) -> list[Token]:
        """A key, or a block's name and labels."""
        keys: list[Token] = []
        while self._next.kind in {"name", "string"}:
            word = self._next
            keys.append(word._replace(text=str(word.value) if word.kind == "string" else word.text))
            self.at += 1
        if not keys:
            raise HclSyntaxError(self._next.line, "is not valid HCL: a key is expected here")
        return keys

    def _set(self, path: KeyPath, keys: list[Token], value: object, into: dict[str, object]) -> None:
        key, *labels = keys
        here = (*path, key.text)
        if labels:
            raise HclSyntaxError(key.line, "is not valid HCL: one key, or a block's name and labels, is expected here")
        if key.text in into:
            self._fault(key, here, f"is set twice, first on line {self.lines[here]}")
            return
        self.lines[here] = key.line
        into[key.text] = value

    def _block(self, path: KeyPath, keys: list[Token], into: dict[str, object]) -> None:
        if not self._take("{"):
            raise HclSyntaxError(self._next.line, "is not valid HCL: = or { is expected after a key")
        self._check_depth((*path, *(key.text for key in keys)))
        target = into
        for key in keys[:-1]:
            path = (*path, key.text)
            self.lines.setdefault(path, key.line)
            inner = target.setdefault(key.text, {})
            # What cannot be there is still read, so that what follows is.
            target = inner if is_section(inner) else {}
            if not is_section(inner):
                self._fault(key, path, "is both a value and a block")
        last = keys[-1]
        here = (*path, last.text)
        first = self.lines.setdefault(here, last.line)
        self._add(last, here, self.body(here, closing="}"), target, first=first, labelled=len(keys) > 1)

    def _add(
        self,
        key: Token,
        here: KeyPath,
        value: dict[str, object],
        into: dict[str, object],
        *,
        first: int,
        labelled: bool,
    ) -> None:
        earlier = into.get(key.text)
        if key.text not in into:
            into[key.text] = value
        elif not is_section(earlier) and not is_list(earlier):
            self._fault(key, here, "is both a value and a block")
        elif labelled:
            self._fault(key, here, f"is declared more than once, first on line {first}")
        else:
            into[key.text] = _merged(earlier, value)

    def _value(self, path: KeyPath) -> object:
        before, word = self._last_line, self._next
        self.at += 1
        if word.kind in {"string", "number"}:
            return word.value
        if word.kind == "name" and word.text in _LITERALS:
            return _LITERALS[word.text]
        if word.kind == "name":
            self._fault(word, path, 'is not a plain value; text stands in quotes, such as "info"')
            return None
        if word.text == "{":
            return self.body(path, closing="}")
        if word.text == "[":
            return self._list(path)
        raise HclSyntaxError(before, "is not valid HCL: a value is expected here")

    def _list(self, path: KeyPath) -> list[object]:
        self._check_depth(path)
        made: list[object] = []
        opened = self._last_line
        while not self._at_end("]", opened):
            made.append(self._value((*path, len(made))))
            if not self._take(",") and self._next.text != "]" and self._next.kind != "end":
                raise HclSyntaxError(self._next.line, "is not valid HCL: , or ] is expected in a list")
        return made

    def _check_depth(self, path: KeyPath) -> None:
        if len(path) > MAX_DEPTH:
            raise HclSyntaxError(self._last_line, f"is nested too deeply: more than {MAX_DEPTH} levels")

    def _fault(self, word: Token, path: KeyPath, reason: str) -> None:
        self.faults.append(Fault(f"{self.name}:{word.line}", dotted(path), reason))


def _merged(first: object, second: dict[str, object]) -> object:
    """A block given twice: one section if they set different keys, else a list of two."""
    if is_list(first):
        first.append(second)
        return first
    if is_section(first) and first.keys().isdisjoint(second):
        first.update(second)
        return first
    return [first, second]
