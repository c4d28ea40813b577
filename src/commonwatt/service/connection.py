"""How the exchange reaches its broker: address, whom it believes, user and password."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonwatt.errors import BrokerError, ConfigError, Finding

if TYPE_CHECKING:
    import aiomqtt

KEEPALIVE = 15
"""After so long without a word one side asks the other [s], so that a broker that hangs is noticed."""

ANSWER_SECONDS = 5.0
"""How long the broker may take to confirm something: aiomqtt waits so long even when the connection has ended."""

_UNSPECIFIED = "Unspecified error"
"""What paho says when the broker has gone."""


@dataclass(frozen=True)
class Connection:
    """One user of a broker.

    authority : file with the certificate of whoever certified the broker's; None without TLS
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    authority: Path | None = None

    @property
    def place(self) -> str:
        """As errors name it."""
        return f"{self.host}:{self.port}"

    def require_packages(self) -> None:
        """Raise ConfigError without the packages of the extra `live`."""
        if not all(map(find_spec, ("aiomqtt", "gmqtt"))):
            findings = [Finding("live.broker", 'needs further packages; install them: pip install "commonwatt[live]"')]
            raise ConfigError("The exchange's configuration", findings)

    def client(self, **options: Any) -> aiomqtt.Client:
        """A client of aiomqtt, to be opened with `async with`; options : of aiomqtt.

        Raises ConfigError without that package, BrokerError when the authority's file cannot be used.
        """
        self.require_packages()
        import aiomqtt

        # The broker takes the user's name for the identifier, whatever it is told; 3.1.1 wants one for a kept session.
        return aiomqtt.Client(
            self.host, self.port, username=self.user, password=self.password, identifier=self.user,
            keepalive=KEEPALIVE, timeout=ANSWER_SECONDS, tls_context=self.trust(), **options,
        )  # fmt: skip

    def trust(self) -> ssl.SSLContext | None:
        """What TLS believes; None without it. Raises BrokerError when the authority's file cannot be used."""
        if self.authority is None:
            return None
        try:
            return ssl.create_default_context(cafile=self.authority)
        except OSError as error:
            reason = error.strerror or "it holds no certificate"
            raise BrokerError(self.place, f"The authority's file {self.authority} cannot be used: {reason}.") from None

    def refused(self, error: Exception) -> BrokerError:
        """What an error of aiomqtt means."""
        return BrokerError(self.place, f"The broker at {self.place} cannot be used by {self.user}: {_told(error)}.")


def _told(error: BaseException) -> str:
    told = re.sub(r"\[code:\d+\] ?", "", str(error.__cause__ or error)).strip().rstrip(".")
    return "the connection ended" if told in ("", _UNSPECIFIED) else told


def connects(connection: Connection) -> Callable[[], Awaitable[bool]]:
    """A question to a broker: whether it takes connections, of which it logs nothing."""
    trust = connection.trust()
    if trust is not None:  # who answers does not matter here
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE

    async def ask() -> bool:
        try:
            _, writer = await asyncio.open_connection(connection.host, connection.port, ssl=trust)
        except OSError:
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    return ask
