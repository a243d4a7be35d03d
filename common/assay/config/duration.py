"""Durations as Go writes them: `1h30m`, `1.5h`, `300ms`."""

import re
from decimal import Decimal

_UNITS = {
    "ns": Decimal(1).scaleb(-9),
    "us": Decimal(1).scaleb(-6),
    "µs": Decimal(1).scaleb(-6),
    "μs": Decimal(1).scaleb(-6),
    "ms": Decimal(1).scaleb(-3),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"[-+]?(?:{_PART.pattern})+")
_LONGEST = Decimal(2**63 - 1).scaleb(-9)  # Go counts nanoseconds in 64 bits: about 292 years


def parse_duration(text: str) -> Decimal:
    """Seconds, exactly.

    Raises:
        ValueError: not a duration, without a unit, or beyond 292 years.
    """
    if text in {"0", "+0", "-0"}:
        return Decimal(0)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f'"{text}" is not a duration; write it with units, such as "90s", "30m" or "1h30m"')
    seconds = sum((Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(text)), Decimal(0))
    if seconds > _LONGEST:
        raise ValueError(f'"{text}" is longer than 292 years')
    return -seconds if text.startswith("-") else seconds


def format_duration(seconds: int) -> str:
    """Whole seconds as people write them: 5400 is `1h30m`, 0 is `0s`."""
    sign, rest = ("-", -seconds) if seconds < 0 else ("", seconds)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if number]
    return sign + ("".join(parts) or "0s")
