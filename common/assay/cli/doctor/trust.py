"""Whether those who ought to trust the server can, and whether their certificates are renewed."""

from collections.abc import Sequence
from datetime import datetime

from assay.cli.doctor.daemon import Certificates, Setup
from assay.cli.doctor.finding import Finding, failed, ok, skipped
from assay.cli.doctor.handshake import Presented, check_name, check_reached, look_at_server, why_untrusted
from assay.cli.doctor.life import Life, check_bundle, check_skew, check_svid
from assay.errors import AssayError

_SERVERS_OWN = "see the server's log: it makes and publishes its next CA by itself"


def check_trust(name: str, setup: Setup, now: datetime) -> list[Finding]:
    """The server as this daemon's configuration sees it."""
    presented = look_at_server(setup.address)
    found = [check_reached(f"{name} TLS port", setup.address, presented)]
    if presented.leaf:
        found.append(check_name(f"{name} TLS name", presented.leaf, setup.trust_domain))
        found.append(check_skew(f"{name} clock skew", Life.of(presented.leaf), now))
    for one in setup.bundles:
        found += _check_file(name, setup.address, presented, one, now)
    if setup.svid is not None:
        found.append(_check_own(f"{name} SVID", setup.svid, now))
    return found


def check_authorities(
    check: str,
    address: tuple[str, int] | None,
    presented: Presented,
    authorities: Sequence[bytes],
    now: datetime,
    renewal: str = _SERVERS_OWN,
) -> list[Finding]:
    """A bundle: its certificates' lives, and whether they vouch for the server; `renewal` is how it gets new ones."""
    found = [check_bundle(check, [Life.of(der) for der in authorities], now, renewal)]
    if authorities and presented.leaf and address is not None:
        why = why_untrusted(address, authorities)
        what = f"{check} vouches"
        found.append(failed(what, f"not for the server: {why}", renewal) if why else ok(what, "for the server"))
    return found


def _check_file(
    name: str, address: tuple[str, int], presented: Presented, one: Certificates, now: datetime
) -> list[Finding]:
    check = f"{name} {one.what}"
    read = _read(check, one)
    if isinstance(read, Finding):
        return [read]
    return check_authorities(check, address, presented, read, now, one.renewal)


def _check_own(check: str, one: Certificates, now: datetime) -> Finding:
    read = _read(check, one)
    if isinstance(read, Finding):
        return read
    if not read:
        return skipped(check, f"{one.path} holds none yet: the agent has not attested")
    return check_svid(check, Life.of(read[0]), now, one.renewal)


def _read(check: str, one: Certificates) -> Sequence[bytes] | Finding:
    """The certificates, or why there are none."""
    try:
        return one.parse(one.path.read_bytes())
    except FileNotFoundError:
        return skipped(check, f"{one.path} is not there")
    except OSError as error:
        return skipped(check, f"{one.path} cannot be read: {error.strerror}", "run this as the daemon's user")
    except AssayError as error:
        return failed(check, f"{one.path}: {error.message}", error.hint or one.renewal)
