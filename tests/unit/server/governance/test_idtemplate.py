"""Templates of SPIFFE IDs: each principal has IDs of its own, and none that belongs to somebody else."""

from dataclasses import replace

import pytest

from assay.errors import InvalidArgumentError
from assay.spiffeid import TrustDomain
from assay_server.governance.idtemplate import bound_id, check_template, has_instances
from assay_server.model.governed.principal import ActorType, Principal

TD = TrustDomain("example.org")
BOT = Principal("bot", ActorType.AI_AGENT)


@pytest.mark.parametrize(
    ("template", "path", "instances"),
    [
        ("/principal/{name}/{instance}", "/principal/bot", True),
        ("/agents/{name}", "/agents/bot", False),
        ("/{name}/{instance}", "/bot", True),
        ("/ns/prod/sa-{name}/{instance}", "/ns/prod/sa-bot", True),
    ],
)
def test_bindings_have_the_id_up_to_the_instance(template: str, path: str, instances: bool) -> None:
    one = replace(BOT, id_template=template)
    check_template(one, TD)
    assert bound_id(one, TD).path == path
    assert has_instances(one) is instances


@pytest.mark.parametrize(
    "template",
    [
        "", "/", "/principal", "/principal/{instance}", "principal/{name}", "/{name}/{name}", "/{name}/{instance}/x",
        "/{instance}/{name}", "/{name}/x-{instance}", "/{name}/{tenant}", "/{name}/{", "/spire/{name}/{instance}",
        "/spire/agent/{name}", "/a b/{name}", "/a//{name}", "/../{name}", "/{name}/", "/ä/{name}",
        "/{name}/{instance}/",
        "/x/{name}" + "/y" * 2000,
    ],
)  # fmt: skip
def test_other_templates_are_refused(template: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a template of SPIFFE IDs"):
        check_template(replace(BOT, id_template=template), TD)
