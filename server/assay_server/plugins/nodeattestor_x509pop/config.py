"""The plugin's settings: whose certificates admit nodes, and what their IDs look like."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from assay.config.document import is_list
from assay.errors import InvalidArgumentError
from assay_server.plugins.nodeattestor_x509pop.path import DEFAULT_TEMPLATE, SVID_TEMPLATE, PathTemplate

MAX_INTERMEDIATES = 4
MAX_RSA_BITS = 8192
SVID_PREFIX = "/spire-exchange/"


@dataclass(frozen=True, slots=True)
class X509PopConfig:
    """Checked settings. `roots` are trusted whatever extended key usage a certificate has.

    With `svid_prefix`, which begins and ends with a slash, there are no roots: the certificate is an X.509-SVID of the
    server's own trust domain, whose path begins so.
    """

    roots: tuple[x509.Certificate, ...]
    path_template: PathTemplate
    svid_prefix: str | None = None
    max_intermediates: int = MAX_INTERMEDIATES
    max_rsa_bits: int = MAX_RSA_BITS

    @classmethod
    def parse(cls, data: Mapping[str, object]) -> "X509PopConfig":
        """From the plugin's section, reading the CA bundles it names.

        Raises:
            InvalidArgumentError: a key's value is wrong, not built yet, or a CA bundle cannot be read.
        """
        mode = str(data.get("mode") or "external_pki")
        if mode not in {"external_pki", "spiffe"}:
            raise InvalidArgumentError("mode can only be either spiffe or external_pki")
        spiffe = mode == "spiffe"
        if data.get("verify_client_ip"):
            raise InvalidArgumentError("verify_client_ip is not built yet", hint="remove it")
        template = data.get("agent_path_template") or (SVID_TEMPLATE if spiffe else DEFAULT_TEMPLATE)
        return cls(
            roots=() if spiffe else tuple(certificate for path in _paths(data) for certificate in _load(path)),
            path_template=PathTemplate.parse(str(template)),
            svid_prefix=_svid_prefix(data) if spiffe else None,
            max_intermediates=_positive(data, "max_intermediates", MAX_INTERMEDIATES),
            max_rsa_bits=_positive(data, "max_rsa_key_size", MAX_RSA_BITS),
        )


def _svid_prefix(data: Mapping[str, object]) -> str:
    if data.get("ca_bundle_path") or data.get("ca_bundle_paths"):
        raise InvalidArgumentError(
            "you can not use ca_bundle_path or ca_bundle_paths in spiffe mode",
            hint="the trust bundle takes their place",
        )
    given = data.get("spiffe_prefix")
    prefix = SVID_PREFIX if given is None else str(given)
    return prefix if prefix.endswith("/") else f"{prefix}/"


def _paths(data: Mapping[str, object]) -> list[str]:
    one, many = data.get("ca_bundle_path"), data.get("ca_bundle_paths")
    if one and many:
        raise InvalidArgumentError("only one of ca_bundle_path or ca_bundle_paths can be configured, not both")
    listed = many if is_list(many) else [many]
    paths = [str(path) for path in ([one] if one else listed) if path]
    if not paths:
        raise InvalidArgumentError("one of ca_bundle_path or ca_bundle_paths must be configured")
    return paths


def _load(path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as error:
        raise InvalidArgumentError(f'unable to load trust bundle "{path}": {error.strerror}') from None
    except ValueError as error:
        raise InvalidArgumentError(
            f'unable to load trust bundle "{path}": {error}', hint="it holds CA certificates in PEM"
        ) from None


def _positive(data: Mapping[str, object], key: str, default: int) -> int:
    value = data.get(key)
    if value is None:
        return default
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number <= 0:
        raise InvalidArgumentError(f"{key} must be greater than 0")
    return number
