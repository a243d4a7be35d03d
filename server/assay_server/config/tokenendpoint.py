"""`assay { token_endpoint { } }`."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from assay.config.fields import Port, Section


@dataclass(frozen=True, slots=True)
class TokenEndpointSettings:
    """Where tokens of tasks are asked for over HTTPS; nowhere while `issuer` is empty."""

    issuer: str = ""
    address: str = "0.0.0.0"  # noqa: S104 - clients come from other machines, as agents do
    port: int = 8443

    @property
    def enabled(self) -> bool:
        """Whether it is switched on."""
        return bool(self.issuer)


def _issuer(text: str) -> str:
    url = urlsplit(text)
    if text and (url.scheme != "https" or not url.hostname or url.query or url.fragment or text.endswith("/")):
        raise ValueError("must be an https URL without query, fragment and a / at its end")
    return text


IssuerUrl = Annotated[str, AfterValidator(_issuer)]


class TokenEndpointSection(Section):
    """`assay { token_endpoint { } }`."""

    issuer: IssuerUrl = ""
    """The `iss` of task tokens and the URL that clients know the endpoint by; no endpoint while it is empty."""
    bind_address: str = "0.0.0.0"  # noqa: S104 - clients come from other machines, as agents do
    """The address that OAuth clients come to."""
    bind_port: Port = 8443
    """The TCP port that OAuth clients come to."""

    def settings(self) -> TokenEndpointSettings:
        """As the server takes it."""
        return TokenEndpointSettings(self.issuer, self.bind_address.strip("[]"), self.bind_port)
