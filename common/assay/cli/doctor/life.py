"""Certificates' lives against this machine's clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from assay.cli.doctor.finding import Finding, failed, ok, skipped, warning
from assay.config.duration import format_duration

# An SVID is given ten seconds before the moment it is made, as by SPIRE.
BACKDATE = timedelta(seconds=10)

_CLOCK = "compare `date -u` on both machines, and have both clocks kept by NTP"


@dataclass(frozen=True, slots=True)
class Life:
    """From when until when a certificate is good."""

    begins: datetime
    ends: datetime

    @classmethod
    def of(cls, der: bytes) -> "Life":
        """A certificate's (DER; ValueError when damaged)."""
        certificate = x509.load_der_x509_certificate(der)
        return cls(certificate.not_valid_before_utc, certificate.not_valid_after_utc)

    def left(self, now: datetime) -> str:
        """What is left of it, for people."""
        return f"expires in {_span(self.ends - now)}"


def check_skew(check: str, life: Life, now: datetime) -> Finding:
    """Our clock against the server's certificate: it cannot have been made in the future."""
    behind = life.begins + BACKDATE - now
    if behind > BACKDATE:
        return failed(check, f"the server's certificate begins {_span(life.begins - now)} from now", _CLOCK)
    if behind > timedelta():
        return warning(check, f"this clock is at least {_span(behind)} behind the server's", _CLOCK)
    if now > life.ends:
        advice = f"{_CLOCK}; if they agree, see the server's log: it does not renew its certificate"
        return failed(check, f"the server's certificate ended {_span(now - life.ends)} ago", advice)
    return ok(check, "the server's certificate is good by this machine's clock")


def check_svid(check: str, life: Life, now: datetime, advice: str) -> Finding:
    """An SVID is renewed at half its life; `advice` is what to do when that fails."""
    if now < life.begins:
        return failed(check, f"is good only from {_span(life.begins - now)} from now", _CLOCK)
    if now >= life.ends:
        return failed(check, f"expired {_span(now - life.ends)} ago", advice)
    if life.ends - now < (life.ends - life.begins) / 4:
        return warning(check, f"{life.left(now)}: it should have been renewed at half its life", advice)
    return ok(check, life.left(now))


def check_bundle(check: str, lives: Sequence[Life], now: datetime, advice: str) -> Finding:
    """The authorities of a bundle: the next one is there well before the last one ends."""
    if not lives:
        return skipped(check, "holds no CA certificate", advice)
    newest = max(lives, key=lambda life: life.ends)
    count = f"{len(lives)} CA certificate{'s' if len(lives) > 1 else ''}"
    if now >= newest.ends:
        return failed(check, f"{count}, the last expired {_span(now - newest.ends)} ago", advice)
    if newest.ends - now < (newest.ends - newest.begins) / 6:
        return warning(check, f"{count}; the last {newest.left(now)}, and the next is not there", advice)
    return ok(check, f"{count}; the last {newest.left(now)}")


def _span(length: timedelta) -> str:
    return format_duration(round(length.total_seconds()))
