"""Who is wanted: rules about SPIFFE IDs that are proven already.

A verifier says who somebody is, an authorizer whether that one may. There is no default: to admit everyone whom a
bundle vouches for, `any_id()` has to be written down.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from assay.errors import InvalidArgumentError, Kind
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid.refusal import Reason, RefusedError

_SHOWN = 5


class NotAuthorizedError(RefusedError):
    """The caller is known and not wanted; `wanted` says in words who is."""

    kind = Kind.PERMISSION_DENIED

    def __init__(self, spiffe_id: SpiffeId, wanted: str) -> None:
        super().__init__(
            Reason.NOT_AUTHORIZED,
            f'SPIFFE ID "{spiffe_id}" is not authorized',
            spiffe_id=spiffe_id,
            hint=f"wanted: {wanted}",
        )
        self.wanted = wanted


@dataclass(frozen=True, slots=True)
class Authorizer:
    """A rule. `description` completes "wanted: ..."; made by the functions of this module."""

    description: str
    admits: Callable[[SpiffeId], bool] = field(repr=False)

    def check(self, spiffe_id: SpiffeId) -> None:
        """Return if the ID is wanted.

        Raises:
            NotAuthorizedError: it is not.
        """
        # Not merely something true: the coroutine of a rule that is `async` by mistake is that.
        if self.admits(spiffe_id) is not True:
            raise NotAuthorizedError(spiffe_id, self.description)


def any_id() -> Authorizer:
    """Everyone whom the bundles vouch for, federated trust domains too."""
    return Authorizer("any SPIFFE ID", lambda _: True)


def one_of(*ids: SpiffeId | str) -> Authorizer:
    """Just these IDs.

    Raises:
        InvalidArgumentError: none is given, one is not a SPIFFE ID, or has no path (`member_of` is for domains).
    """
    wanted = frozenset(map(_workload_id, ids))
    if not wanted:
        raise InvalidArgumentError("no SPIFFE ID is given to authorize")
    return Authorizer(_listed("one of", map(str, wanted)), wanted.__contains__)


def member_of(*trust_domains: TrustDomain | str) -> Authorizer:
    """All IDs of these trust domains.

    Raises:
        InvalidArgumentError: none is given, or one is not a trust domain.
    """
    wanted = frozenset(map(_trust_domain, trust_domains))
    if not wanted:
        raise InvalidArgumentError("no trust domain is given to authorize")
    return Authorizer(_listed("member of", map(str, wanted)), lambda one: one.trust_domain in wanted)


def path_prefix(trust_domain: TrustDomain | str, prefix: str) -> Authorizer:
    """IDs of that trust domain whose path is `prefix` or below it, by whole segments.

    `/ns/prod` admits `/ns/prod/web` and not `/ns/production`.

    Raises:
        InvalidArgumentError: not a trust domain, or not a path (`member_of` admits all paths).
    """
    root = _workload_id(SpiffeId(_trust_domain(trust_domain), prefix))
    below = f"{root.path}/"

    def admits(one: SpiffeId) -> bool:
        return one.trust_domain == root.trust_domain and (one.path == root.path or one.path.startswith(below))

    return Authorizer(f"{root} or below", admits)


def matching(predicate: Callable[[SpiffeId], bool], description: str) -> Authorizer:
    """IDs for which `predicate` returns True itself, not merely something true; `description` says whom that means.

    Raises:
        InvalidArgumentError: the description is empty.
    """
    if not description:
        raise InvalidArgumentError("an authorizer's description is empty", hint='say who is wanted: "wanted: ..."')
    return Authorizer(description, predicate)


def any_of(*authorizers: Authorizer) -> Authorizer:
    """IDs that one of these admits.

    Raises:
        InvalidArgumentError: none is given.
    """
    if not authorizers:
        raise InvalidArgumentError("no authorizer is given")

    def admits(one: SpiffeId) -> bool:
        return any(_holds(authorizer, one) for authorizer in authorizers)

    return Authorizer(" or ".join(one.description for one in authorizers), admits)


def _holds(authorizer: Authorizer, spiffe_id: SpiffeId) -> bool:
    try:
        authorizer.check(spiffe_id)
    except NotAuthorizedError:
        return False
    return True


def _workload_id(value: SpiffeId | str) -> SpiffeId:
    spiffe_id = SpiffeId.parse(value) if isinstance(value, str) else value
    if not spiffe_id.path:
        raise InvalidArgumentError(
            f'"{spiffe_id}" has no path, so no workload has it', hint="member_of admits a domain"
        )
    return spiffe_id


def _trust_domain(value: TrustDomain | str) -> TrustDomain:
    return TrustDomain.parse(value) if isinstance(value, str) else value


def _listed(what: str, values: Iterable[str]) -> str:
    first, *others = sorted(values)
    shown = ", ".join([first, *others[: _SHOWN - 1]])
    hidden = len(others) + 1 - _SHOWN
    return f"{what} {shown} and {hidden} more" if hidden > 0 else f"{what} {shown}"
