"""The command groups: named here so that `assay --help` loads none of them, found by entry points when one is used."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

ENTRY_POINTS = "assay.commands"

# In the order of the help text; a group that a third party adds comes after these, without a description.
DESCRIPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "up": "Start a server and an agent here, and fetch both kinds of SVID.",
        "server": "Run, check and probe a server.",
        "agent": "Run, check and probe an agent.",
        "entry": "Create, update, show, count and delete registration entries.",
        "token": "Make join tokens for agents.",
        "node": "List, show, count, ban, evict and purge attested agents.",
        "bundle": "Show, list, set, delete and count trust bundles.",
        "federation": "Create, update, show, list, refresh and delete federation relationships.",
        "owner": "Say who answers for principals, and who has left.",
        "principal": "Register, bind, activate, suspend, retire and list governed identities.",
        "resource": "Keep the catalogue of what may be acted on.",
        "tool": "Keep the catalogue of tools, with what each can do at worst.",
        "grant": "Keep the catalogue of what humans, or machines, may be granted.",
        "policy": "Write, check, push, roll back and explain the policies of governed identities.",
        "ledger": "Read, explain, export, sign, verify and prune the ledger of what was authorised.",
        "x509": "Mint X.509-SVIDs.",
        "jwt": "Mint JWT-SVIDs.",
        "wit": "Mint WIT-SVIDs.",
        "task": "Open, show, list, narrow, hold and end tasks of principals.",
        "revoke": "End tasks and credentials before their time, all of a kind at once.",
        "logger": "Show and change how much the server logs.",
        "debug": "Show what the server says of itself.",
        "api": "Ask the Workload API, as a workload does.",
        "explain": "Say why a workload has no identity, and which command would give it one.",
        "doctor": "Look for what is wrong with this machine's server and agent, and say what to do.",
    }
)


def find_groups() -> dict[str, EntryPoint]:
    """The installed groups by name, in the order to show them."""
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    names = [*(name for name in DESCRIPTIONS if name in found), *sorted(found.keys() - DESCRIPTIONS.keys())]
    return {name: found[name] for name in names}
