"""What OAuth clients are told: an error code of the RFCs, and words without secrets."""

from http import HTTPStatus
from typing import Any


class OAuthError(Exception):
    """A refusal by its code (RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 9396 section 5, RFC 9449 section 5)."""

    def __init__(
        self, code: str, description: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST, **more: str | bool
    ) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status
        self.more = more

    def body(self) -> dict[str, Any]:
        """The members of the answer."""
        return {"error": self.code, "error_description": self.description, **self.more}


def invalid_client(description: str) -> OAuthError:
    """The caller is not known (RFC 6749 section 5.2)."""
    return OAuthError("invalid_client", description, HTTPStatus.UNAUTHORIZED)


def invalid_request(description: str) -> OAuthError:
    """The request itself is wrong."""
    return OAuthError("invalid_request", description)
