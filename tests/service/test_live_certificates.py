"""The community's own authority, the certificate of its box, and who believes them."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import ssl
import stat
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from broker_cases import ALICE, Running
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from commonwatt.errors import BrokerError, ConfigError, OutputError
from commonwatt.service.certificates import (
    AUTHORITY,
    AUTHORITY_KEY,
    KEY,
    Certificates,
    ensure,
    qr_content,
    qr_svg,
    qr_text,
)  # fmt: skip
from commonwatt.service.connection import connects
from commonwatt.service.topics import topic

HOSTS = ("box.local", "192.168.1.5")
NOW = datetime.now(UTC)


def made(folder: Path, hosts: tuple[str, ...] = HOSTS, now: datetime = NOW) -> Certificates:
    return ensure(folder, "Village", hosts, now)


def shake_hands(certificates: Certificates, host: str) -> str:
    """What a client says that believes the authority alone and goes to a host: "" when all is well."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates.certificate, certificates.key)
    client = ssl.create_default_context(cafile=certificates.authority)
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(far, server_side=True).close()
        except OSError:
            far.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(near, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        near.close()
        return error.verify_message
    finally:
        thread.join()
    return ""


@pytest.mark.parametrize("host", ["box.local", "192.168.1.5", "localhost", "127.0.0.1"])
def test_who_believes_the_authority_believes_the_box(tmp_path: Path, host: str) -> None:
    assert shake_hands(made(tmp_path), host) == ""


@pytest.mark.parametrize("host", ["other.local", "192.168.1.6"])
def test_under_another_name_the_box_is_not_believed(tmp_path: Path, host: str) -> None:
    assert "mismatch" in shake_hands(made(tmp_path), host)


def test_a_stolen_key_of_the_authority_certifies_no_bank(tmp_path: Path) -> None:
    certificates = made(tmp_path)
    authority = x509.load_pem_x509_certificate(certificates.authority.read_bytes())
    key = load_pem_private_key((tmp_path / AUTHORITY_KEY).read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    own = load_pem_private_key(certificates.key.read_bytes(), None)
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bank.example")]))
        .issuer_name(authority.subject)
        .public_key(own.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bank.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificates.certificate.write_bytes(forged.public_bytes(Encoding.PEM))
    assert shake_hands(certificates, "bank.example") == "permitted subtree violation"


def test_keys_are_for_their_owner_only_and_certificates_for_all(tmp_path: Path) -> None:
    made(tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {AUTHORITY: 0o644, AUTHORITY_KEY: 0o600, "server.pem": 0o644, KEY: 0o600}


def test_what_is_good_is_left_as_it_is(tmp_path: Path) -> None:
    first = made(tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    second = made(tmp_path, now=NOW + timedelta(days=200))
    assert (first.renewed, second.renewed) == (True, False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == files
    assert (second.fingerprint, second.until) == (first.fingerprint, first.until)


@pytest.mark.parametrize(
    ("hosts", "days"), [((*HOSTS, "box.lan"), 0), (HOSTS, 300), (HOSTS, 500), (HOSTS, -400)],
    ids=["another host", "a third left", "over", "a clock in the past"],
)  # fmt: skip
def test_a_certificate_that_is_no_longer_good_is_renewed_by_the_same_authority(
    tmp_path: Path, hosts: tuple[str, ...], days: int
) -> None:
    first = made(tmp_path)
    now = NOW + timedelta(days=days)
    second = made(tmp_path, hosts, now)
    assert second.renewed
    assert second.fingerprint == first.fingerprint
    assert timedelta(days=390) < second.until - now < timedelta(days=398)
    authority = x509.load_pem_x509_certificate(second.authority.read_bytes())
    assert authority.not_valid_before_utc < now < authority.not_valid_after_utc


@pytest.mark.parametrize("name", ["server.pem", KEY])
def test_a_damaged_certificate_or_key_is_made_again(tmp_path: Path, name: str) -> None:
    made(tmp_path)
    (tmp_path / name).write_text("half of")
    assert made(tmp_path).renewed
    assert shake_hands(made(tmp_path), "localhost") == ""


@pytest.mark.parametrize("name", [AUTHORITY, AUTHORITY_KEY])
def test_a_damaged_authority_is_named_and_never_replaced(tmp_path: Path, name: str) -> None:
    made(tmp_path)
    (tmp_path / name).write_text("half of")
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path / name))):
        made(tmp_path)
    assert (tmp_path / name).read_text() == "half of"


def test_an_authority_that_is_over_or_has_another_key_is_named(tmp_path: Path) -> None:
    made(tmp_path / "one")
    with pytest.raises(ConfigError, match="ended on"):
        made(tmp_path / "one", now=NOW + timedelta(days=8000))
    made(tmp_path / "two")
    (tmp_path / "two" / AUTHORITY_KEY).replace(tmp_path / "one" / AUTHORITY_KEY)
    with pytest.raises(ConfigError, match="is not the key of the authority"):
        made(tmp_path / "one")


@pytest.mark.parametrize("host", ["", "a b", "box/1", "-" * 300, "ü" * 100])
def test_hosts_that_are_none_are_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="neither an address nor a name"):
        made(tmp_path, (host,))


def test_a_public_host_is_certified_only_by_an_authority_that_was_made_for_it(tmp_path: Path) -> None:
    public = (*HOSTS, "energy.example.org", "203.0.113.7", "2001:db8::1")
    assert shake_hands(made(tmp_path / "for it", public), "energy.example.org") == ""
    assert shake_hands(made(tmp_path / "for it", public), "203.0.113.7") == ""
    made(tmp_path / "local")
    with pytest.raises(ConfigError) as met:
        made(tmp_path / "local", public)
    assert [finding.message.split()[0] for finding in met.value.findings] == list(public[2:])


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        made(tmp_path / "file" / "folder")


def test_the_qr_code_says_address_and_fingerprint(tmp_path: Path) -> None:
    certificates = made(tmp_path)
    authority = ssl.PEM_cert_to_DER_cert(certificates.authority.read_text())
    digest = hashes.Hash(hashes.SHA256())
    digest.update(authority)
    content = qr_content(certificates, "https://box.local:8443/")
    assert content == f"https://box.local:8443/#authority=sha256:{digest.finalize().hex()}"
    drawing = ET.fromstring(qr_svg(content))  # noqa: S314
    assert drawing.tag.endswith("svg")
    assert len({len(line) for line in re.sub(r"\x1b\[[0-9;]*m", "", qr_text(content)).splitlines()}) == 1


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[Running, Certificates]]:
    """A broker with a certificate of this authority, that knows Alice's meter."""
    certificates = made(tmp_path)
    running = Running([ALICE], (certificates.authority, certificates.certificate, certificates.key))
    try:
        yield running, certificates
    finally:
        running.remove()


# paho leaves a socket to the garbage collector when its handshake fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_broker_speaks_to_who_believes_the_authority_and_in_secret_only(
    secured: tuple[Running, Certificates], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commonwatt.service.access._TRIES", 1)
    running, _ = secured
    stranger = made(tmp_path / "stranger")

    async def speak() -> None:
        async with running.exchange.client() as exchange, running.meter(ALICE).client() as alice:
            await exchange.subscribe("cw/+/reading", qos=1)
            await alice.publish(topic(ALICE, "reading"), b"1", qos=1)
            assert (await anext(exchange.messages)).payload == b"1"

    asyncio.run(speak())
    running.authority = stranger.authority
    with pytest.raises(BrokerError, match="certificate verify failed"):
        asyncio.run(running.access.meters())
    running.authority = None
    with pytest.raises(BrokerError, match="cannot be used by control"):
        asyncio.run(running.access.meters())
    gc.collect()


def test_a_broker_is_asked_whether_it_answers_without_a_line_in_its_log(secured: tuple[Running, Certificates]) -> None:
    running, _ = secured
    log = next(running.broker.folder.glob("*.log"))

    def lines() -> int:
        assert asyncio.run(running.access.meters()) == (ALICE,)  # whatever came before is in the log by then
        return len(log.read_text("utf-8").splitlines())

    async def answers() -> bool:
        return await connects(running.exchange)()

    before = lines()
    assert asyncio.run(answers())
    assert lines() == before
    running.broker.stop()
    assert not asyncio.run(answers())


def test_a_renewed_certificate_is_shown_without_a_restart(secured: tuple[Running, Certificates]) -> None:
    running, certificates = secured

    def shown() -> str:
        with socket.create_connection(("127.0.0.1", running.broker.listener.port)) as raw:
            context = ssl.create_default_context(cafile=certificates.authority)
            with context.wrap_socket(raw, server_hostname="127.0.0.1") as connection:
                der = connection.getpeercert(binary_form=True)
                assert der is not None
                return ssl.DER_cert_to_PEM_cert(der)

    async def renew() -> None:
        async with running.meter(ALICE).client() as alice:
            assert made(certificates.authority.parent, (*HOSTS, "box.lan")).renewed
            running.broker.renew()
            await asyncio.sleep(1)
            await alice.publish(topic(ALICE, "live"), b"1", qos=1)

    before = shown()
    made_before = certificates.certificate.read_text()
    asyncio.run(renew())
    assert before.split() == made_before.split()
    assert shown().split() == certificates.certificate.read_text().split()
