"""The commands and settings that would mend a fault; everything else that an entry says stays as it is."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePath
from string import ascii_letters, digits

from assay.entry import Entry
from assay.namespace import SERVER_PATH
from assay.selector import Selector, sorted_distinct
from assay.spiffeid import SpiffeId
from assay_agent.explanation.finding import Cause, Fault, Remedy
from assay_agent.explanation.nearest import Near, kind_of
from assay_agent.explanation.scene import Scene

_JOIN_TOKEN = "/join_token/"  # noqa: S105 - a part of a SPIFFE ID
_OF_A_PATH = frozenset(f"{ascii_letters}{digits}-_.")
# What tells a workload from others, the best first.
_TELLING = (
    (("k8s", "ns"), ("k8s", "sa")),
    (("docker", "image_id"),),
    (("systemd", "id"),),
    (("unix", "user"), ("unix", "path")),
    (("unix", "uid"), ("unix", "path")),
)


def mend(near: Near, scene: Scene) -> Remedy:
    """What takes all of an entry's faults away."""
    causes = {fault.cause for fault in near.faults}
    if causes == {Cause.NOT_SYNCED}:
        return Remedy(note="wait a moment; if it stays so, the agent does not reach its server: see its log")
    if Cause.BANNED in causes:
        return readmit(near.entry.parent_id)
    settings = _settings(near.faults, scene)
    entry = _mended(near, scene)
    if entry == near.entry:
        return Remedy(settings=settings, note=_note(near, entry, settings))
    verb = "create" if _belongs_elsewhere(near, causes, scene) else "update"
    return Remedy((entry_command(verb, entry),), settings, _note(near, entry, settings, verb))


def register(scene: Scene) -> Remedy:
    """An entry of its own for the workload."""
    agent_id = scene.agent.spiffe_id
    selectors = telling(scene.workload.selectors)
    if agent_id is None or not selectors:
        return Remedy(note="register the workload once its agent is attested and its selectors are seen")
    who = SpiffeId(scene.trust_domain, f"/{_name(scene)}")
    note = "choose the SPIFFE ID you want; of the selectors seen, these tell this workload from others"
    return Remedy((entry_command("create", Entry("", who, agent_id, selectors)),), note=note)


def readmit(agent_id: SpiffeId) -> Remedy:
    """An agent that is banned may attest again once it is evicted."""
    evict = ("assay", "node", "evict", "--spiffe-id", str(agent_id))
    if _JOIN_TOKEN in agent_id.path:
        note = "then start the agent with the new token: it gets a new ID, which its entries need as their parent"
        return Remedy((evict, ("assay", "token", "generate")), note=note)
    return Remedy((evict,), note="if the ban was a mistake; then start the agent again")


def prolong(entry: Entry) -> Remedy:
    """An entry that has expired is to stay."""
    note = "give --entry-expiry to have it end at another time"
    return Remedy((entry_command("update", replace(entry, expires_at=0)),), note=note)


def entry_command(verb: str, entry: Entry) -> tuple[str, ...]:
    """`assay entry create` or `update` with all that the entry says."""
    return ("assay", "entry", verb, *_flags(entry, with_id=verb == "update"))


def telling(selectors: Iterable[Selector]) -> tuple[Selector, ...]:
    """Of these the ones that tell a workload from others."""
    seen = sorted(selectors)
    for kinds in _TELLING:
        found = tuple(one for one in seen if (one.type, kind_of(one)) in kinds)
        if any((one.type, kind_of(one)) == kinds[0] for one in found):
            return found
    return tuple(seen[:1])


def _mended(near: Near, scene: Scene) -> Entry:
    entry = near.entry
    selectors = set(entry.selectors)
    for fault in near.faults:
        if fault.selector is not None and not _settable(fault, scene):
            selectors.discard(fault.selector)
            selectors |= set(fault.instead if len(fault.instead) == 1 else ())
    parent = entry.parent_id
    if any(fault.cause is Cause.WRONG_PARENT for fault in near.faults) and scene.agent.spiffe_id:
        parent = scene.agent.spiffe_id
    expired = any(fault.cause is Cause.EXPIRED for fault in near.faults)
    return replace(
        entry,
        parent_id=parent,
        selectors=sorted_distinct(selectors) or telling(scene.workload.selectors) or entry.selectors,
        expires_at=0 if expired else entry.expires_at,
        store_svid=False,
    )


