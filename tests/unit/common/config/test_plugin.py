from pathlib import Path

import pytest

from assay.config.document import Document
from assay.config.plugin import BuiltIn, Catalog, Plugin, PluginReader
from assay.config.source import parse
from assay.testing.distribution import install

CATALOG: Catalog = {
    "KeyManager": {"disk": BuiltIn(frozenset({"path"}), frozenset({"speed"}), {"mode": ("", "plain")}), "kms": None},
    "NodeAttestor": {"a": BuiltIn(), "b": BuiltIn(frozenset({"k", "list"}))},
    "Upstream": {"vault": None},
}


def reader(text: str) -> PluginReader:
    return PluginReader(parse(text, "f"), CATALOG)


SPELLINGS = {
    "blocks": """
        plugins {
            KeyManager "disk" { plugin_data { path = "x" } }
            NodeAttestor "b" { plugin_data { k = 1 } }
            NodeAttestor "a" { plugin_data {} }
        }
    """,
    "nested objects": """
        plugins {
            KeyManager { disk { plugin_data = { path = "x" } } }
            NodeAttestor {
                b { plugin_data { k = 1 } }
                a {}
            }
        }
    """,
    "several sections": """
        plugins {
            KeyManager "disk" { plugin_data { path = "x" } }
            NodeAttestor "b" { plugin_data { k = 1 } }
        }
        plugins { NodeAttestor "a" {} }
    """,
    "JSON objects": """{"plugins": {
        "KeyManager": {"disk": {"plugin_data": {"path": "x"}}},
        "NodeAttestor": {"b": {"plugin_data": {"k": 1}}, "a": {"plugin_data": {}}}
    }}""",
    "JSON lists": """{"plugins": [
        {"KeyManager": [{"disk": [{"plugin_data": [{"path": "x"}]}]}]},
        {"NodeAttestor": [{"b": [{"plugin_data": [{"k": 1}]}]}, {"a": [{}]}]}
    ]}""",
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_reads_alike(text: str) -> None:
    found = reader(text)
    assert found.read() == {
        "KeyManager": (Plugin("disk", {"path": "x"}),),
        "NodeAttestor": (Plugin("b", {"k": 1}), Plugin("a", {})),
        "Upstream": (),
    }
    assert not found.faults


@pytest.mark.parametrize(
    ("inside", "fault"),
    [
        ('KeyManager "disc" {}', 'f:2: plugins.KeyManager.disc: unknown plugin; did you mean "disk"?'),
        ('Keymanager "disk" {}', 'f:2: plugins.Keymanager: unknown plugin type; did you mean "KeyManager"?'),
        (
            'KeyManager "kms" {}',
            "f:2: plugins.KeyManager.kms: is a plugin of SPIRE's that is not built yet; here: disk",
        ),
        (
            'Upstream "vault" {}',
            "f:2: plugins.Upstream.vault: is a plugin of SPIRE's that is not built yet; here: none of this type",
        ),
        (
            'NodeAttestor "own" { plugin_cmd = "/bin/x" }',
            "f:2: plugins.NodeAttestor.own.plugin_cmd: external plugins are not built yet",
        ),
        (
            'NodeAttestor "b" { plugin_data { kk = 1 } }',
            'f:2: plugins.NodeAttestor.b.plugin_data.kk: unknown key; did you mean "k"?',
        ),
        (
            'KeyManager "disk" { plugin_data { mode = "fast" } }',
            "f:2: plugins.KeyManager.disk.plugin_data.mode: is a key of SPIRE's plugin that is not built yet",
        ),
        (
            'NodeAttestor "a" { plugin_dta {} }',
            'f:2: plugins.NodeAttestor.a.plugin_dta: unknown key; did you mean "plugin_data"?',
        ),
        ('NodeAttestor "a" { plugin_data = 1 }', "f:2: plugins.NodeAttestor.a.plugin_data: is not a section"),
        ("NodeAttestor { a = 1 }", "f:2: plugins.NodeAttestor.a: is not a section"),
    ],
)
def test_says_what_is_wrong(inside: str, fault: str) -> None:
    found = reader(f"plugins {{\n{inside}\n}}")
    found.read()
    assert [str(one) for one in found.faults] == [fault]


@pytest.mark.parametrize(
    "text",
    [
        '{"plugins": {"NodeAttestor": [{"a": {}}, {"a": {}}]}}',
        '{"plugins": {"NodeAttestor": {"a": [{"plugin_data": {}}, {"plugin_data": {}}]}}}',
    ],
)
def test_one_plugin_is_declared_once(text: str) -> None:
    found = reader(text)
    found.read()
    assert [one.reason for one in found.faults] == ["is declared more than once"]


def test_plugins_that_are_off_are_not_looked_at() -> None:
    found = reader('plugins {\n NodeAttestor "a" {\n enabled = false\n plugin_cmd = "/x"\n }\n}')
    assert found.read()["NodeAttestor"] == ()
    assert not found.faults


def test_keys_that_tune_what_is_not_there_are_warnings() -> None:
    found = reader('plugins {\n KeyManager "disk" { plugin_data { speed = 9 mode = "plain" } }\n}')
    assert found.read()["KeyManager"][0].name == "disk"
    assert [str(one) for one in found.warnings] == [
        "f:2: plugins.KeyManager.disk.plugin_data.speed: has no effect here"
    ]


def test_plugin_data_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "b.conf").write_text('k = 1\nlist = ["x"]\n')
    found = reader(f'plugins {{ NodeAttestor "b" {{ plugin_data_file = "{tmp_path}/b.conf" }} }}')
    assert found.read()["NodeAttestor"] == (Plugin("b", {"k": 1, "list": ["x"]}),)


