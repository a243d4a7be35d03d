"""What the agent trusts the server by before it knows the server's bundle."""

from dataclasses import dataclass
from pathlib import Path

from assay.bundle import jwks, pem
from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError
from assay.spiffeid import TrustDomain


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Where the first trust bundle comes from: a file in `pem` or `spiffe` form, or, insecurely, the server itself."""

    trust_domain: TrustDomain
    path: Path | None = None
    spiffe_format: bool = False
    insecure: bool = False

    def load(self) -> tuple[bytes, ...]:
        """X.509 authorities as DER; none when the server is believed whoever it is.

        Raises:
            FailedPreconditionError: no file is named, it cannot be read or holds no authority.
        """
        if self.path is not None:
            return _read(self.path, self.trust_domain, spiffe_format=self.spiffe_format)
        if self.insecure:
            return ()
        raise FailedPreconditionError(
            "load bundle: no certs in bundle", hint="set trust_bundle_path, or insecure_bootstrap for a first trial"
        )


def _read(path: Path, trust_domain: TrustDomain, *, spiffe_format: bool) -> tuple[bytes, ...]:
    try:
        content = path.read_bytes()
        authorities = jwks.parse(trust_domain, content).x509_authorities if spiffe_format else pem.parse(content)
    except (OSError, InvalidArgumentError) as error:
        raise FailedPreconditionError(f"could not parse trust bundle: {error}", hint=_hint(error, path)) from error
    if not authorities:
        raise FailedPreconditionError("no certificates found in trust bundle", hint=f"{path} has no X.509 authority")
    return tuple(authority.der for authority in authorities)


def _hint(error: Exception, path: Path) -> str:
    return "" if isinstance(error, AssayError) and error.hint else f"trust_bundle_path is {path}"
