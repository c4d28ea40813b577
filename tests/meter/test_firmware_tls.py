"""A meter with a user of its own, behind TLS: neither meter nor broker speaks to whom it does not know."""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from broker import Guarded
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from firmware_cases import needs_micropython
from firmware_runs import METER, Home, hearing, until

pytestmark = needs_micropython

NAME = "box.home.arpa"
USER = f"0x{METER.address.hex()}"


class Authority:
    """A certificate authority of a box, and what it signs."""

    def __init__(self) -> None:
        self._key, self._name = ec.generate_private_key(ec.SECP256R1()), named("The box")
        self._certificate = self._sign(self._name, self._key.public_key(), x509.BasicConstraints(True, None))  # noqa: FBT003

    def write(self, folder: Path) -> None:
        """The authority's certificate in both forms, and the broker's with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(NAME), x509.IPAddress(ip_address("127.0.0.1"))])
        pem, none = serialization.Encoding.PEM, serialization.NoEncryption()
        files = {
            "ca.pem": self._certificate.public_bytes(pem),
            "ca.der": self._certificate.public_bytes(serialization.Encoding.DER),
            "broker.pem": self._sign(named(NAME), key.public_key(), names).public_bytes(pem),
            "broker.key": key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none),
        }
        for name, data in files.items():
            (folder / name).write_bytes(data)

    def _sign(self, who: x509.Name, key: ec.EllipticCurvePublicKey, more: x509.ExtensionType) -> x509.Certificate:
        begun = datetime.now(UTC) - timedelta(days=1)
        builder = x509.CertificateBuilder(self._name, who, key, x509.random_serial_number())
        builder = builder.not_valid_before(begun).not_valid_after(begun + timedelta(days=9))
        return builder.add_extension(more, critical=True).sign(self._key, hashes.SHA256())


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def users(**passwords: str) -> dict[str, Any]:
    """What the plugin dynamic-security reads: the meter may do what is the meter's, the exchange everything."""

    def may(*acls: tuple[str, str]) -> list[dict[str, Any]]:
        return [{"acltype": kind, "topic": topic, "allow": True} for kind, topic in acls]

    own = [("publishClientSend", f"cw/{USER}/#"), ("subscribePattern", f"cw/{USER}/#")]
    all_of_it = [("publishClientSend", "#"), ("subscribePattern", "#"), ("publishClientReceive", "#")]
    roles = {"meter": may(*own, ("subscribeLiteral", "cw/time")), "exchange": may(*all_of_it)}
    clients = []
    for user, password in passwords.items():
        salt = hashlib.sha256(user.encode()).digest()[:12]
        made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
        role = "meter" if user == USER else "exchange"
        clients.append({
            "username": user,
            "password": b64encode(made).decode(),
            "salt": b64encode(salt).decode(),
            "iterations": 101,
            "roles": [{"rolename": role}],
        })  # fmt: skip
    access = {"publishClientSend": False, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
    return {
        "defaultACLAccess": access,
        "clients": clients,
        "roles": [{"rolename": name, "acls": acls} for name, acls in roles.items()],
    }


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    broker = Guarded()
    Authority().write(broker.folder)
    told = users(**{USER: "of the meter", "exchange": "of the exchange"})
    (broker.folder / "users.json").write_text(json.dumps(told), encoding="utf-8")
    broker.start()
    yield broker
    broker.remove()


def test_readings_arrive_through_tls_under_the_meters_own_user(
    firmware: Path, tmp_path: Path, guarded: Guarded
) -> None:
    ca = str(guarded.folder / "ca.der")
    broker = {"ca": ca, "name": NAME, "user": USER, "password": "of the meter"}
    home = Home(firmware, tmp_path / "meter", guarded.port, **broker)
    how = {
        "tls_params": aiomqtt.TLSParameters(ca_certs=str(guarded.folder / "ca.pem")),
        "username": "exchange",
        "password": "of the exchange",
    }

    async def run() -> None:
        async with hearing(guarded.port, **how) as exchange:
            home.start()
            await until(lambda: len(exchange.readings) >= 2, home)
            await exchange.demand(1, 500)
            await until(lambda: exchange.status[-1].get("reports"), home)

    try:
        asyncio.run(run())
    finally:
        home.cut()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"password": "of somebody"}, "The broker refuses this meter: this user may not connect."),
        ({"user": "nobody"}, "The broker refuses this meter: this user may not connect."),
        ({"name": "another.home.arpa"}, "This is not the broker that was meant: The certificate Common Name"),
        ({"ca": "other.der"}, "This is not the broker that was meant: The certificate is not correctly signed"),
    ],
    ids=["password", "user", "name of the broker", "authority"],
)
def test_who_is_not_known_is_not_spoken_to(
    firmware: Path, tmp_path: Path, guarded: Guarded, wrong: dict[str, str], sentence: str
) -> None:
    right = {"ca": str(guarded.folder / "ca.der"), "name": NAME, "user": USER, "password": "of the meter"}
    home = Home(firmware, tmp_path / "meter", guarded.port, **(right | wrong))
    Authority().write(tmp_path)
    (tmp_path / "ca.der").rename(tmp_path / "meter" / "other.der")

    async def run() -> None:
        home.start()
        await until(lambda: f"Without the broker: {sentence}" in home.console, home)

    try:
        asyncio.run(run())
    finally:
        home.cut()
