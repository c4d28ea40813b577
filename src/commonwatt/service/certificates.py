"""A community's own authority and the certificate of its box, for places that no public authority certifies.

Phones and devices are given the authority's certificate once and compare its fingerprint with the QR code. So that it
is no key to all else they do, it says itself that it certifies private addresses and local names only, and those that
it was made for. Keys are of P-256, which microcontrollers check quickly.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commonwatt.errors import ConfigError, Finding, OutputError
from commonwatt.ledger.keyfile import create

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY, AUTHORITY_KEY = "authority.pem", "authority.key"
CERTIFICATE, KEY = "server.pem", "server.key"
_AUTHORITY_SINCE: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""Long ago, for a box without a battery wakes up in the past and has to believe itself nevertheless."""
_AUTHORITY_DAYS: Final = 20 * 365
_SERVER_DAYS: Final = 396
"""Phones refuse certificates of servers that are valid for longer (Apple: 398 days, of own authorities 825)."""
_BEFORE: Final = timedelta(days=1)
"""The box's certificate is valid from so long before it is made, for devices whose clocks are behind."""
_RENEW_DAYS: Final = 132
"""A certificate with less time left is renewed, which leaves a box that was off for months a valid one."""
_LOCAL_NAMES: Final = ("localhost", "local", "lan", "internal", "home.arpa", "fritz.box")
_PRIVATE: Final = (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10",
    "::1/128", "fc00::/7", "fe80::/10",
)  # fmt: skip


@dataclass(frozen=True)
class Certificates:
    """What is in a folder of certificates.

    authority, certificate, key : files; the authority's own key is beside them
    fingerprint : SHA-256 of the authority's certificate, 32 bytes
    until : when the box's certificate ends
    renewed : whether it was made now
    """

    authority: Path
    certificate: Path
    key: Path
    fingerprint: bytes
    until: datetime
    renewed: bool


def ensure(folder: Path, community: str, hosts: Sequence[str], now: datetime) -> Certificates:
    """The authority in a folder and its certificate for these hosts, each made where it is missing or no longer good.

    community : who the authority says it is
    hosts : names and addresses of the box as its clients write them; `localhost` and 127.0.0.1 are always among them
    now : with its zone

    The authority is made once: a new one would have to be brought to every device. The certificate is renewed a third
    of its life before its end, and when its hosts are others.
    Raises ConfigError for hosts that are none or that the authority may not certify, for files that cannot be used and
    without the packages of the extra `live`; OutputError when a file cannot be written.
    """
    _require_packages()
    wanted = _subjects([*hosts, "localhost", "127.0.0.1"])
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if not (folder / AUTHORITY).exists():
            _make_authority(folder, community, wanted, now)
        authority, authority_key = _read(folder / AUTHORITY), _read_key(folder / AUTHORITY_KEY)
        if authority.public_key() != authority_key.public_key():
            raise _unusable(folder / AUTHORITY_KEY, "is not the key of the authority beside it")
        if authority.not_valid_after_utc <= now:
            raise _unusable(folder / AUTHORITY, f"ended on {authority.not_valid_after_utc:%Y-%m-%d}; move it away")
        _require_permitted(folder / AUTHORITY, authority, wanted)
        if renewed := not _still_good(folder, authority, wanted, now):
            _make_certificate(folder, authority, authority_key, wanted, now)
    except OSError as error:
        raise OutputError(f"{error.filename or folder} cannot be written: {error.strerror}.") from None
    from cryptography.hazmat.primitives import hashes

    until = _read(folder / CERTIFICATE).not_valid_after_utc
    files = (folder / AUTHORITY, folder / CERTIFICATE, folder / KEY)
    return Certificates(*files, authority.fingerprint(hashes.SHA256()), until, renewed)


def qr_content(certificates: Certificates, address: str) -> str:
    """What the QR code says: where the box is [URL] and by which authority it is known.

    >>> made = Certificates(Path(), Path(), Path(), bytes(32), datetime(2026, 1, 1), False)
    >>> qr_content(made, "https://box.local:8443/")[:50]
    'https://box.local:8443/#authority=sha256:000000000'
    """
    return f"{address}#authority=sha256:{certificates.fingerprint.hex()}"


def qr_text(content: str) -> str:
    """A QR code in letters, for a terminal. Raises ConfigError without the packages of the extra `live`."""
    _require_packages()
    import segno

    drawn = StringIO()
    segno.make_qr(content, error="m").terminal(out=drawn, compact=True)
    return drawn.getvalue()


def qr_svg(content: str) -> str:
    """A QR code as an SVG element. Raises ConfigError without the packages of the extra `live`."""
    _require_packages()
    import segno

    return str(segno.make_qr(content, error="m").svg_inline(scale=4, border=4, light="white"))


def _require_packages() -> None:
    try:
        import cryptography as _cryptography  # noqa: F401
        import segno as _segno  # noqa: F401
    except ImportError:
        findings = [Finding("live.tls", 'needs further packages; install them: pip install "commonwatt[live]"')]
        raise ConfigError("The exchange's configuration", findings) from None


