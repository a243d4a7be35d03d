"""What keeps a daemon's start short."""

import importlib
import sys
from typing import Any, cast


def load_structlog() -> None:
    """Load structlog without rich, which it would take for tracebacks in colour: a twentieth of a second for nothing.

    An import of a module that is None in `sys.modules` fails as if it were not installed, and structlog is ready for
    that. Afterwards rich can be loaded as ever.
    """
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    modules = cast("dict[str, Any]", sys.modules)
    modules["rich"] = None
    try:
        importlib.import_module("structlog")
    finally:
        del modules["rich"]
