"""The agent's ID path from its certificate: the fields of SPIRE's agent_path_template, without its functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from assay.errors import InvalidArgumentError

DEFAULT_TEMPLATE = "/{{ .PluginName }}/{{ .Fingerprint }}"
SVID_TEMPLATE = "/{{ .PluginName }}/{{ .SVIDPathTrimmed }}"
FIELDS = ("PluginName", "Fingerprint", "SerialNumberHex", "TrustDomain", "Subject.CommonName", "SVIDPathTrimmed")
SAN_FIELD = "URISanSelectors."

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_FIELD = re.compile(r"\.([A-Za-z0-9_.]+)")


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A template that is known to name only fields there are."""

    text: str

    @classmethod
    def parse(cls, text: str) -> "PathTemplate":
        """Check the template.

        Raises:
            InvalidArgumentError: it names another field, or uses more of Go's template language than fields.
        """
        for action in _ACTION.findall(text):
            field = _FIELD.fullmatch(action)
            if field is None or not (field[1] in FIELDS or field[1].startswith(SAN_FIELD)):
                known = ", ".join(f".{name}" for name in (*FIELDS, SAN_FIELD + "<key>"))
                raise InvalidArgumentError(
                    f'failed to parse agent svid template: "{text}": {{{{ {action} }}}} is not built',
                    hint=f"fields there are: {known}",
                )
        return cls(text)

    def path(self, fields: Mapping[str, str]) -> str:
        """The path after /spire/agent.

        Raises:
            InvalidArgumentError: the certificate lacks a field that the template names.
        """

        def value(match: re.Match[str]) -> str:
            name = match[1].removeprefix(".")
            if name not in fields:
                raise InvalidArgumentError(f"failed to make spiffe id: certificate has no {name}")
            return fields[name]

        return _ACTION.sub(value, self.text)
