"""What can be told without the agent: by its files, and by its attestors in this process."""

import os

from assay.clock import Clock
from assay.errors import AssayError
from assay.plugin.external import Host
from assay.plugin.workloadattestor import withheld_by
from assay.spiffeid import SpiffeId
from assay.svid import X509Svid
from assay_agent.cli.explain.ask import Answer
from assay_agent.config.settings import AgentConfig
from assay_agent.explanation.scene import AgentView, Workload
from assay_agent.plugins import builtin
from assay_agent.storage.disk import AgentStorage
from assay_agent.workload.attestor import Attestor
from assay_agent.workload.explain import user_of


async def look_without_agent(config: AgentConfig, pid: int, clock: Clock, *, running: bool = False) -> Answer:
    """The answer of an agent that does not run, or cannot be asked; about no process if `pid` is 0."""
    host = Host(config.trust_domain, clock, config.data_dir)
    plugins = [builtin.workload_attestor(one, host) for one in config.workload_attestors]
    agent = AgentView(
        spiffe_id=_stored_id(config),
        running=running,
        synced=False,
        attestors={one.name: withheld_by(one) for one in plugins},
    )
    if not pid:
        return Answer(agent, None, ())
    found = await Attestor(plugins, own_pid=os.getpid()).examine(pid)
    workload = Workload(pid=pid, uid=user_of(pid), selectors=found.selectors, failures=found.failures)
    return Answer(agent, workload, ())


def _stored_id(config: AgentConfig) -> SpiffeId | None:
    """The ID that the agent had when it ended; None if it has none, or its files are not ours to read."""
    try:
        chain = AgentStorage(config.data_dir).data.svid
        return X509Svid.parse(chain).spiffe_id if chain else None
    except AssayError:
        return None