@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        ('plugin_data_file = "/no/such"', "could not find config file"),
        ('plugin_data {}\nplugin_data_file = "/x"', "only one of plugin_data and plugin_data_file can be used"),
    ],
)
def test_a_plugin_data_file_must_be_there_and_alone(inside: str, reason: str) -> None:
    found = reader(f'plugins {{ NodeAttestor "b" {{\n{inside}\n}} }}')
    assert found.read()["NodeAttestor"] == ()
    assert [one.reason for one in found.faults] == [reason]


def test_plugins_must_be_a_section() -> None:
    found = PluginReader(Document("f", {"plugins": "x"}), CATALOG)
    found.read()
    assert [one.reason for one in found.faults] == ["is a section: plugins stand in braces after it"]


def test_what_a_plugin_is_given_does_not_show() -> None:
    assert "secret" not in repr(Plugin("x", {"password": "secret"}))


EXTERNAL = """
plugins {
    WorkloadAttestor "%s" { plugin_data { anything = 1 } }
}
"""


def external(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginReader:
    """Read a plugin of that name where a package brings the plugin `acme`."""
    points = {"assay.agent.WorkloadAttestor": {"acme": "acme_config:nothing"}}
    install(tmp_path, "acme-config", "", points)
    monkeypatch.syspath_prepend(tmp_path)
    return PluginReader(parse(EXTERNAL % name, "f"), {"WorkloadAttestor": {"unix": BuiltIn(), "docker": None}}, "agent")


def test_a_plugin_of_another_package_checks_its_own_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = external("acme", tmp_path, monkeypatch)
    assert read.read()["WorkloadAttestor"] == (Plugin("acme", {"anything": 1}),)
    assert not read.faults


@pytest.mark.parametrize(("name", "reason"), [("acne", 'did you mean "acme"?'), ("unixx", 'did you mean "unix"?')])
def test_an_unknown_plugin_is_refused_with_the_nearest(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = external(name, tmp_path, monkeypatch)
    assert read.read()["WorkloadAttestor"] == ()
    assert [fault.reason for fault in read.faults] == [f"unknown plugin; {reason}"]
