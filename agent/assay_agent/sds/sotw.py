"""StreamSecrets, one stream of it: every response holds all that the Envoy asks for (xDS, state of the world)."""

from collections.abc import Callable
from secrets import token_hex

from structlog.typing import FilteringBoundLogger

from assay_agent.cache import WorkloadView
from assay_agent.sds.limits import MOST_TOLD, check_names
from assay_agent.sds.node import validates_spiffe
from assay_agent.sds.secrets import Resource, Secrets
from assay_proto.envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest, DiscoveryResponse

_NONCE_BYTES = 4


def new_nonce() -> str:
    """One that no response of the stream had, but for chance."""
    return token_hex(_NONCE_BYTES)


class Conversation:
    """What was asked and answered on one stream, and what is due next.

    A request is an answer to the newest response if it has its nonce, and is ignored otherwise. It is answered when it
    is the first or names other resources than the one before; ACK and NACK alone never are. Apart from that there is
    a response whenever what was asked for has changed. `version_info` counts the states of the cache that this stream
    has seen.
    """

    def __init__(self, secrets: Secrets, log: FilteringBoundLogger, *, disabled: bool) -> None:
        self._secrets = secrets
        self._log = log
        self._disabled = disabled
        self._names: frozenset[str] | None = None
        self._type_url = ""
        self._spiffe = not disabled
        self._due = False
        self._view: WorkloadView | None = None
        self._states = 0
        self._looked_at: WorkloadView | None = None
        self._sent: tuple[tuple[str, str], ...] = ()
        self._version = ""
        self._nonce = ""
        self._complained: set[str] = set()

    def receive(self, request: DiscoveryRequest) -> None:
        """Take a request.

        Raises:
            InvalidArgumentError: it names more than is served.
        """
        check_names(request.resource_names)
        if not self._is_answer(request):
            return
        if request.HasField("node"):
            self._spiffe = validates_spiffe(request.node, disabled=self._disabled)
        names = frozenset(filter(None, request.resource_names))
        self._due = self._due or names != self._names
        self._names = names
        self._type_url = request.type_url

    def respond(self, view: WorkloadView) -> DiscoveryResponse | None:
        """The response that is due, if one is.

        Raises:
            InvalidArgumentError: a name is not the caller's, or not any more.
            EndError: the Envoy cannot use what it asks for.
        """
        if view is not self._view:
            self._view = view
            self._states += 1
        if self._names is None or (view is self._looked_at and not self._due):
            return None
        resources = self._secrets.answer(view, self._names, spiffe=self._spiffe)
        if resources is None:
            return None
        self._looked_at = view
        content = tuple((one.name, one.version) for one in resources)
        if content == self._sent and not self._due:
            return None
        return self._response(resources, content)

    def _response(self, resources: tuple[Resource, ...], content: tuple[tuple[str, str], ...]) -> DiscoveryResponse:
        self._due = False
        self._sent = content
        self._version, self._nonce = str(self._states), new_nonce()
        self._complained.clear()
        self._log.debug(
            "Sending StreamSecrets response", version_info=self._version, nonce=self._nonce, count=len(resources)
        )
        return DiscoveryResponse(
            version_info=self._version,
            resources=[one.packed for one in resources],
            type_url=self._type_url,
            nonce=self._nonce,
        )

    def _is_answer(self, request: DiscoveryRequest) -> bool:
        """Whether the request counts: it answers the newest response, or there is none yet."""
        self._log.debug(
            "Received StreamSecrets request",
            resource_names=request.resource_names[:],
            version_info=request.version_info,
            nonce=request.response_nonce,
        )
        if request.HasField("error_detail"):
            told = request.error_detail.message[:MOST_TOLD]
            self._complain(
                self._log.error,
                "Envoy reported errors applying secrets",
                error=told,
                resource_names=request.resource_names[:],
            )
        if not self._nonce:
            return True
        if request.response_nonce != self._nonce:
            self._complain(
                self._log.warning,
                "Received unexpected nonce; ignoring request",
                nonce=request.response_nonce[:MOST_TOLD],
                expect=self._nonce,
            )
            return False
        if request.version_info != self._version:
            version = request.version_info[:MOST_TOLD]
            self._complain(
                self._log.error,
                "Client rejected expected version and rolled back",
                version_info=version,
                expect=self._version,
            )
        return True

    def _complain(self, write: Callable[..., object], event: str, **fields: object) -> None:
        """Once for each response: an Envoy that cannot use a secret may say so without end."""
        if event not in self._complained:
            self._complained.add(event)
            write(event, **fields)
