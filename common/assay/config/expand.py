"""`$NAME` and `${NAME}` in a configuration's text, as Go's os.ExpandEnv reads them; `$$` is one dollar sign."""

import re
from collections.abc import Mapping

# One character of the shell's special parameters is a name of its own, so `$1x` is the value of `1` and then `x`. The
# end of a name in braces is not looked for to the end of the text.
_REFERENCE = re.compile(r"\$(?:\{([^}]{0,256}+)\}|([A-Za-z_][A-Za-z0-9_]*|[*#$@!?\-0-9]))")


def expand_env(text: str, env: Mapping[str, str]) -> str:
    """The text with each reference replaced; a variable that is not set is empty, as in SPIRE."""

    def value(match: re.Match[str]) -> str:
        name = match[1] if match[1] is not None else match[2]
        return "$" if name == "$" else env.get(name, "")

    return _REFERENCE.sub(value, text)
