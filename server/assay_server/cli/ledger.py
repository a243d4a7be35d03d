"""`assay ledger`: what happened to governed identities, and the proof of it."""

import typer

from assay_server.cli import ledgerexplain

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Tell and prove what was authorised, and what came of it."
)

ledgerexplain.mount(app)


@app.callback()
def ledger() -> None:
    """Tell and prove what was authorised, and what came of it."""
