"""A policy set made ready to decide: parsed once, with the schema, without which Cedar passes over rules that fail."""

from dataclasses import dataclass
from importlib import resources

import cedarpy

from assay.errors import InvalidArgumentError
from assay.governed.digest import digest
from assay_server.model.governed.policybundle import PolicyBundle

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Policy:
    """One bundle, parsed. Decide with it as often as needed, from any thread."""

    bundle: PolicyBundle
    policies: cedarpy.PolicySet
    schema: cedarpy.Schema

    @property
    def version(self) -> int:
        """The bundle's."""
        return self.bundle.version


def compiled(bundle: PolicyBundle) -> Policy:
    """The bundle, ready to decide.

    Raises:
        InvalidArgumentError: a policy does not parse.
    """
    try:
        policies = cedarpy.PolicySet.from_str("\n".join(bundle.files[name] for name in sorted(bundle.files)))
    except ValueError as error:
        raise InvalidArgumentError(f"policy does not parse: {error}", hint="see `assay policy validate`") from None
    return Policy(bundle, policies, cedarpy.Schema.from_str(schema_text()))


def schema_text() -> str:
    """The shipped schema, as Cedar writes it."""
    return _shipped("schema.cedarschema")


def shipped() -> Policy:
    """The set that comes with the server, version 0."""
    files = {"default.cedar": _shipped("default.cedar")}
    return compiled(PolicyBundle(0, digest(files), SCHEMA_VERSION, files))


def _shipped(name: str) -> str:
    return (resources.files("assay_server.policy") / "shipped" / name).read_text()
