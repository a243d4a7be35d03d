"""Everything that is known of the workload, its agent and the server, brought together and judged."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assay.cli.up.options import DEFAULT_STATE
from assay.cli.up.state import AGENT_CONFIG, admin_socket
from assay.clock import Clock, SystemClock
from assay.config.source import read
from assay.errors import AssayError, FailedPreconditionError, UnavailableError
from assay.sockets import ADMIN_SOCKET
from assay.spiffeid import TrustDomain
from assay_agent.cli.agent import DEFAULT_CONFIG
from assay_agent.cli.explain import process
from assay_agent.cli.explain.ask import Answer, ask_agent, ask_server
from assay_agent.cli.explain.local import look_without_agent
from assay_agent.config.load import load
from assay_agent.config.settings import AgentConfig
from assay_agent.config.spire import CATALOG
from assay_agent.endpoints.private import private_socket
from assay_agent.explanation.finding import Cause, Finding
from assay_agent.explanation.findings import explain
from assay_agent.explanation.scene import AgentView, Scene, ServerView, Sight, Workload

UP_CONFIG = DEFAULT_STATE / AGENT_CONFIG
AVAILABLE = frozenset(name for name, one in CATALOG["WorkloadAttestor"].items() if one is not None)


@dataclass(frozen=True, slots=True)
class Request:
    """What the operator asked for; sockets and files that are None are looked for where they are by default."""

    pid: int | None
    uid: int | None
    agent_config: Path | None
    agent_socket: Path | None
    server_socket: Path | None
    expand_env: bool = False
    nearest: int = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One workload and what was found about it."""

    workload: Workload
    findings: tuple[Finding, ...]

    @property
    def issued(self) -> bool:
        """Whether it has an identity."""
        return any(one.cause is Cause.ISSUED for one in self.findings)


@dataclass(frozen=True, slots=True)
class Explained:
    """The cases, and what they were judged by.

    `server_trouble` says why the server was not asked; `config` and `server_socket` are what commands have to name, if
    it is not where they look by themselves.
    """

    cases: Sequence[Case]
    agent: AgentView
    server: ServerView | None
    server_trouble: str
    config: Path | None
    server_socket: Path


async def gather(request: Request) -> Explained:
    """Ask everybody.

    Raises:
        AssayError: neither the agent's configuration nor its socket is known, this user may not ask, or a server that
            was named does not answer.
    """
    request = _beside_up(request)
    config = _config(request)
    clock = SystemClock()
    answer = await _agent(request, config, clock)
    server, trouble = await _server(request.server_socket)
    trust_domain = _trust_domain(config, answer.agent, server)

    def judge(workload: Workload) -> Case:
        scene = Scene(
            trust_domain=trust_domain,
            workload=workload,
            agent=answer.agent,
            server=server,
            available=AVAILABLE,
            now=clock.now().timestamp(),
        )
        return Case(workload, explain(scene, request.nearest))

    cases = [judge(one) for one in _workloads(request, answer)]
    config_path = request.agent_config or (DEFAULT_CONFIG if config is not None else None)
    return Explained(cases, answer.agent, server, trouble, config_path, request.server_socket or ADMIN_SOCKET)


def _beside_up(request: Request) -> Request:
    """Where nothing is named and nothing is where it is by default: the daemons that `assay up` has started here."""
    if request.agent_config or request.agent_socket or DEFAULT_CONFIG.exists() or not UP_CONFIG.exists():
        return request
    return replace(request, agent_config=UP_CONFIG, server_socket=request.server_socket or admin_socket(DEFAULT_STATE))


def _config(request: Request) -> AgentConfig | None:
    if request.agent_config is None and not DEFAULT_CONFIG.exists():
        if request.agent_socket is not None:
            return None
        raise FailedPreconditionError(
            f"{DEFAULT_CONFIG} is not there, so it is not known which agent to ask",
            hint="name the agent's configuration with --agent-config, or its private socket with --agent-socket",
        )
    path = request.agent_config or DEFAULT_CONFIG
    return load(read(path, env=os.environ if request.expand_env else None)).config


async def _agent(request: Request, config: AgentConfig | None, clock: Clock) -> Answer:
    path = request.agent_socket or private_socket(config.data_dir if config is not None else Path())
    number = _number(request.pid, path)
    if isinstance(number, Workload):
        if number.sight is Sight.ELSEWHERE and config is not None:
            return replace(await look_without_agent(config, 0, clock, running=True), workload=number)
        return replace(await _ask(path, 0, request, config, clock), workload=number)
    return await _ask(path, number, request, config, clock)


async def _ask(path: Path, pid: int, request: Request, config: AgentConfig | None, clock: Clock) -> Answer:
    try:
        return await ask_agent(path, pid)
    except UnavailableError as error:
        if process.peer_pid(path):
            raise UnavailableError(
                f"the agent on {path} does not answer: {error.message}",
                hint="an agent in a PID namespace of its own cannot see who asks: ask from within (docker exec)",
            ) from None
        if config is None or request.agent_socket is not None:
            raise
        return await look_without_agent(config, pid, clock)


def _number(pid: int | None, agent: Path) -> int | Workload:
    """The number of the process where the agent is, 0 if none is asked about; a workload that cannot be seen."""
    if pid is None:
        return 0
    found = process.look_at(pid)
    if found is None:
        return Workload(pid=pid, sight=Sight.GONE)
    agent_pid = process.peer_pid(agent)
    if not agent_pid or (listener := process.look_at(agent_pid)) is None:
        return pid
    number = process.number_for(listener, found, process.namespace_of("self"))
    return Workload(pid=pid, sight=Sight.ELSEWHERE) if number is None else number


async def _server(named: Path | None) -> tuple[ServerView | None, str]:
    """The server's view, or why there is none; one that was named has to answer."""
    try:
        return await ask_server(named or ADMIN_SOCKET), ""
    except AssayError as error:
        if named is not None:
            raise
        return None, error.message


def _trust_domain(config: AgentConfig | None, agent: AgentView, server: ServerView | None) -> TrustDomain:
    if config is not None:
        return config.trust_domain
    known = [agent.spiffe_id] if agent.spiffe_id else list(server.nodes if server else ())
    if not known:
        raise FailedPreconditionError(
            "the agent is not attested yet, so its trust domain is not known",
            hint="name its configuration with --agent-config",
        )
    return known[0].trust_domain


def _workloads(request: Request, answer: Answer) -> Sequence[Workload]:
    if request.pid is not None:
        found = answer.workload or Workload(sight=Sight.GONE)
        return [replace(found, pid=request.pid, program=process.program_of(request.pid))]
    if request.uid is not None:
        refused = [one for one in answer.refused if one.uid == request.uid]
        return refused or [Workload(uid=request.uid, selectors=process.account_selectors(request.uid))]
    # Of an agent that does not run there is at least that to say.
    return answer.refused or ([] if answer.agent.running else [Workload()])
