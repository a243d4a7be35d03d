"""What a check finds, and what all of them together come to."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Details = Mapping[str, str]
Aspect = Literal["live", "ready"]

# Go's encoder writes these so, lest a browser take the text for HTML.
_GO = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


@dataclass(frozen=True, slots=True)
class State:
    """How one part of the daemon is. `live`: as it should be, or about to be; `ready`: it does its work.

    Details name what is wrong. `starting` is whether it is still on its way up.
    """

    live: bool
    ready: bool
    live_details: Details = field(default_factory=dict[str, str])
    ready_details: Details = field(default_factory=dict[str, str])
    starting: bool = False

    @property
    def fault(self) -> str:
        """In SPIRE's words; empty when all is well."""
        missing = [word for word, there in (("live", self.live), ("ready", self.ready)) if not there]
        return f"subsystem is not {' or '.join(missing)}" if missing else ""


Check = Callable[[], Awaitable[State]]


def of_error(key: str, error: str) -> State:
    """Neither live nor ready for that reason, or both when there is none."""
    details = {key: error} if error else {}
    return State(live=not error, ready=not error, live_details=details, ready_details=details)


def report(states: Mapping[str, State | None], aspect: Aspect) -> tuple[bool, bytes]:
    """Whether all parts are live, or ready, and SPIRE's JSON of it; a part that was not looked at yet is neither."""
    well = all(state is not None and getattr(state, aspect) for state in states.values())
    details = {
        name: None if state is None else dict(getattr(state, f"{aspect}_details")) for name, state in states.items()
    }
    text = json.dumps(details, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return well, text.translate(_GO).encode() + b"\n"
