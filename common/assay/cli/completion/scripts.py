"""What the shells are told, and where it is put."""

import os
from pathlib import Path
from types import MappingProxyType

from assay.cli.completion import ENVIRONMENT, FILES
from assay.errors import InvalidArgumentError

# The words up to the cursor go as arguments, so that nothing has to be quoted twice.
_BASH = f"""\
_assay_completion() {{
    local IFS=$'\\n'
    COMPREPLY=($({ENVIRONMENT}=bash "$1" "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null))
    if [ "${{COMPREPLY[0]-}}" = "{FILES}" ]; then
        COMPREPLY=()
        compopt -o default
    fi
}}
complete -F _assay_completion assay
"""

_ZSH = f"""\
#compdef assay
_assay() {{
    local -a found
    found=("${{(@f)$({ENVIRONMENT}=zsh "${{words[1]}}" "${{(@)words[2,CURRENT]}}" 2>/dev/null)}}")
    if [[ "${{found[1]}}" == "{FILES}" ]]; then
        _files
    elif [[ -n "${{found[1]}}" ]]; then
        _describe assay found
    fi
}}
if [ "${{funcstack[1]}}" = "_assay" ]; then
    _assay "$@"
else
    compdef _assay assay
fi
"""

_FISH = f"""\
function __assay_complete
    set -l words (commandline -opc)
    set -l found ({ENVIRONMENT}=fish $words[1] $words[2..-1] (commandline -ct | string collect) 2>/dev/null)
    if test "$found" = "{FILES}"
        __fish_complete_path (commandline -ct)
    else if set -q found[1]
        printf '%s\\n' $found
    end
end
complete --command assay --no-files --arguments '(__assay_complete)'
"""

SCRIPTS = MappingProxyType({"bash": _BASH, "zsh": _ZSH, "fish": _FISH})


def shell_named(name: str) -> str:
    """That shell, or for an empty name the one that this process was started from.

    Raises:
        InvalidArgumentError: it is none that we know.
    """
    guesses = [name] if name else [_parent(), Path(os.environ.get("SHELL", "")).name]
    for guess in guesses:
        if guess in SCRIPTS:
            return guess
    what = f"no completion for the shell {name}" if name else "cannot tell which shell this is"
    raise InvalidArgumentError(what, hint=f"name one of {', '.join(SCRIPTS)}")


def install(shell: str, home: Path) -> Path:
    """Write the script to where that shell of the user finds it, and tell the shell; where it was written.

    Raises:
        InvalidArgumentError: the home cannot be written to.
    """
    path = home / {"bash": ".bash_completions/assay.sh", "zsh": ".zfunc/_assay"}.get(
        shell, ".config/fish/completions/assay.fish"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCRIPTS[shell], encoding="utf-8")
        if shell == "bash":
            _say_once(home / ".bashrc", f"source '{path}'")
        elif shell == "zsh":
            _say_once(home / ".zshrc", "fpath+=~/.zfunc; autoload -Uz compinit; compinit")
    except OSError as error:
        raise InvalidArgumentError(f"cannot write {error.filename}: {error.strerror}") from None
    return path


def _say_once(path: Path, line: str) -> None:
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    if line not in there.splitlines():
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{'' if there.endswith(chr(10)) or not there else chr(10)}{line}\n")


def _parent() -> str:
    try:
        return Path(f"/proc/{os.getppid()}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
