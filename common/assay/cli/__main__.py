"""`python -m assay.cli` is the `assay` command."""

import os
import sys

from assay.cli.completion import ENVIRONMENT

INTERRUPTED = 130


def main() -> None:
    """Run the command line of this process; Ctrl-C counts while it still loads, too."""
    if ENVIRONMENT in os.environ:
        from assay.cli.completion.answer import answer  # noqa: PLC0415 - most runs are no question of a shell

        answer()
        return
    try:
        from assay.cli.lean import defer_methods  # noqa: PLC0415 - so that the time it takes is within the block

        defer_methods()
        from assay.cli.main import main as command  # noqa: PLC0415 - likewise; its dataclasses profit, too
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    command()


if __name__ == "__main__":
    main()
