"""What ValidateJWTSVID tells a caller of a token's claims."""

import json
from collections.abc import Set as AbstractSet

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.struct_pb2 import Struct

from assay.errors import InvalidArgumentError
from assay.spiffeid import TrustDomain
from assay.svid import JwtSvid

ALWAYS = frozenset({"sub", "exp", "aud"})


def visible_claims(svid: JwtSvid, trust_domain: TrustDomain, allowed: AbstractSet[str]) -> dict[str, object]:
    """All claims of an own token; of a foreign one `sub`, `exp`, `aud` and those allowed. `aud` is always a list."""
    foreign = not svid.spiffe_id.member_of(trust_domain)
    claims = {name: value for name, value in svid.claims.items() if not foreign or name in ALWAYS or name in allowed}
    return {**claims, "aud": list(svid.audience)}


def to_struct(claims: dict[str, object]) -> Struct:
    """Claims on the wire, where every number is a double.

    Raises:
        InvalidArgumentError: a number is too large, or the nesting too deep.
    """
    try:
        # A number such as 1e400 was read as infinity, which a Struct would hold but nobody can write as JSON.
        json.dumps(claims, allow_nan=False)
        return ParseDict(claims, Struct())
    except (ParseError, OverflowError, ValueError, RecursionError):
        raise InvalidArgumentError("token has claims that cannot be passed on") from None
