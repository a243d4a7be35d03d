"""From a document to a checked model, plugins and warnings; or to every fault at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeAlias, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from assay.config.document import Document, KeyPath, is_section
from assay.config.fault import ConfigError, Fault
from assay.config.fields import Section, section_type
from assay.config.notbuilt import NotBuilt, sift
from assay.config.plugin import Catalog, Plugin, PluginReader
from assay.config.sections import unwrap
from assay.config.unknown import unknown_reason

M = TypeVar("M", bound=Section)
Plugins: TypeAlias = Mapping[str, tuple[Plugin, ...]]


@dataclass(frozen=True, slots=True)
class Override:
    """A value from the command line in place of the file's."""

    path: KeyPath
    flag: str
    value: object


@dataclass(frozen=True, slots=True)
class Schema(Generic[M]):
    """What one daemon's file may say.

    `sections` lists outer ones before inner ones, `flags` the command line's by key; `verify` finds what is wrong with
    the plugins taken together. `daemon` is whose plugins of other packages count, too.
    """

    model: type[M]
    sections: Sequence[KeyPath]
    not_built: Mapping[KeyPath, NotBuilt]
    catalog: Catalog
    verify: Callable[[Document, Plugins], list[Fault]]
    flags: Mapping[KeyPath, str] = field(default_factory=dict[KeyPath, str])
    daemon: str = ""


@dataclass(frozen=True, slots=True)
class Checked(Generic[M]):
    """A document that has no fault."""

    model: M
    plugins: Plugins
    warnings: tuple[Fault, ...]


def check(document: Document, schema: Schema[M], overrides: Sequence[Override] = ()) -> Checked[M]:
    """Check everything there is to check; overrides whose value is None change nothing.

    Raises:
        ConfigError: with every fault found.
    """
    given = [one for one in overrides if one.value is not None]
    document = replace(document, flags={one.path: one.flag for one in given})
    data, faults = unwrap(document, schema.sections)
    for one in given:
        _set(data, one)
    sifted = sift(document, data, schema.not_built)
    reader = PluginReader(replace(document, data=sifted.data), schema.catalog, schema.daemon)
    plugins = reader.read()
    faults = [*document.faults, *faults, *sifted.faults, *reader.faults, *schema.verify(document, plugins)]
    rest = {key: value for key, value in sifted.data.items() if key != "plugins"}
    try:
        model = schema.model.model_validate(rest)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise ConfigError(_in_order([*faults, *(_fault(document, schema, one) for one in details)])) from None
    if faults:
        raise ConfigError(_in_order(faults))
    return Checked(model, plugins, (*sifted.warnings, *reader.warnings))


def at_most_one(document: Document, plugins: Plugins, kinds: Sequence[str]) -> list[Fault]:
    """A fault for each of those types of which more than one plugin is on."""
    return [document.fault(("plugins", kind), "exactly one can be on") for kind in kinds if len(plugins[kind]) > 1]


def _in_order(faults: list[Fault]) -> list[Fault]:
    """As the lines of the file, those without a line first."""

    def line(fault: Fault) -> int:
        number = fault.where.rpartition(":")[2]
        return int(number) if number.isdecimal() else 0

    return sorted(faults, key=line)


def _set(data: dict[str, object], one: Override) -> None:
    section, key = map(str, one.path)
    inner = data.get(section)
    data[section] = {**(inner if is_section(inner) else {}), key: one.value}


def _fault(document: Document, schema: Schema[M], detail: ErrorDetails) -> Fault:
    path = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return document.fault(path, unknown_reason(str(path[-1]), _known(schema, path[:-1])))
    if detail["type"] == "missing":
        flag = schema.flags.get(path)
        return document.fault(path, f"must be configured, in the file or with {flag}" if flag else "must be configured")
    return document.fault(path, detail["msg"].removeprefix("Value error, "))


def _known(schema: Schema[M], section: KeyPath) -> set[str]:
    """The keys of a section, those of SPIRE that are not built among them."""
    model: type[Section] | None = schema.model
    for key in section:
        field_of = model.model_fields.get(str(key)) if model else None
        kind = section_type(field_of.annotation) if field_of else None
        model = kind if isinstance(kind, type) and issubclass(kind, Section) else None
    known = {str(path[-1]) for path in schema.not_built if path[:-1] == section}
    known |= model.model_fields.keys() if model else set()
    return known if section else known | {"plugins"}
