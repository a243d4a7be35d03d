"""How far an environment is trusted, by its name: what no rule can be sure of counts as the worst."""

import re
from collections.abc import Mapping
from types import MappingProxyType

PRODUCTION, STAGING, DEVELOPMENT, SANDBOX, UNKNOWN = "production", "staging", "development", "sandbox", "unknown"
TRUSTS = (PRODUCTION, STAGING, DEVELOPMENT, SANDBOX, UNKNOWN)

_WORDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("prod", "production", "live"), PRODUCTION),
        **dict.fromkeys(("stage", "staging", "preprod", "uat"), STAGING),
        **dict.fromkeys(("dev", "development", "test", "testing", "ci", "qa"), DEVELOPMENT),
        **dict.fromkeys(("sandbox", "playground"), SANDBOX),
    }
)


def trust_of(environment: str) -> str:
    """One of TRUSTS: `prod`, `eu-prod` and `live` are production; a name that says nothing or two things is unknown."""
    found = {_WORDS[word] for word in re.split(r"[^a-z]+", environment.lower()) if word in _WORDS}
    return found.pop() if len(found) == 1 else UNKNOWN
