"""All benchmarks, or those named, in one table: `python -m bench [NAME...]`. A benchmark is a module with `figures`.

`python -m bench soak` is another thing, with options of its own: it runs for minutes and says yes or no. So is
`python -m bench flood` and `python -m bench knock`, which tell how long callers wait, and `python -m bench host`, an
agent with many entries.
"""

import importlib
import logging
import pkgutil
import sys
from pathlib import Path

import structlog

from bench import flood, host, knock, soak
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
    if sys.argv[1:2] == ["host"]:
        sys.exit(host.main())
    if sys.argv[1:2] == ["flood"]:
        flood.main()
    elif sys.argv[1:2] == ["knock"]:
        knock.main()
    else:
        main(sys.argv[1:])
