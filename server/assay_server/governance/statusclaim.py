"""Where the status of a credential is looked up: the claim by which tokens refer to a status list."""

from typing import Any

from assay.governed import claims
from assay_server.model.governed.statusindex import list_of, place_of
from assay_server.model.governed.task import Credential


def status_claim(lists: str, credential: Credential) -> dict[str, Any]:
    """The claim, with its name; `lists` is the URL below which lists are published, and without one there is none."""
    if not lists or not credential.status_index:
        return {}
    index = credential.status_index
    return {claims.STATUS: {"status_list": {"idx": place_of(index), "uri": f"{lists}/{list_of(index)}"}}}
