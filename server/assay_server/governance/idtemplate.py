"""The SPIFFE IDs of a principal, from its template: a path with `{name}` and, last, `{instance}`.

A binding has the template's ID without the instance; each copy that runs has one with its own.
"""

from assay.errors import InvalidArgumentError
from assay.namespace import require_workload
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.model.governed.principal import Principal

NAME, INSTANCE = "{name}", "{instance}"
_LAST = f"/{INSTANCE}"


def check_template(principal: Principal, trust_domain: TrustDomain) -> None:
    """Refuse a template that does not give the principal an ID of its own.

    Raises:
        InvalidArgumentError: `{name}` is not there once, `{instance}` is not the whole last segment, or what comes of
            it is no workload's SPIFFE ID.
    """
    template = principal.id_template
    base = template.removesuffix(_LAST)
    if template.count(NAME) != 1:
        raise _refused(template, f"{NAME} must be in it, once")
    if INSTANCE in base:
        raise _refused(template, f"{INSTANCE} can only be its last segment, whole")
    if "{" in base.replace(NAME, "") or "}" in base.replace(NAME, ""):
        raise _refused(template, f"only {NAME} and {INSTANCE} are filled in")
    try:
        require_workload(bound_id(principal, trust_domain), trust_domain)
    except InvalidArgumentError as error:
        raise _refused(template, error.message) from None


def bound_id(principal: Principal, trust_domain: TrustDomain) -> SpiffeId:
    """The ID of its bindings: the template's up to the instance."""
    return SpiffeId(trust_domain, principal.id_template.removesuffix(_LAST).replace(NAME, principal.name))


def has_instances(principal: Principal) -> bool:
    """Whether its template tells copies from each other."""
    return principal.id_template.endswith(_LAST)


def _refused(template: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f'"{template}" is not a template of SPIFFE IDs: {why}', hint="such as /principal/{name}/{instance}"
    )
