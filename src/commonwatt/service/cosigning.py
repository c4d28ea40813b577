"""`commonwatt cosign`: an operator elsewhere goes the steps of an exchange, and signs what comes out the same."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from commonwatt.accounts.document import hex_text
from commonwatt.community.calendar import Slots
from commonwatt.errors import (
    CommonwattError,
    ConfigError,
    DataError,
    Finding,
    LedgerError,
    MarketError,
    NodeError,
    RecordError,
    VerificationError,
)
from commonwatt.exchange import cosigned, ledger_rows, rows
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.folder import open_store
from commonwatt.exchange.founding import Founded, claim_living, enter
from commonwatt.exchange.loading import Loaded
from commonwatt.exchange.months import Months
from commonwatt.exchange.replica import Replica
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.store import Store
from commonwatt.exchange.window import around
from commonwatt.ledger.client.abi import COMMUNITY, SETTLEMENT
from commonwatt.ledger.client.settlement import Addresses, LedgerClient
from commonwatt.ledger.node import ZERO_ADDRESS, Node
from commonwatt.ledger.remote import RemoteNode
from commonwatt.proof import Domain, Key, checksum_address, keccak
from commonwatt.service.exchange_client import Away, ExchangeClient, Refused
from commonwatt.service.logins import Passwords
from commonwatt.service.playable import require_cosignable

_LOGGER: Final = logging.getLogger(__name__)
_PAUSE: Final = 1.0
"""Between two questions what waits [s]."""
_AGAIN: Final = 60
"""Before what was not signed is looked at again [s]: the ledger may have told it late."""
_DAY: Final = 86_400
_ORDERS: Final = "orders"


@dataclass(frozen=True)
class Setting:
    """Who signs, and where.

    url : of the exchange; authority : file with the certificate of whoever certified it
    key : of the operator; file : the operator's own copy of the community's file; loaded : what that says
    out : folder of what the operator has signed
    ledger : URL of the operator's own node; None = the one that the exchange names
    """

    url: str
    authority: Path | None
    key: Key
    file: Path
    loaded: Loaded
    out: Path
    ledger: str | None = None


class Cosigner:
    """Signs what an exchange has waiting, as far as the replica comes to the same.

    client : signed in as this operator; rules_at : of the days around a time [unix s]
    rules_of : of so many local days from a first one; clock : this operator's [unix s]
    """

    def __init__(
        self,
        client: ExchangeClient,
        replica: Replica,
        rules_at: Callable[[int], Rules],
        rules_of: Callable[[date, int], Rules],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.client, self.replica, self.store = client, replica, replica.store
        self._rules_at, self._clock = rules_at, clock
        self._months = Months(replica, replica.roster, rules_of, Path())
        self._own = replica.outbox.quorum[0].address
        self._refused: dict[tuple[str, int, int], int] = {}
        """Until when what was not signed is not looked at again [unix s]."""
        self._retry = 0

    async def step(self) -> int:
        """Look at all that waits, once; how much of it was signed.

        Raises Away or Refused where the exchange does not show what waits, NodeError while the ledger does not answer.
        """
        now, replica = int(self._clock()), self.replica
        if replica.roster.follow() or (now >= replica.rules.period.end - _DAY and now >= self._retry):
            self._go_by(self._ruled(now))
        orders = cosigned.orders_of_json(await self.client.cosigned("/orders"))
        waiting = cosigned.waiting_of_json(await self.client.cosigned(""))
        replica.look(now)
        names = {*map(_name, waiting), *((_ORDERS, each.slot, 0) for each in orders)}
        orders = [each for each in orders if self._refused.get((_ORDERS, each.slot, 0), now) <= now]
        open_ = [each for each in waiting if not self._done(each) and self._refused.get(_name(each), now) <= now]
        if orders or open_:
            replica.know(cosigned.roster_of_json(await self.client.cosigned("/roster")))
            self._go_by(replica.rules)
        for shown in orders:
            await self._tried((_ORDERS, shown.slot, 0), partial(self._receipted, shown, now), now)
        signed = sum([await self._tried(_name(each), partial(self._one, each, now), now) for each in open_])
        self._refused = {name: until for name, until in self._refused.items() if name in names}
        return signed

    async def _tried(self, name: tuple[str, int, int], sign: Callable[[], Coroutine[Any, Any, bool]], now: int) -> bool:
        """Whether something was signed; where not, the log has why, and others go on."""
        try:
            return await sign()
        except NodeError:
            raise
        except (CommonwattError, Refused) as error:
            if isinstance(error, Refused) and error.status == HTTPStatus.UNAUTHORIZED:
                raise
            if name not in self._refused:
                kind, slot, _ = name
                _LOGGER.error("Not signed: %s of slot %d. %s", kind, slot, error)
            self._refused[name] = now + _AGAIN
            return False

    async def _receipted(self, shown: cosigned.ShownOrders, now: int) -> bool:
        """Give receipts for orders."""
        given = [hex_text(each) for each in self.replica.receipts(shown, now)]
        if given:
            body = {"slot": shown.slot, "first": shown.first, "signatures": given}
            await self.client.cosigned("/receipts", json=body)
        return bool(given)

    def _ruled(self, now: int) -> Rules:
        """The rules of the days that come, as far as their prices are known."""
        self._retry = now + _AGAIN
        try:
            return self._rules_at(now)
        except (DataError, MarketError) as error:
            _LOGGER.error("%s", error)
            return self.replica.rules

    def _go_by(self, rules: Rules) -> None:
        self.replica.under(rules.with_members(self.replica.roster.members))

    def _done(self, each: cosigned.Waiting) -> bool:
        """Whether it is signed by this operator, or needs nobody's signature and is known."""
        return self._own in each.signers or (each.enough and self._known(each.slot) >= each.revision)

    def _known(self, slot: int) -> int:
        """The last revision of a slot that is known; -1 where it is not settled."""
        found = rows.revision_of(self.store, slot)
        return -1 if found is None else found

    async def _one(self, each: cosigned.Waiting, now: int) -> bool:
        """Whether it is signed now, of which the exchange is told."""
        if each.kind == cosigned.GATE:
            signature = self.replica.gate(await self._gate(each.slot), now)
        elif each.kind == cosigned.POST:
            signature = await self._posted(each.slot, each.revision, now)
        else:
            signature = await self._billed(each, now)
        if each.enough or not signature:
            return False
        body = {"kind": each.kind, "slot": each.slot, "revision": each.revision, "signature": hex_text(signature)}
        await self.client.cosigned("/signatures", json=body)
        return True

    async def _gate(self, slot: int) -> cosigned.ShownGate:
        return cosigned.gate_of_json(await self.client.cosigned(f"/gates/{slot}"))

    async def _posted(self, slot: int, revision: int, now: int) -> bytes:
        """The signature under a revision of a slot, once all that came before it is known."""
        known, signature = self._known(slot), b""
        for number in range(min(known + 1, revision), revision + 1):
            shown = cosigned.post_of_json(await self.client.cosigned(f"/posts/{slot}/{number}"))
            if (shown.slot, shown.revision) != (slot, number):
                raise RecordError(f"Another post is shown for slot {slot}, revision {number}.")
            if known < 0 and not shown.missed:
                await self._committed(slot, now)
            self.replica.look(now)
            signature = self.replica.post(shown, now)
        return signature

    async def _committed(self, slot: int, now: int) -> None:
        """See to it that the gate of a slot is known, as the ledger has it."""
        one = Slots(slot, 1, self.replica.rules.period.seconds)
        if not ledger_rows.read_commitments(self.store, one):
            self.replica.gate(await self._gate(slot), now)
        ((orders, trades),) = ledger_rows.read_commitments(self.store, one)
        if self.replica.client.commitment(slot) != keccak(orders + trades):
            raise VerificationError(f"Slot {slot}: the ledger has another commitment than this operator comes to.")

    async def _billed(self, each: cosigned.Waiting, now: int) -> bytes:
        """The signature under the bills of a period, once all its slots are known."""
        seconds, usual = self.replica.rules.period.seconds, self.replica.rules
        period = Slots(each.slot, (each.until - each.slot) // seconds, seconds)
        settled = await self.client.cosigned(f"/slots?start={period.start}&until={period.end}")
        self.replica.under(self._months.books(period).rules)
        try:
            for slot, revision in cosigned.slots_of_json(settled):
                if self._known(slot) < revision:
                    await self._posted(slot, revision, now)
            return self.replica.bills(self._months.books(period), each.root)
        finally:
            self.replica.under(usual)


def _name(each: cosigned.Waiting) -> tuple[str, int, int]:
    return each.kind, each.slot, each.revision


async def cosign(setting: Setting, started: Callable[[bytes, str], None]) -> None:
    """Sign until SIGTERM or SIGINT, whatever the exchange or the ledger does meanwhile.

    started : told once it begins: the contract Settlement, and the URL of the ledger that it asks
    Raises CommonwattError for what somebody has to do something about before anything can be signed.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, task.cancel)
    with suppress(asyncio.CancelledError):
        async with ExchangeClient(setting.url, Passwords(bytes(32)), setting.authority) as client:
            try:
                known = await client.announced()
                await client.sign_in(setting.key)
                told = await client.cosigned("")
            except (Away, Refused) as error:
                raise NodeError(setting.url, str(error)) from None
            start, url = _told(told, setting)
            with opened(setting, known.domain, start, url) as (replica, rules_at):
                rules_of = partial(Rules.of, setting.loaded, setting.file.parent)
                started(known.domain.contract, url)
                await _forever(setting, Cosigner(client, replica, rules_at, rules_of))


async def _forever(setting: Setting, cosigner: Cosigner) -> None:
    trouble = ""
    while True:
        before, trouble = trouble, ""
        try:
            if signed := await cosigner.step():
                _LOGGER.info("Signed %d that waited.", signed)
        except Refused as error:
            trouble = str(error)
            with suppress(Away, Refused):
                await cosigner.client.sign_in(setting.key)
        except (Away, CommonwattError) as error:
            trouble = str(error)
        if trouble not in ("", before):
            _LOGGER.error("%s It is tried again.", trouble)
        await asyncio.sleep(_PAUSE)


def _told(told: Any, setting: Setting) -> tuple[date, str]:
    """The exchange's first local day, and which node is asked."""
    try:
        start, named = date.fromisoformat(told["start"]), told["ledger"]
    except (KeyError, TypeError, ValueError):
        raise NodeError(setting.url, f"What answers at {setting.url} shows operators nothing to sign.") from None
    url = setting.ledger or named
    if not isinstance(url, str):
        raise ConfigError("The request", [Finding("ledger", "is the URL of a node; the exchange names none")])
    return start, url


@contextmanager
def opened(setting: Setting, domain: Domain, start: date, url: str) -> Iterator[tuple[Replica, Callable[[int], Rules]]]:
    """The operator's own exchange in its folder, and the rules of the days around a time [unix s].

    domain : of the contract Settlement; start : the exchange's first local day; url : of the ledger
    Raises LedgerError where the ledger has no such contract, or this operator is none of its community's.
    """
    with closing(open_store(setting.out, fresh=False)) as store, closing(RemoteNode(url, reader=setting.key)) as node:
        client = _client(node, setting.key, domain)
        folder = setting.file.parent
        rules_at = partial(_around, setting.loaded, folder, store, start)
        rules = rules_at(int(time.time()))
        require_cosignable(f"{setting.file}", rules)
        yield replica_of(rules, store, client, setting.key, setting.out, start), rules_at


def replica_of(rules: Rules, store: Store, client: LedgerClient, key: Key, out: Path, start: date) -> Replica:
    """An operator's own exchange, of the one that begins on the local day `start`.

    Raises StoreError where the folder is another exchange's.
    """
    claim_living(store, rules, hex_text(client.addresses.settlement), out, 0, start)
    if "settlement" not in store.values():
        enter(store, Founded(client.node, client, 0), ())  # type: ignore[arg-type]
    roster = Enrolled(store, client, rules.community)
    roster.follow()
    return Replica(rules, store, client, key, roster)


def _around(loaded: Loaded, folder: Path, store: Store, start: date, now: int) -> Rules:
    return around(loaded, folder, store, now, start)


def _client(node: Node, key: Key, domain: Domain) -> LedgerClient:
    """The contracts of the community whose Settlement the exchange names."""
    contract = checksum_address(domain.contract)
    if node.chain_id != domain.chain_id:
        raise LedgerError(f"The ledger is chain {node.chain_id}, and the exchange's is {domain.chain_id}.")
    if not node.code(domain.contract):
        raise LedgerError(f"There is no contract at {contract} on this ledger, where the exchange says it is.")
    found = LedgerClient(node, key, Addresses(ZERO_ADDRESS, domain.contract))
    community, token = (bytes(found.view(SETTLEMENT, name)[0]) for name in ("community", "asset"))
    client = LedgerClient(node, key, Addresses(community, domain.contract, token))
    if not client.view(COMMUNITY, "isOperator", key.address)[0]:
        raise LedgerError(f"{checksum_address(key.address)} is no operator of the community of {contract}.")
    return client
