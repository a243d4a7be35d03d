"""Write the tables of docs/configuration.md from the code; with --check only say whether they are current."""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pluginkeys import PLUGIN_KEYS

from assay.config.duration import format_duration
from assay.config.fields import Section, section_type
from assay.config.notbuilt import NotBuilt
from assay.config.plugin import Catalog

PAGE = Path(__file__).resolve().parent / "configuration.md"
KINDS = {
    "CollectorUrl": "URL", "Collectors": "list of collectors", "dict": "names and texts", "float": "number",
    "DomainName": "trust domain", "FilePath": "path", "FractionalSeconds": "duration", "Identities": "SPIFFE IDs",
    "KeyTypeName": "key type", "Networks": "CIDR ranges", "Port": "port",
    "PositiveSeconds": "duration", "Rate": "number", "Seconds": "duration",
    "Texts": "list of text", "bool": "true, false", "int": "number",
}  # fmt: skip
DURATIONS = {"PositiveSeconds", "Seconds", "FractionalSeconds"}
# Keys that are read not only at the start; the page says that all others are.
_RELOAD = "on `SIGHUP`, `SIGUSR1`"
READ_AGAIN = {
    ("agent", "join_token_file"): "at each attestation",
    ("agent", "log_file"): "on `SIGUSR2`",
    ("agent", "trust_bundle_path"): "while no bundle is kept in `data_dir`",
    **{
        ("agent", name): _RELOAD
        for name in (
            "allow_unauthenticated_verifiers",
            "allowed_foreign_jwt_claims",
            "authorized_delegates",
            "availability_target",
            "calls_per_user",
            "connections_per_user",
            "fetch_jwt_bundles",
            "fetch_jwt_svid",
            "fetch_secrets",
            "fetch_x509_bundles",
            "fetch_x509_svid",
            "jwt_svid_cache_hit_timeout",
            "jwt_svid_cache_max_size",
            "log_level",
            "log_selectors",
            "stream_secrets",
            "sync_interval",
            "workload_x509_svid_key_type",
            "x509_svid_cache_max_size",
        )
    },
    ("server", "admin_ids"): _RELOAD,
    ("server", "attestation"): _RELOAD,
    ("server", "log_file"): "on `SIGUSR2`",
    ("server", "log_level"): _RELOAD,
    ("server", "signing"): _RELOAD,
    **{("tls", name): _RELOAD for name in ("cert_file", "key_file", "client_ca_file")},
}


def sections(daemon: str) -> Iterator[str]:
    """The tables of one daemon's own keys."""
    schema = importlib.import_module(f"assay_{daemon}.config.schema")
    for path in schema.SECTIONS:
        model = schema.__dict__[f"{daemon.capitalize()}File"]
        for key in path:
            model = annotation(model, str(key))
        if not issubclass(model, Section):  # names of the operator's own
            continue
        homes = (daemon, str(path[-1]))
        rows = [row(model, name, schema.FLAGS.get((*path, name), ""), homes) for name in plain_keys(model)]
        if rows:
            yield f"### `{' { '.join(path)} {{ }}{' }' * (len(path) - 1)}`\n"
            yield "| key | value | default | flag | read | meaning |\n|---|---|---|---|---|---|"
            yield "\n".join(rows) + "\n"


def is_section(model: type[Section], key: str) -> bool:
    """Whether that field's annotation is a section's class."""
    kind = annotation(model, key)
    return isinstance(kind, type) and issubclass(kind, Section)


def annotation(model: type[Section], key: str) -> Any:  # noqa: ANN401 - any type
    """A field's type, without its validators."""
    return section_type(model.model_fields[key].annotation)


def plain_keys(model: type[Section]) -> list[str]:
    """The keys that are not sections."""
    return [name for name in model.model_fields if not is_section(model, name)]


def row(model: type[Section], name: str, flag: str, homes: tuple[str, str]) -> str:
    """One key; `homes` are the daemon and the section."""
    written, meaning = source(model)[name]
    if not meaning:
        raise SystemExit(f"{model.__name__}.{name} does not say what it means")
    kind = kind_of(written) + range_of(model.model_fields[name].metadata)
    default = default_of(model, name, written)
    again = next((READ_AGAIN[home, name] for home in homes if (home, name) in READ_AGAIN), "")
    cells = (f"`{name}`", kind, default, f"`{flag}`" if flag else "", again, meaning)
    return f"| {' | '.join(cells)} |"


