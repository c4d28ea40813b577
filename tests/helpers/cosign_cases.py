"""A living exchange that has one of three operators' keys, where two must sign; the other two sign elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
from live_cases import RICH, WAIT, Village
from visitor_cases import DOMAIN, ENDLESS

from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.folder import open_store
from commonwatt.exchange.live import Live
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.proof import Key
from commonwatt.proof.siwe import instant
from commonwatt.service.api.app import application
from commonwatt.service.api.settings import Settings
from commonwatt.service.cosigning import Cosigner, replica_of
from commonwatt.service.exchange_client import ExchangeClient
from commonwatt.service.logins import Passwords
from commonwatt.service.running import Running

THREE: Final = (
    RICH.replace('gate = "12:00"', 'gate = "2h"')
    + '\n[ledger]\noperators = ["co-op", "grid", "town"]\nthreshold = 2\nwindow = "1h"\n'
)
LOOKS: Final = 1800
"""Between two looks of an operator at what waits [s]."""
Forge = Callable[[str, Any], Any]


class Steps(Protocol):
    """Whoever looks at what waits."""

    def step(self) -> int:
        """Look once; how much was signed."""
        ...


class Apart(Village):
    """See the module. text : of the community's file"""

    def __init__(self, folder: Path, text: str = THREE, slots: int = 8) -> None:
        super().__init__(folder, text, slots=slots)
        self.others = self.homes.keys.operators[1:]

    def open(self) -> None:
        """See `Village`; the exchange has the first key alone."""
        super().open()
        self.begin()

    def begin(self) -> None:
        """Open the exchange, as at a start."""
        first, store = self.exchange, self.exchange.store
        self.roster = Enrolled(store, first.client, first.rules.community)
        self.roster.follow()
        self.exchange = Exchange(
            first.rules, store, first.client, first.outbox.quorum[:1], self.roster, first.watch, threshold=2
        )
        self.live = Live(self.exchange, self.roster, lambda _: first.rules, WAIT)
        settings = Settings(
            domains=(DOMAIN,), per_address=ENDLESS, per_account=ENDLESS, sign_ins=ENDLESS,
            clock=lambda: instant("2026-06-20T12:00:00Z"),
        )  # fmt: skip
        self.running = Running(self.live, lambda: self.now)
        self.app = application(self.running, settings)

    @property
    def last(self) -> int:
        """When the last window of the day is over [unix s]."""
        return self.exchange.rules.period.end + 3 * 3600

    def day(self, *operators: Steps, late: Callable[[int, int], int] = lambda _slot, _home: 0) -> None:
        """Let the day pass, while these operators look at what waits."""

        def look() -> bool:
            for each in operators if self.now % LOOKS == 0 else ():
                each.step()
            return False

        self.run(late, look, until=self.last)

    def close(self) -> None:
        """End the exchange."""
        self.running.close()
        self.simulation.close()


class Within(ExchangeClient):
    """Asks an exchange in the same process. forge : changes what is answered, by path"""

    def __init__(self, apart: Apart, forge: Forge | None = None) -> None:
        super().__init__(f"http://{DOMAIN}", Passwords(bytes(32)), None)
        self.apart, self.forge = apart, forge

    async def cosigned(self, path: str, **options: Any) -> Any:
        """See `ExchangeClient`."""
        found = await super().cosigned(path, **options)
        return self.forge(path, found) if self.forge else found

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        transport = httpx.ASGITransport(self.apart.app, client=("192.0.2.8", 50_000))
        async with httpx.AsyncClient(transport=transport, base_url=self.url) as self._client:
            return await super()._ask(method, path, **options)


class Elsewhere:
    """An operator elsewhere. key : its own; folder : of what it has signed"""

    def __init__(self, apart: Apart, key: Key, folder: Path, forge: Forge | None = None) -> None:
        self.apart, self.key, self.folder, self.forge = apart, key, folder, forge
        self.signed = 0
        self.open()

    def open(self) -> None:
        """Begin, or go on with what its folder holds."""
        exchange = self.apart.exchange
        store = open_store(self.folder, fresh=False)
        client = LedgerClient(exchange.client.node, self.key, exchange.client.addresses)
        rules = exchange.rules
        replica = replica_of(rules, store, client, self.key, self.folder, rules.start)
        client_of_exchange = Within(self.apart, self.forge)
        asyncio.run(client_of_exchange.sign_in(self.key))
        self.cosigner = Cosigner(
            client_of_exchange, replica, lambda _: rules, lambda _start, _days: rules, lambda: self.apart.now
        )

    def step(self) -> int:
        """Look once; how much was signed."""
        signed = asyncio.run(self.cosigner.step())
        self.signed += signed
        return signed

    def restart(self) -> None:
        """End it without a word, and begin again."""
        self.close()
        self.open()

    def close(self) -> None:
        """End it."""
        self.cosigner.store.close()
