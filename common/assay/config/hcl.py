"""HCL as SPIRE's files use it, read from python-hcl2's parse tree so that every key keeps its line.

SPIRE reads HCL 1 and python-hcl2 reads HCL 2. Strings are therefore taken as they stand in the text (`${x}` is no
interpolation), and what HCL 1 alone allows, quoted names of blocks and keys, is unquoted when a first try fails.
Blocks and their labels become nested dicts, so that a block and `name = { }` read the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import hcl2
from lark import Token, Tree
from lark.exceptions import LarkError, UnexpectedInput, UnexpectedToken

from assay.config.document import Document, KeyPath, dotted, is_list, is_section
from assay.config.fault import ConfigError, Fault

_QUOTED_NAME = re.compile(r'(?m)(?:^|(?<=[{}]))([ \t]*)"([A-Za-z_][\w-]*)"(?=[ \t]*(?:=|\{|"))')
_ESCAPE = re.compile(r'\\(?:([abfnrtv"\\])|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2}))')
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
_LITERALS: dict[str, object] = {"true": True, "false": False, "null": None}
_PLAIN = re.compile(r"true|false|null|-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_HEREDOC = re.compile(r"<<(-?)[^\n]*\n(.*?)([ \t]*)\S+\s*\Z", re.DOTALL)


def parse(text: str, name: str) -> Document:
    """The document in that HCL text.

    Raises:
        ConfigError: not HCL; with the line.
    """
    try:
        tree = _tree(text)
    except LarkError:
        # Names of the same length in place of quoted ones, so that lines and columns stay.
        text = _QUOTED_NAME.sub(r"\1 \2 ", text)
        try:
            tree = _tree(text)
        except LarkError as error:
            raise ConfigError([_syntax_fault(error, name)]) from None
    reader = _Reader(text, name)
    data = reader.body(_only(tree, "body"), ())
    return Document(name, data, reader.lines, tuple(reader.faults))


def _tree(text: str) -> Tree[Token]:
    return cast("Tree[Token]", hcl2.parses_to_tree(text))  # pyright: ignore[reportUnknownMemberType]


@dataclass(slots=True)
class _Reader:
    text: str
    name: str
    lines: dict[KeyPath, int] = field(default_factory=dict[KeyPath, int])
    faults: list[Fault] = field(default_factory=list[Fault])

    def body(self, tree: Tree[Token], path: KeyPath) -> dict[str, object]:
        made: dict[str, object] = {}
        for item in _trees(tree):
            if item.data == "attribute":
                self._attribute(item, path, made)
            elif item.data == "block":
                self._block(item, path, made)
        return made

    def _attribute(self, tree: Tree[Token], path: KeyPath, into: dict[str, object]) -> None:
        name, value = _trees(tree)
        key = self._name(name)
        here = (*path, key)
        if key in into:
            first = self.lines.get(here, 0)
            self._fault(tree, here, f"is set twice, first on line {first}")
            return
        self.lines[here] = tree.meta.line
        into[key] = self._value(value, here)

    def _block(self, tree: Tree[Token], path: KeyPath, into: dict[str, object]) -> None:
        *names, body = (part for part in _trees(tree) if part.data != "new_line_or_comment")
        keys = [self._name(part) for part in names]
        target = into
        for key in keys[:-1]:
            path = (*path, key)
            self.lines.setdefault(path, tree.meta.line)
            inner = target.setdefault(key, {})
            if not is_section(inner):
                self._fault(tree, path, "is both a value and a block")
                return
            target = inner
        here = (*path, keys[-1])
        first = self.lines.setdefault(here, tree.meta.line)
        value = self.body(body, here)
        earlier = target.get(keys[-1])
        if earlier is None:
            target[keys[-1]] = value
        elif not is_section(earlier) and not is_list(earlier):
            self._fault(tree, here, "is both a value and a block")
        elif len(keys) > 1:
            self._fault(tree, here, f"is declared more than once, first on line {first}")
        else:
            target[keys[-1]] = _merged(earlier, value)

    def _value(self, tree: Tree[Token], path: KeyPath) -> object:
        node = tree
        while node.data == "expr_term" and len(inner := list(_trees(node))) == 1:
            node = inner[0]
        match node.data:
            case "string":
                return _unescape(self._slice(node)[1:-1])
            case "int_lit" | "float_lit" | "literal_value" | "unary_op" if _PLAIN.fullmatch(self._slice(node)):
                return _plain(self._slice(node))
            case "tuple":
                return [self._value(part, (*path, index)) for index, part in enumerate(_values(node))]
            case "object":
                return self._object(node, path)
            case "heredoc_template" | "heredoc_template_trim":
                return _heredoc(self._slice(node))
            case _:
                self._fault(node, path, 'is not a plain value; text stands in quotes, such as "info"')
                return None

    def _object(self, tree: Tree[Token], path: KeyPath) -> dict[str, object]:
        made: dict[str, object] = {}
        for element in _trees(tree):
            if element.data != "object_elem":
                continue
            name, value = _trees(element)
            key = self._slice(name).strip().strip('"')
            self.lines[*path, key] = element.meta.line
            made[key] = self._value(value, (*path, key))
        return made

    def _name(self, tree: Tree[Token]) -> str:
        return self._slice(tree).strip('"')

    def _slice(self, tree: Tree[Token]) -> str:
        return self.text[tree.meta.start_pos : tree.meta.end_pos]

    def _fault(self, tree: Tree[Token], path: KeyPath, reason: str) -> None:
        self.faults.append(Fault(f"{self.name}:{tree.meta.line}", dotted(path), reason))


def _merged(first: object, second: dict[str, object]) -> object:
    """A block given twice: one section if they set different keys, else a list of two."""
    if is_section(first) and not (first.keys() & second.keys()):
        return {**first, **second}
    return [*first, second] if is_list(first) else [first, second]


def _trees(tree: Tree[Token]) -> Iterator[Tree[Token]]:
    return (child for child in tree.children if isinstance(child, Tree))


def _values(tree: Tree[Token]) -> Iterator[Tree[Token]]:
    return (child for child in _trees(tree) if child.data != "new_line_or_comment")


def _only(tree: Tree[Token], kind: str) -> Tree[Token]:
    return next(child for child in _trees(tree) if child.data == kind)


def _plain(text: str) -> object:
    if text in _LITERALS:
        return _LITERALS[text]
    return float(text) if set(text) & set(".eE") else int(text)


def _unescape(text: str) -> str:
    def value(match: re.Match[str]) -> str:
        return _SIMPLE[match[1]] if match[1] else chr(int(match[2] or match[3] or match[4], 16))

    return _ESCAPE.sub(value, text) if "\\" in text else text


def _heredoc(text: str) -> str:
    """The body with its last newline; `<<-` takes the closing mark's indent away if every line has it."""
    found = _HEREDOC.match(text)
    if found is None:
        return text
    trim, body, indent = found.groups()
    lines = body.splitlines(keepends=True)
    if trim and all(line.startswith(indent) for line in lines):
        return "".join(line[len(indent) :] for line in lines)
    return str(body)


def _syntax_fault(error: LarkError, name: str) -> Fault:
    """Where the text stops being HCL; the text itself may be secret and is not repeated."""
    if isinstance(error, UnexpectedToken) and cast("Token", error.token).type == "$END":  # pyright: ignore[reportUnknownMemberType]
        return Fault(name, "", "ends too early; look for a missing brace, quote or value")
    if isinstance(error, UnexpectedInput) and error.line > 0:
        reason = f"is not valid HCL at column {error.column}; look for a missing quote, brace or comma"
        return Fault(f"{name}:{error.line}", "", reason)
    return Fault(name, "", "is not valid HCL")
