"""DeltaSecrets, one stream of it: a response holds what the Envoy lacks and what is gone (incremental xDS).

SPIRE's agent has no such method. A name that is not the caller's does not end the stream: it is answered as removed,
as the protocol has it, and the secret follows as soon as there is one. An Envoy keeps a secret that is removed.
"""

from collections.abc import Iterable

from structlog.typing import FilteringBoundLogger

from assay_agent.cache import WorkloadView
from assay_agent.sds.limits import MOST_TOLD, check_count, check_names, check_text
from assay_agent.sds.node import validates_spiffe
from assay_agent.sds.secrets import TYPE_URL, Resource, Secrets, not_authorized
from assay_agent.sds.sotw import new_nonce
from assay_proto.envoy.service.discovery.v3 import discovery_pb2 as pb

WILDCARD = "*"
# Stands for the version of what the client knows not to be there.
_ABSENT = ""
# And for one that it may think to be gone.
_IN_DOUBT = "?"
# Versions of ours are shorter; what somebody else made up is no version of ours.
_MOST_VERSION = 64


class DeltaConversation:
    """What one stream subscribes to, what its client has of it, and what it lacks.

    The first request may say what the client has from an earlier stream. To subscribe once more to a name asks for its
    resource whether it has changed or not. A first request without names subscribes to everything, as does `*`. A
    rejected response is not repeated: the next state of the secret is sent when there is one.
    """

    def __init__(self, secrets: Secrets, log: FilteringBoundLogger, *, disabled: bool) -> None:
        self._secrets = secrets
        self._log = log
        self._disabled = disabled
        self._spiffe = not disabled
        self._names: set[str] = set()
        self._everything = False
        self._begun = False
        self._type_url = TYPE_URL
        self._has: dict[str, str] = {}
        self._view: WorkloadView | None = None
        self._states = 0
        self._due = False
        self._nonce = ""

    def receive(self, request: pb.DeltaDiscoveryRequest) -> None:
        """Take a request.

        Raises:
            InvalidArgumentError: it names more than is served.
        """
        check_count(request.resource_names_unsubscribe)
        check_count(request.resource_names_subscribe)
        check_count(request.initial_resource_versions)
        self._note(request)
        if request.HasField("node"):
            self._spiffe = validates_spiffe(request.node, disabled=self._disabled)
        self._type_url = request.type_url or self._type_url
        if not self._begun:
            self._begin(request)
        else:
            # Asked for again: the client may have forgotten what it has.
            for name in request.resource_names_subscribe:
                self._has.pop(name, None)
        self._subscribe(request.resource_names_subscribe)
        self._unsubscribe(request.resource_names_unsubscribe)

    def respond(self, view: WorkloadView) -> pb.DeltaDiscoveryResponse | None:
        """The response that is due, if one is.

        Raises:
            EndError: the Envoy cannot use what it asks for.
        """
        if view is not self._view:
            self._view = view
            self._states += 1
        elif not self._due:
            return None
        self._due = False
        if not self._names and not self._everything:
            return None
        resources, missing = self._wanted(view)
        changed = [one for one in resources if self._has.get(one.name) != one.version]
        removed = [name for name in missing if self._has.get(name) != _ABSENT]
        self._has = {**{one.name: one.version for one in resources}, **dict.fromkeys(missing & self._names, _ABSENT)}
        if not changed and not removed:
            return None
        return self._response(changed, sorted(removed))

    def _begin(self, request: pb.DeltaDiscoveryRequest) -> None:
        self._begun = True
        self._everything = not request.resource_names_subscribe
        check_text(request.initial_resource_versions)
        self._has = {
            name: version
            for name, version in request.initial_resource_versions.items()
            if 0 < len(version) <= _MOST_VERSION
        }

    def _subscribe(self, names: Iterable[str]) -> None:
        more = set(filter(None, names))
        self._due = self._due or bool(more) or self._everything
        self._everything = self._everything or WILDCARD in more
        self._names |= more - {WILDCARD}
        check_names(self._names)

    def _unsubscribe(self, names: Iterable[str]) -> None:
        for name in names:
            if name == WILDCARD:
                self._everything = False
                self._has = {known: version for known, version in self._has.items() if known in self._names}
            elif name in self._names:
                self._names.discard(name)
                self._let_go(name)

    def _let_go(self, name: str) -> None:
        if not self._everything:
            self._has.pop(name, None)
            return
        # The client cannot know whether it is among everything: it is sent again, or said to be removed.
        self._has[name] = _IN_DOUBT
        self._due = True

    def _wanted(self, view: WorkloadView) -> tuple[tuple[Resource, ...], set[str]]:
        """What there is of the subscribed, and names that stand for nothing; of what is being signed neither."""
        found = dict(self._secrets.chosen(view, frozenset()).found) if self._everything else {}
        missing: set[str] = set()
        if self._names:
            choice = self._secrets.chosen(view, frozenset(self._names))
            found |= choice.found
            missing |= set(choice.missing)
        missing |= self._has.keys() - found.keys() if self._everything else set()
        missing -= self._secrets.pending(view)
        return tuple(
            self._secrets.resource(view, name, content, spiffe=self._spiffe) for name, content in found.items()
        ), missing

    def _response(self, changed: list[Resource], removed: list[str]) -> pb.DeltaDiscoveryResponse:
        self._nonce = new_nonce()
        if refused := tuple(name for name in removed if name in self._names):
            error = not_authorized(refused).message[:MOST_TOLD]
            self._log.error("Secrets are not the caller's, or not any more", error=error)
        self._log.debug("Sending DeltaSecrets response", nonce=self._nonce, count=len(changed), removed=len(removed))
        return pb.DeltaDiscoveryResponse(
            system_version_info=str(self._states),
            resources=[pb.Resource(name=one.name, version=one.version, resource=one.packed) for one in changed],
            type_url=self._type_url,
            removed_resources=removed,
            nonce=self._nonce,
        )

    def _note(self, request: pb.DeltaDiscoveryRequest) -> None:
        self._log.debug(
            "Received DeltaSecrets request",
            resource_names=request.resource_names_subscribe[:],
            unsubscribed=request.resource_names_unsubscribe[:],
            nonce=request.response_nonce,
        )
        if request.HasField("error_detail") and self._nonce and request.response_nonce == self._nonce:
            # Once: an Envoy that cannot use a secret may say so without end.
            self._nonce = ""
            told = request.error_detail.message[:MOST_TOLD]
            self._log.error("Envoy reported errors applying secrets", error=told)
