"""SPIFFE IDs and trust domains (SPIFFE-ID section 2): opaque values, all parsing in the constructors.

What parses is written back byte for byte: upper case in the scheme or trust domain is refused rather than lowered.
"""

import re
from dataclasses import dataclass

from assay.errors import InvalidArgumentError

SCHEME = "spiffe://"
MAX_ID_BYTES = 2048
MAX_TRUST_DOMAIN_BYTES = 255

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+")
_SEGMENT = re.compile(r"[a-zA-Z0-9._-]+")
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[a-zA-Z0-9._-]+)*")


class SpiffeIdError(InvalidArgumentError):
    """A string that is not a SPIFFE ID or trust domain name."""


@dataclass(frozen=True, slots=True, order=True)
class TrustDomain:
    """The name of a trust domain, such as `example.org` (SPIFFE-ID section 2.1).

    Raises:
        SpiffeIdError: the name is empty, longer than 255 bytes or has a character other than a-z, 0-9, `.`, `-`, `_`.
    """

    name: str

    def __post_init__(self) -> None:
        if not self.name:
            raise SpiffeIdError("trust domain is missing")
        if not _TRUST_DOMAIN.fullmatch(self.name):
            raise SpiffeIdError(
                "trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores"
            )
        if len(self.name) > MAX_TRUST_DOMAIN_BYTES:
            raise SpiffeIdError(f"trust domain is longer than {MAX_TRUST_DOMAIN_BYTES} bytes")

    @classmethod
    def parse(cls, text: str) -> "TrustDomain":
        """From a name or from any SPIFFE ID in the domain."""
        return SpiffeId.parse(text).trust_domain if ":/" in text else cls(text)

    @property
    def id(self) -> "SpiffeId":
        """The trust domain's own ID, which has no path."""
        return SpiffeId(self, "")

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, order=True)
class SpiffeId:
    """A SPIFFE ID: trust domain and path; the path is empty or begins with `/`.

    Raises:
        SpiffeIdError: the path breaks SPIFFE-ID section 2.2 or the whole is longer than 2048 bytes (section 2.3).
    """

    trust_domain: TrustDomain
    path: str = ""

    def __post_init__(self) -> None:
        _check_path(self.path)
        if len(SCHEME) + len(self.trust_domain.name) + len(self.path) > MAX_ID_BYTES:
            raise SpiffeIdError(f"SPIFFE ID is longer than {MAX_ID_BYTES} bytes")

    @classmethod
    def parse(cls, text: str) -> "SpiffeId":
        """From its URI form."""
        if not text:
            raise SpiffeIdError("SPIFFE ID cannot be empty")
        if not text.startswith(SCHEME):
            raise SpiffeIdError("scheme is missing or invalid", hint=f"a SPIFFE ID begins with {SCHEME}")
        name, slash, rest = text[len(SCHEME) :].partition("/")
        return cls(TrustDomain(name), slash + rest)

    def member_of(self, trust_domain: TrustDomain) -> bool:
        """Whether the ID is in that trust domain."""
        return self.trust_domain == trust_domain

    def __str__(self) -> str:
        return f"{SCHEME}{self.trust_domain.name}{self.path}"


def _check_path(path: str) -> None:
    # One match for those that are right; what follows finds the words for those that are not.
    if _PATH.fullmatch(path):
        return
    if not path.startswith("/"):
        raise SpiffeIdError("path must have a leading slash")
    if path.endswith("/"):
        raise SpiffeIdError("path cannot have a trailing slash")
    for segment in path[1:].split("/"):
        if not segment:
            raise SpiffeIdError("path cannot contain empty segments")
        if segment in {".", ".."}:
            raise SpiffeIdError("path cannot contain dot segments")
        if not _SEGMENT.fullmatch(segment):
            raise SpiffeIdError(
                "path segment characters are limited to letters, numbers, dots, dashes, and underscores"
            )