def _subjects(hosts: Sequence[str]) -> list[x509.GeneralName]:
    """Names and addresses as certificates have them, each once. Raises ConfigError."""
    from cryptography import x509

    found: dict[str, x509.GeneralName] = {}
    findings = []
    for host in hosts:
        try:
            address = ipaddress.ip_address(host)
            found[str(address)] = x509.IPAddress(address)
            continue
        except ValueError:
            pass
        try:
            name = host.encode("idna").decode("ascii").lower()
            if not name or not all(each.isalnum() or each in "-." for each in name):
                raise ValueError
            found[name] = x509.DNSName(name)
        except ValueError:
            findings.append(Finding("live.tls.hosts", f"{host!r} is neither an address nor a name of a host"))
    if findings:
        raise ConfigError("The exchange's configuration", findings)
    return list(found.values())


def _make_authority(folder: Path, community: str, wanted: Sequence[x509.GeneralName], now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{community} (Commonwatt)")
    usage = {"key_cert_sign": True, "crl_sign": True}
    builder = _builder(name, name, key, _AUTHORITY_SINCE, now + timedelta(days=_AUTHORITY_DAYS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(**usage), critical=True)
    # Not critical, for libraries of microcontrollers refuse critical extensions that they do not know.
    builder = builder.add_extension(x509.NameConstraints(_permitted(wanted), None), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    _write(folder / AUTHORITY_KEY, _key_text(key), 0o600)
    _write(folder / AUTHORITY, _certificate_text(builder, key), 0o644)


def _make_certificate(
    folder: Path,
    authority: x509.Certificate,
    authority_key: EllipticCurvePrivateKey,
    wanted: Sequence[x509.GeneralName],
    now: datetime,
) -> None:
    """Key and certificate are new together; the key is written first, and without its certificate made again."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key, until = ec.generate_private_key(ec.SECP256R1()), now + timedelta(days=_SERVER_DAYS)
    builder = _builder(_name(str(wanted[0].value)), authority.subject, key, now - _BEFORE, until)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    extensions: list[tuple[Any, bool]] = [
        (x509.SubjectAlternativeName(wanted), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(digital_signature=True), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (issuer, False),
    ]
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    _write(folder / KEY, _key_text(key), 0o600)
    _write(folder / CERTIFICATE, _certificate_text(builder, authority_key), 0o644)


def _still_good(folder: Path, authority: x509.Certificate, wanted: Sequence[x509.GeneralName], now: datetime) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        certificate, key = _read(folder / CERTIFICATE), _read_key(folder / KEY)
        certificate.verify_directly_issued_by(authority)
    except (ConfigError, InvalidSignature, ValueError, TypeError):
        return False
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    left = certificate.not_valid_after_utc - now
    return (
        set(names) == set(wanted)
        and certificate.public_key() == key.public_key()
        and certificate.not_valid_before_utc <= now
        and left > timedelta(days=_RENEW_DAYS)
    )


def _permitted(wanted: Sequence[x509.GeneralName]) -> list[x509.GeneralName]:
    """What an authority may certify: whatever is private or local, and what it is made for."""
    from cryptography import x509

    networks = [*map(ipaddress.ip_network, _PRIVATE)]
    for each in wanted:
        if isinstance(each, x509.IPAddress) and not any(_within(each.value, network) for network in networks):
            networks.append(ipaddress.ip_network(str(each.value)))
    names = [each.value for each in wanted if isinstance(each, x509.DNSName)]
    names = [*_LOCAL_NAMES, *(each for each in names if not _below(each, _LOCAL_NAMES))]
    return [*map(x509.DNSName, names), *map(x509.IPAddress, networks)]


def _require_permitted(path: Path, authority: x509.Certificate, wanted: Sequence[x509.GeneralName]) -> None:
    """Raise ConfigError for hosts that clients would not believe this authority for."""
    from cryptography import x509

    permitted = authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    names = [each.value for each in permitted if isinstance(each, x509.DNSName)]
    networks = [each.value for each in permitted if isinstance(each, x509.IPAddress)]
    findings = [
        Finding("live.tls.hosts", f"{each.value} is none that the authority in {path} may certify")
        for each in wanted
        if not (
            _below(each.value, names)
            if isinstance(each, x509.DNSName)
            else any(_within(each.value, network) for network in networks)
        )
    ]
    if findings:
        raise ConfigError("The exchange's configuration", findings)


def _below(name: str, domains: Sequence[str]) -> bool:
    return any(name == domain or name.endswith(f".{domain}") for domain in domains)


def _within(address: Any, network: Any) -> bool:
    return address.version == network.version and address in network


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )


def _usage(**allowed: bool) -> x509.KeyUsage:
    from cryptography import x509

    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in names})


def _name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _key_text(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _certificate_text(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")


def _write(path: Path, text: str, mode: int) -> None:
    """A file that is there as a whole or as it was before. Raises OSError."""
    written = path.with_suffix(".written")
    written.unlink(missing_ok=True)
    create(written, text, mode)
    written.chmod(mode)
    written.replace(path)


def _read(path: Path) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise _unusable(path, "is no certificate that can be read") from None


def _read_key(path: Path) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise _unusable(path, "is no private key that can be read")
    return key


def _unusable(path: Path, message: str) -> ConfigError:
    return ConfigError(str(path), [Finding("", message)])
