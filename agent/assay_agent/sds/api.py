"""envoy.service.secret.v3.SecretDiscoveryService: who calls is attested for each stream, as on the Workload API."""

from collections.abc import AsyncIterable

import structlog

from assay.errors import AssayError, UnavailableError
from assay.rpc.method import Context, MethodHandler, Service
from assay.rpc.status import EndError
from assay_agent.cache import Cache, WorkloadView
from assay_agent.config.settings import SdsSettings
from assay_agent.instance.instances import Instances
from assay_agent.sds.delta import DeltaConversation
from assay_agent.sds.limits import MOST_TOLD, check_names
from assay_agent.sds.node import validates_spiffe
from assay_agent.sds.secrets import Secrets
from assay_agent.sds.service import NAME
from assay_agent.sds.sotw import Conversation
from assay_agent.sds.talk import talk
from assay_agent.workload.caller import Caller, Callers
from assay_agent.workload.guard import guarded
from assay_agent.workload.ratelimit import SelectorLimits
from assay_proto.envoy.service.discovery.v3 import discovery_pb2 as pb

log = structlog.get_logger(__name__)

SERVICE = "SDS.v3"
_FAILURES = {
    "StreamSecrets": "Error building stream secrets response",
    "DeltaSecrets": "Error building delta secrets response",
    "FetchSecrets": "Error building fetch secrets response",
}


class SecretDiscovery:
    """The three methods; status codes, words and what ends a stream are SPIRE's."""

    def __init__(
        self,
        cache: Cache,
        callers: Callers,
        instances: Instances,
        settings: SdsSettings,
        limits: SelectorLimits | None = None,
    ) -> None:
        self._cache = cache
        self._instances = instances
        self._limits = limits
        self._callers = callers
        self._disabled = settings.disable_spiffe_cert_validation
        self._secrets = Secrets(settings)

    @guarded
    async def StreamSecrets(self, requests: AsyncIterable[pb.DiscoveryRequest], context: Context) -> None:
        """All secrets that are asked for, now and on every change."""
        await self._talk("StreamSecrets", Conversation, requests, context)

    @guarded
    async def DeltaSecrets(self, requests: AsyncIterable[pb.DeltaDiscoveryRequest], context: Context) -> None:
        """Those that the caller lacks, now and on every change."""
        await self._talk("DeltaSecrets", DeltaConversation, requests, context)

    @guarded
    async def FetchSecrets(self, request: pb.DiscoveryRequest, context: Context) -> pb.DiscoveryResponse:
        """All secrets that are asked for, once: without version and nonce."""
        check_names(request.resource_names)
        method = "FetchSecrets"
        caller = await self._attest(context, method)
        try:
            with self._instances.subscribe(caller) as views:
                response = self._fetched(request, await anext(views))
        except (AssayError, EndError) as error:
            _log_end(method, caller, error)
            raise
        caller.check_alive()
        return response

    def _fetched(self, request: pb.DiscoveryRequest, view: WorkloadView) -> pb.DiscoveryResponse:
        names = frozenset(filter(None, request.resource_names))
        spiffe = validates_spiffe(request.node, disabled=self._disabled)
        resources = self._secrets.answer(view, names, spiffe=spiffe)
        if resources is None:
            raise UnavailableError("SVID is not signed yet", hint="is the server reachable?")
        log.debug("Sending FetchSecrets response", count=len(resources))
        return pb.DiscoveryResponse(type_url=request.type_url, resources=[one.packed for one in resources])

    async def _talk(
        self,
        method: str,
        kind: type[Conversation | DeltaConversation],
        requests: AsyncIterable[object],
        context: Context,
    ) -> None:
        caller = await self._attest(context, method)
        caller_log = log.bind(method=method, pid=caller.peer.pid, service=SERVICE)
        conversation = kind(self._secrets, caller_log, disabled=self._disabled)
        try:
            with self._instances.subscribe(caller) as views:
                await talk(conversation, requests, views, caller, context)
        except (AssayError, EndError) as error:
            _log_end(method, caller, error)
            raise

    async def _attest(self, context: Context, method: str) -> Caller:
        if not self._cache.synced:
            raise UnavailableError("agent has not synced with the server yet")
        caller = await self._callers.attest(context, method)
        if self._limits is not None:
            self._limits.check(f"/{NAME}/{method}", caller.selectors)
        return caller


def handlers(servicer: SecretDiscovery) -> Service:
    """The service as a server registers it."""
    request, response = pb.DiscoveryRequest.FromString, pb.DiscoveryResponse.SerializeToString
    delta_request, delta_response = pb.DeltaDiscoveryRequest.FromString, pb.DeltaDiscoveryResponse.SerializeToString
    return Service(
        NAME,
        {
            "StreamSecrets": MethodHandler(
                stream_stream=servicer.StreamSecrets, request_deserializer=request, response_serializer=response
            ),
            "DeltaSecrets": MethodHandler(
                stream_stream=servicer.DeltaSecrets,
                request_deserializer=delta_request,
                response_serializer=delta_response,
            ),
            "FetchSecrets": MethodHandler(
                unary_unary=servicer.FetchSecrets, request_deserializer=request, response_serializer=response
            ),
        },
    )


def _log_end(method: str, caller: Caller, error: AssayError | EndError) -> None:
    log.error(_FAILURES[method], error=_cut(str(error)), method=method, pid=caller.peer.pid, service=SERVICE)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TOLD else f"{text[:MOST_TOLD]}…"
