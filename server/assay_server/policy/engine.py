"""A policy set made ready to decide: parsed once, with the floor, and with the schema.

Without the schema Cedar passes over rules that fail.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

import cedarpy

from assay.errors import InvalidArgumentError
from assay.governed.digest import digest
from assay_server.model.governed.policybundle import PolicyBundle
from assay_server.policy.rule import Rule, rule_of
from assay_server.policy.slices import Slices

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class Policy:
    """One bundle, parsed. Decide with it as often as needed, from any thread."""

    bundle: PolicyBundle
    rules: Mapping[str, Rule]
    slices: Slices
    schema: cedarpy.Schema

    @property
    def version(self) -> int:
        """The bundle's."""
        return self.bundle.version


def compiled(bundle: PolicyBundle) -> Policy:
    """The bundle with the floor, ready to decide.

    Raises:
        InvalidArgumentError: it cannot be parsed, or was written for another schema.
    """
    if bundle.schema_version > SCHEMA_VERSION:
        raise InvalidArgumentError(f"policy is for schema version {bundle.schema_version}", hint="run a newer server")
    rules = [rule for name in sorted(bundle.files) for rule in rules_of(bundle.files[name])]
    return policy_of(bundle, (*rules, *floor_rules()))


def policy_of(bundle: PolicyBundle, rules: Iterable[Rule]) -> Policy:
    """These rules and no others, the floor's neither: for looking at a set by itself."""
    named = {rule.policy_id: rule for rule in rules}
    return Policy(bundle, MappingProxyType(named), Slices(list(named.values())), schema())


def rules_of(text: str) -> list[Rule]:
    """The policies of a text, in its order.

    Raises:
        InvalidArgumentError: it does not parse.
    """
    try:
        found = cedarpy.policies_to_pst(text)
    except ValueError as error:
        raise InvalidArgumentError(f"policy does not parse: {error}", hint="see `assay policy validate`") from None
    if found.templates or found.template_links:
        raise InvalidArgumentError("policy has a slot such as ?principal", hint="name the principal or its attributes")
    return [rule_of(template) for template in found.static_policies.values()]


@cache
def floor_rules() -> tuple[Rule, ...]:
    """What holds under every set."""
    return tuple(rules_of(shipped_text("floor.cedar")))


@cache
def floor_digest() -> str:
    """Of the floor and the schema, which come with the server and are no part of a bundle."""
    return digest({"floor": shipped_text("floor.cedar"), "schema": schema_text()})


@cache
def schema() -> cedarpy.Schema:
    """The shipped schema, parsed."""
    return cedarpy.Schema.from_str(schema_text())


def schema_text() -> str:
    """The shipped schema, as Cedar writes it."""
    return shipped_text("schema.cedarschema")


def bundle_digest(files: Mapping[str, str], tests: str) -> str:
    """Over all that is reviewed of a set."""
    return digest({"files": dict(files), "tests": tests})


@cache
def shipped() -> Policy:
    """The set that comes with the server, version 0."""
    files, tests = {"default.cedar": shipped_text("default.cedar")}, shipped_text("tests.toml")
    return compiled(PolicyBundle(0, bundle_digest(files, tests), SCHEMA_VERSION, files, tests))


def shipped_text(name: str) -> str:
    """A file that comes with the server."""
    return (resources.files("assay_server.policy") / "shipped" / name).read_text()
