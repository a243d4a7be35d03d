from collections.abc import Sequence

import pytest

from assay.config.check import Override, Plugins, Schema, at_most_one, check
from assay.config.document import Document
from assay.config.fault import ConfigError, Fault
from assay.config.fields import Port, Section, Texts
from assay.config.notbuilt import NotBuilt, warned
from assay.config.plugin import BuiltIn
from assay.config.source import parse


class Inner(Section):
    on: bool = True


class Server(Section):
    name: str
    port: Port = 1
    ids: Texts = ()
    inner: Inner = Inner()


class File(Section):
    server: Server


def verify(document: Document, plugins: Plugins) -> list[Fault]:
    return at_most_one(document, plugins, ("KeyManager",))


SCHEMA = Schema(
    File,
    (("server",), ("server", "inner")),
    {("server", "audit"): NotBuilt("no audit"), ("telemetry",): warned("no metrics")},
    {"KeyManager": {"disk": BuiltIn(), "memory": BuiltIn()}},
    verify,
    {("server", "name"): "--name"},
)


def faults(text: str, overrides: Sequence[Override] = ()) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        check(parse(text, "f"), SCHEMA, overrides)
    return [str(one) for one in refused.value.faults]


def test_a_right_document_gives_model_plugins_and_warnings() -> None:
    text = """server {
 name = "n"
 port = "2"
 inner { on = false }
}
plugins { KeyManager "disk" {} }
telemetry { x = 1 }
"""
    checked = check(parse(text, "f"), SCHEMA)
    assert checked.model == File(server=Server(name="n", port=2, inner=Inner(on=False)))
    assert [plugin.name for plugin in checked.plugins["KeyManager"]] == ["disk"]
    assert [str(one) for one in checked.warnings] == ["f:7: telemetry: no metrics"]


def test_every_fault_is_said_at_once_in_the_order_of_the_lines() -> None:
    text = (
        "server {\n port = 99999\n prot = 1\n audit = true\n inner { onn = true }\n ids = [1, []]\n}\n"
        'plugins {\n KeyManager "disk" {}\n KeyManager "memory" {}\n KeyManager "x" {}\n}\n'
        "srever {}\nport = 1\nport = 2\n"
    )
    assert faults(text) == [
        "f:1: server.name: must be configured, in the file or with --name",
        "f:2: server.port: must be a port number, 1 to 65535",
        'f:3: server.prot: unknown key; did you mean "port"?',
        "f:4: server.audit: no audit",
        'f:5: server.inner.onn: unknown key; did you mean "on"?',
        "f:6: server.ids[1]: Input should be a valid string",
        "f:9: plugins.KeyManager: exactly one can be on",
        "f:11: plugins.KeyManager.x: unknown plugin; valid here: disk, memory",
        'f:13: srever: unknown key; did you mean "server"?',
        "f:14: port: unknown key; valid here: plugins, server, telemetry",
        "f:15: port: is set twice, first on line 14",
    ]


def test_keys_that_are_not_built_count_among_the_valid_ones() -> None:
    assert faults('server {\n name = "n"\n audi = true\n}') == ['f:3: server.audi: unknown key; did you mean "audit"?']


def test_a_missing_section_is_said() -> None:
    assert faults("") == ["f: server: must be configured"]


def test_the_command_line_wins_and_is_named_when_it_is_wrong() -> None:
    text = 'server {\n name = "n"\n port = 2\n}'
    given = [Override(("server", "port"), "--port", "3"), Override(("server", "name"), "--name", None)]
    server = check(parse(text, "f"), SCHEMA, given).model.server
    assert (server.port, server.name) == (3, "n")
    assert faults(text, [Override(("server", "port"), "--port", "x")]) == [
        "--port: server.port: must be a port number, 1 to 65535"
    ]


def test_the_command_line_makes_up_for_a_file() -> None:
    given = [Override(("server", "name"), "--name", "n")]
    assert check(Document("command line", {}), SCHEMA, given).model.server.name == "n"


def test_a_fault_does_not_repeat_what_was_given() -> None:
    assert "hunter2" not in "".join(faults('server {\n name = "n"\n inner = "hunter2"\n port = "hunter2"\n}'))
