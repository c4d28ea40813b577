"""Who may do what at the broker, and with which password: one role for each meter, one for the exchange, one for
whoever listens to devices that cannot sign.

The forms are those of Mosquitto's dynamic-security plugin (https://mosquitto.org/documentation/dynamic-security/).
All passwords follow from one secret, so that a broker which lost its files is given the same again, and no device has
to be visited. Who reads a password off a meter reads its key as well: such a meter is replaced, and with it its name.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from commonwatt.errors import ConfigError, Finding, OutputError
from commonwatt.ledger.keyfile import create
from commonwatt.service.topics import AUTO, FROM_METER, TIME, TO_METER, name, topic

COMMANDS: Final = "$CONTROL/dynamic-security/v1"
RESPONSES: Final = f"{COMMANDS}/response"
LISTENER: Final = "devices"
PREVIEW: Final = "preview"
_SALT, _ITERATIONS, _HASH = 12, 101, 64
"""Of the plugin. So few iterations are enough for what nobody can guess: 256 bits of a hash."""


@dataclass(frozen=True)
class Role:
    """What somebody may do; whatever is not here is forbidden.

    publish : topics, + and # as in MQTT
    subscribe : exactly these filters; below : everything that these filters match, and narrower filters
    receive : topics that the plugin sends to nobody who has not been allowed it, as it does those that begin with $
    """

    name: str
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    receive: tuple[str, ...] = ()

    def acls(self) -> list[dict[str, Any]]:
        """As the plugin has it."""
        kinds = {
            "publishClientSend": self.publish, "subscribeLiteral": self.subscribe,
            "subscribePattern": self.below, "publishClientReceive": self.receive,
        }  # fmt: skip
        return [
            {"acltype": kind, "topic": each, "priority": 0, "allow": True}
            for kind, topics in kinds.items()
            for each in topics
        ]


CONTROL: Final = Role("control", publish=(COMMANDS,), subscribe=(RESPONSES,), receive=(RESPONSES,))
"""Lets meters in and takes them out, and reads nothing of what they say."""
EXCHANGE: Final = Role(
    "exchange",
    publish=(*(f"cw/+/{word}" for word in TO_METER), TIME),
    subscribe=tuple(f"cw/+/{word}" for word in FROM_METER),
)


def meter_role(meter: bytes) -> Role:
    """What a meter may: say what it counted under its own address only, and hear all that is said there."""
    publish = tuple(topic(meter, word) for word in FROM_METER)
    return Role(name(meter), publish=publish, subscribe=(TIME,), below=(topic(meter, "#"),))


def device_role(meter: bytes, says: Iterable[str], hears: Iterable[str]) -> Role:
    """What a device may whose readings the box signs as `meter`: write to its own topics and be asked there, throw the
    home's switch and hear what the home is told."""
    publish = (*says, topic(meter, AUTO))
    return Role(name(meter), publish=publish, subscribe=tuple(hears), below=(topic(meter, "#"),))


def listening_roles(says: Iterable[str], hears: Iterable[str]) -> tuple[Role, Role]:
    """Who listens to all such devices, and asks them; and who looks at what they say before it counts."""
    topics = tuple(says)
    return Role(LISTENER, publish=tuple(hears), subscribe=topics), Role(PREVIEW, subscribe=topics)


class Passwords:
    """The passwords of all who come to the broker. Its representation never shows the secret. secret : 32 bytes"""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def kept(cls, path: Path) -> Passwords:
        """Of the secret in a file that only its owner reads; made now when it is not there.

        Raises ConfigError for a file that holds none, OutputError when it cannot be written.
        """
        try:
            create(path, f"{secrets.token_hex(32)}\n", 0o600)
        except FileExistsError:
            pass
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}.") from None
        try:
            secret = bytes.fromhex(path.read_text("ascii").strip())
            mode = path.stat().st_mode
        except (OSError, ValueError):
            secret, mode = b"", 0
        if len(secret) != 32:
            raise ConfigError(str(path), [Finding("", "holds no secret of 64 hexadecimal digits for the broker")])
        if mode & 0o077:
            raise ConfigError(str(path), [Finding("", f"can be read by others; run: chmod 600 {path}")])
        return cls(secret)

    def of(self, user: str) -> str:
        """The password of a user of the broker, 43 letters and digits."""
        digest = hmac.digest(self._secret, f"commonwatt mqtt {user}".encode(), "sha256")
        return urlsafe_b64encode(digest).decode().rstrip("=")


def access_file(passwords: Passwords, meters: Iterable[bytes]) -> str:
    """The plugin's file with exchange, control and these meters, and nobody else."""
    roles = [CONTROL, EXCHANGE, *map(meter_role, meters)]
    document = {
        "defaultACLAccess": {
            "publishClientSend": False, "publishClientReceive": True, "subscribe": False, "unsubscribe": True,
        },
        "clients": [
            {"username": role.name, "roles": [{"rolename": role.name}], **_hashed(passwords.of(role.name))}
            for role in roles
        ],
        "roles": [{"rolename": role.name, "acls": role.acls()} for role in roles],
    }  # fmt: skip
    return json.dumps(document, indent="\t") + "\n"


def _hashed(password: str) -> dict[str, str | int]:
    salt = secrets.token_bytes(_SALT)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, _HASH)
    return {"password": b64encode(digest).decode(), "salt": b64encode(salt).decode(), "iterations": _ITERATIONS}