def source(model: type[Section]) -> dict[str, tuple[str, str]]:
    """Each field's annotation as it is written, and the text below it."""
    (made,) = ast.parse(inspect.getsource(model)).body
    body = made.body if isinstance(made, ast.ClassDef) else []
    found: dict[str, tuple[str, str]] = {}
    for line, below in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else ""
            found[line.target.id] = ast.unparse(line.annotation), str(text)
    return {name: found.get(name, ("", "")) for name in model.model_fields}


def words(written: str) -> set[str]:
    """The names in an annotation."""
    return set(re.findall(r"\w+", written))


def kind_of(written: str) -> str:
    """What to write as its value."""
    return next((kind for name, kind in KINDS.items() if name in words(written)), "text")


def range_of(metadata: list[Any]) -> str:
    """The least and the most that a number may be."""
    least, most = ({getattr(one, end, None) for one in metadata} - {None} for end in ("ge", "le"))
    texts = [f"{word} {ends.pop()}" for word, ends in (("from", least), ("to", most)) if ends]
    return f" {' '.join(texts)}" if texts else ""


def default_of(model: type[Section], name: str, written: str) -> str:
    """What it is when the file does not say."""
    field = model.model_fields[name]
    if field.is_required():
        return "**required**"
    value = field.default
    if value in ("", None, (), {}):
        return ""
    value = value.value if isinstance(value, Enum) else value
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{format_duration(int(value)) if words(written) & DURATIONS else value}`"


def not_built(daemon: str) -> Iterator[str]:
    """SPIRE's keys that do nothing here yet."""
    table: Mapping[tuple[str, ...], NotBuilt] = importlib.import_module(f"assay_{daemon}.config.spire").NOT_BUILT
    yield "| key | if it is set | why |\n|---|---|---|"
    for path, one in table.items():
        why = one.reason or "what it switches off is not there"
        yield f"| `{'.'.join(path)}` | {'refused' if one.fatal else 'warning'} | {why} |"
    yield ""


def described(daemon: str, kind: str, plugin: str, key: str) -> tuple[str, str, str]:
    """Where a plugin's key is described: by its type and name, or by its name where one type alone has it."""
    by_type = daemon, f"{kind} {plugin}", key
    return by_type if by_type in PLUGIN_KEYS else (daemon, plugin, key)


def plugin_key(path: tuple[str, str, str]) -> tuple[str, str, str, str]:
    """A plugin's key: value, default, when it is read, meaning."""
    if path not in PLUGIN_KEYS:
        raise SystemExit(f"docs/pluginkeys.py does not say what {path[2]} of the {path[0]}'s {path[1]} means")
    value, default, meaning, again = PLUGIN_KEYS[path]
    return value, default, again, meaning


def plugins(daemon: str) -> Iterator[str]:
    """The plugins that are here, and those of SPIRE's that are not."""
    catalog: Catalog = importlib.import_module(f"assay_{daemon}.config.spire").CATALOG
    here = [(kind, name, one) for kind, known in catalog.items() for name, one in known.items() if one is not None]
    yield "| type | plugin | key | value | default | read | meaning |\n|---|---|---|---|---|---|---|"
    for kind, name, built_in in here:
        for key in sorted(built_in.keys):
            yield f"| `{kind}` | `{name}` | `{key}` | {' | '.join(plugin_key(described(daemon, kind, name, key)))} |"
        if not built_in.keys:
            yield f"| `{kind}` | `{name}` | none | | | | |"
    gone = {path for path in PLUGIN_KEYS if path[0] == daemon} - {
        described(daemon, kind, name, key) for kind, name, built_in in here for key in built_in.keys
    }
    if gone:
        raise SystemExit(f"docs/pluginkeys.py describes keys that no plugin reads: {gone}")
    yield ""
    later = [
        f"{kind} {', '.join(names)}" for kind, known in catalog.items() if (names := [n for n in known if not known[n]])
    ]
    yield f"Of SPIRE's, not built yet: {'; '.join(later)}."


TABLES = {"keys": sections, "plugins": plugins, "not built": not_built}


def rendered(page: str) -> str:
    """The page with each part between its two marks made anew."""

    def part(found: re.Match[str]) -> str:
        daemon, _, name = found[1].partition(" ")
        return f"<!-- {found[1]} -->\n\n" + "\n".join(TABLES[name](daemon)).strip() + "\n\n<!-- end -->"

    return re.sub(r"<!-- ((?:server|agent) [a-z ]+) -->.*?<!-- end -->", part, page, flags=re.DOTALL)


def main() -> int:
    """Write; 1 when --check finds a difference."""
    page = PAGE.read_text()
    fresh = rendered(page)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(fresh)
    elif fresh != page:
        print("docs/configuration.md is stale, run `make docs`", file=sys.stderr)  # noqa: T201 - a script's answer
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
