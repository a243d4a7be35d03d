"""Shell completion. What answers a shell's question imports next to nothing: somebody waits with a finger on TAB."""

ENVIRONMENT = "_ASSAY_COMPLETE"
"""Set by our scripts to the shell's name: this run is a question, its arguments the words up to the cursor."""

FILES = ":files"
"""The answer that asks the shell to offer files."""
