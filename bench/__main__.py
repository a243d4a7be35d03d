"""All benchmarks, or those named, in one table: `python -m bench [NAME...]`. A benchmark is a module with `figures`.

Two have options of their own, run for minutes and say yes or no: `python -m bench soak`, a house whose keys all rotate,
and `python -m bench day`, an agent with all kinds of callers. `python -m bench flood` and `python -m bench knock` tell
how long callers wait, and `python -m bench host` is an agent with many entries.
"""

import importlib
import logging
import pkgutil
import sys
from pathlib import Path

import structlog

from bench import day, flood, host, knock, soak
from bench.figure import HEADER


def main(wanted: list[str]) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(HEADER, flush=True)
    for name in sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])):
        module = importlib.import_module(f"bench.{name}")
        if hasattr(module, "figures") and (not wanted or name in wanted):
            for figure in module.figures():
                print(figure, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["soak"]:
        sys.exit(soak.main(sys.argv[2:]))
    if sys.argv[1:2] == ["day"]:
        sys.exit(day.main(sys.argv[2:]))
    if sys.argv[1:2] == ["host"]:
        sys.exit(host.main())
    if sys.argv[1:2] == ["flood"]:
        flood.main()
    elif sys.argv[1:2] == ["knock"]:
        knock.main()
    else:
        main(sys.argv[1:])