def _settable(fault: Fault, scene: Scene) -> bool:
    """Whether the agent's configuration, and not the entry, is what to change."""
    if fault.selector is None:
        return False
    known = fault.cause is Cause.NO_ATTESTOR and fault.selector.type in scene.available
    return known or fault.cause in {Cause.WITHHELD, Cause.ATTESTOR_FAILED}


def _settings(faults: Iterable[Fault], scene: Scene) -> str:
    data: dict[str, set[str]] = {}
    for fault in faults:
        if fault.selector is None or fault.cause is Cause.ATTESTOR_FAILED or not _settable(fault, scene):
            continue
        setting = scene.agent.attestors.get(fault.selector.type, {}).get(kind_of(fault.selector), "")
        data.setdefault(fault.selector.type, set()).update({setting} - {""})
    return "\n".join(
        f'WorkloadAttestor "{name}" {{ plugin_data {{ {" ".join(sorted(settings))} }} }}'.replace("{  }", "{}")
        for name, settings in data.items()
    )


def _belongs_elsewhere(near: Near, causes: set[Cause], scene: Scene) -> bool:
    """Whether the entry serves another agent as it is, so that this one needs its own."""
    if Cause.WRONG_PARENT not in causes or near.entry.parent_id.path == SERVER_PATH or scene.server is None:
        return False
    node = scene.server.nodes.get(near.entry.parent_id)
    alias = any(one.spiffe_id == near.entry.parent_id for one in scene.server.entries)
    return alias if node is None else not node.banned


def _note(near: Near, entry: Entry, settings: str, verb: str = "") -> str:
    notes: list[str] = []
    if verb == "create":
        notes.append("this gives the same identity below this agent as well; the entry there is stays")
    asked = [str(fault.selector) for fault in near.faults if fault.cause in {Cause.OTHER_VALUE, Cause.MISSING}]
    if asked:
        fits = ", ".join(map(str, entry.selectors))
        notes.append(
            f"or have the workload be what the entry asks for ({', '.join(asked)}); "
            f"as changed it fits every workload with {fits}"
        )
    if settings:
        notes.append("the agent takes it over when it gets SIGHUP")
    return "; ".join(notes)


def _flags(entry: Entry, *, with_id: bool) -> Iterator[str]:
    if with_id:
        yield from ("--entry-id", entry.id)
    yield from ("--spiffe-id", str(entry.spiffe_id), "--parent-id", str(entry.parent_id))
    for selector in entry.selectors:
        yield from ("--selector", str(selector))
    for name in entry.dns_names:
        yield from ("--dns", name)
    for trust_domain in entry.federates_with:
        yield from ("--federates-with", trust_domain.name)
    numbers = {
        "--x509-svid-ttl": entry.x509_svid_ttl,
        "--jwt-svid-ttl": entry.jwt_svid_ttl,
        "--entry-expiry": entry.expires_at,
    }
    for flag, number in numbers.items():
        if number:
            yield from (flag, str(number))
    if entry.hint:
        yield from ("--hint", entry.hint)
    switches = {
        "--admin": entry.admin,
        "--downstream": entry.downstream,
        "--store-svid": entry.store_svid,
        "--disable-x509-svid-prefetch": entry.disable_x509_svid_prefetch,
        "--jwt-svid-include-jti": entry.jwt_svid_include_jti,
    }
    yield from (flag for flag, on in switches.items() if on)


def _name(scene: Scene) -> str:
    """A path for the workload: its program's name, else its user's."""
    users = [one.value.partition(":")[2] for one in scene.workload.selectors if kind_of(one) == "user"]
    name = PurePath(scene.workload.program).name or next(iter(sorted(users)), "") or "workload"
    return "".join(one if one in _OF_A_PATH else "-" for one in name).strip(".") or "workload"
