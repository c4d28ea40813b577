"""The driver of a simulated period: it brings the exchange each event at once, with what simulated homes say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from commonwatt.community.model import Community
from commonwatt.exchange import rows, tables
from commonwatt.exchange.events import Correction, GateClosure
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.folder import open_store
from commonwatt.exchange.founding import NO_METER, Generator, Party, claim, enter, open_ledger
from commonwatt.exchange.laboratory import Laboratory
from commonwatt.exchange.roster import Present, Unchanging
from commonwatt.exchange.rules import Rules, Then
from commonwatt.exchange.stopwatch import Stopwatch
from commonwatt.exchange.store import Store
from commonwatt.exchange.told import all_told, told
from commonwatt.forecast import Forecaster
from commonwatt.proof import sign
from commonwatt.simulation import ballots, world
from commonwatt.simulation.cards import write_cards
from commonwatt.simulation.homes import Homes, SigningHomes
from commonwatt.simulation.keys import Keys, mandates, simulated_keys
from commonwatt.simulation.minds import Minds, history
from commonwatt.simulation.result import Result

if TYPE_CHECKING:
    from commonwatt.ledger.chain.embedded import EmbeddedChain
    from commonwatt.ledger.remote import RemoteNode


class Simulation:
    """One community over one period.

    out : folder for the two files, which a later run continues; None keeps both in memory
    ledger : "embedded", the URL of a node (see `founding`), or "none" for the laboratory: no signatures, no chain,
        bills without proofs
    fresh : drop the run that `out` holds; not before everything that the new one needs has been read
    forecaster : of all homes, whatever the file says
    firm : for the laboratory: batteries hold to all that was planned over the horizon, not only to what was agreed
    then : later charters, by day. Where the run founds its community its members vote on them first; where it goes on,
        the engine refuses those that they have not adopted
    token : opens the operator's door of a node whose time is set
    engine : what is made of the ledger's contracts, mandates and meters; another one than `Exchange` plays a liar
    Raises StoreError when `out` holds another run or
        cannot be written, NotAdopted when the members of its ledger adopted other charters.
    """

    def __init__(
        self,
        community: Community,
        folder: Path,
        start: date,
        days: int,
        *,
        ledger: str = "embedded",
        out: Path | None = None,
        fresh: bool = False,
        forecaster: Forecaster | None = None,
        firm: bool = False,
        engine: Callable[..., Exchange] = Exchange,
        then: Sequence[Then] = (),
        token: str = "",
    ) -> None:
        self.watch = Stopwatch()
        self.node: EmbeddedChain | RemoteNode | None = None
        with self.watch("read data"):
            self.rules = Rules.of(community, folder, start, days, then)
            self.minds = Minds.of(community, folder, forecaster)
        self.exchange: Laboratory
        self.homes: Homes
        with ExitStack() as undo:
            undo.callback(self.minds.close)
            with self.watch("read data"):
                truth = world.build(self.rules, folder, history(self.rules, self.minds))
            self.store = open_store(out, fresh=fresh) if out else Store(None)
            undo.callback(self.close)
            claim(self.store, self.rules, ledger, out, ballots.HEAD_START if then else 0)
            if ledger == "none":
                self.exchange = Laboratory(self.rules, self.store, self.watch)
                self.homes = Homes(self.rules, truth, self.minds, self.store, firm=firm)
            else:
                self._open_ledger(ledger, out, truth, engine, token)
            self.late: dict[int, dict[int, int]] = {}
            for slot, member, measured in self.store.last(
                tables.accounts, ("slot", "member", "measured"), self.rules.period
            ):
                if not measured:
                    self._expect_late(slot, {member})
            undo.pop_all()

    def _open_ledger(
        self, ledger: str, out: Path | None, truth: world.World, engine: Callable[..., Exchange], token: str
    ) -> None:
        rules, store = self.rules, self.store
        keys = simulated_keys(rules.community)
        with self.watch("found the community"):
            quorum = keys.operators[: rules.community.ledger.threshold]
            operators = [key.address for key in keys.operators]
            founded = open_ledger(store, rules, ledger, out, quorum, operators, parties(keys), token=token)
            self.node = founded.node
            signed = rows.read_mandates(store)
            if not signed:
                ballots.adopt(founded.client, rules, keys.members)
                opening, end = rules.events[0].at, rules.period.end
                signed = mandates(rules.community, keys, rules.limits, founded.client.domain, opening, end)
                if out:  # before the store knows that all is done
                    write_cards(founded.client, rules.community, parties(keys), out / "cards")
                enter(store, founded, signed)
            meters = [party.meter for party in parties(keys)]
            roster = Unchanging(Present.of(signed, meters, rules.community, founded.client.domain))
            generators = {member: key.address for member, key in keys.generators.items()}
            self.exchange = engine(rules, store, founded.client, quorum, roster, self.watch, generators)
            self.homes = SigningHomes(rules, truth, self.minds, store, keys, founded.client.domain)

    def run(self, progress: Callable[[int, int], None] | None = None) -> Result:
        """Every event that is not done yet, then the end of the period: readings that are still to come correct their
        slots, the last windows pass, bills are anchored, and plants pay their owners.

        progress : called with the number of events done and of all events
        """
        exchange = self.exchange
        while self.advance():
            if progress:
                progress(exchange.done + 1, len(self.rules.events))
        self.minds.close()  # nobody is asked any more
        result = Result(exchange, self.homes, self.close, self.let_go)
        with self.watch("bill"):
            _ = result.charges, result.charges_without_market
        if isinstance(exchange, Exchange):
            with self.watch("anchor the bills"):
                exchange.anchor(result.bills.tree.root)
            if self.rules.plants and isinstance(self.homes, SigningHomes):
                from commonwatt.simulation.payout import pay_owners

                with self.watch("pay the owners of plants"):
                    pay_owners(exchange.client, result.charges.plants, self.homes.keys.members)
        return result

    def advance(self) -> bool:
        """The next correction or event that is not done yet. Returns whether there was one."""
        if self._correct():
            return True
        event, exchange, homes, watch = self.exchange.next, self.exchange, self.homes, self.watch
        if event is None:
            return False
        if isinstance(event, GateClosure):
            with watch("forecast, plan, sign orders"):
                wishes = homes.declare(event, all_told(exchange.committed))
            exchange.close_gate(event, wishes, partial(homes.keep_plans, event.slots))
            return True
        slot = event.slot
        with watch("deliver"):
            flows = homes.deliver(told(exchange.committed[slot]))
        with watch("sign readings"):
            readings = homes.read(slot, flows["net"])
            made = homes.read_generators(slot, flows["generation"] - flows["curtailed"])
            readings = replace(readings, generators=made)
        exchange.end_slot(event, readings, partial(homes.keep_flows, slot, flows))
        self._expect_late(slot, readings.missing)
        return True

    def _expect_late(self, slot: int, missing: Iterable[int]) -> None:
        """Note when each of these readings will come: `late` has it by slot and by member [unix s]."""
        for member in missing:
            if delay := self.homes.delay(slot, member):
                self.late.setdefault(slot, {})[member] = slot + self.rules.period.seconds + delay

    def _correct(self) -> bool:
        """Settle one slot anew with what has come of it, where there is one. Returns whether there was.

        Readings come at the ends of slots, and after the last one at times a slot apart.
        """
        exchange, seconds = self.exchange, self.rules.period.seconds
        if not self.late or (exchange.next and isinstance(self.rules.events[exchange.done], GateClosure)):
            return False
        ledger = self.rules.community.ledger
        ends = {slot: slot + seconds + ledger.corrections for slot in self.late}
        # When all have come and all is final, what cannot be paid then cannot be later either.
        last = max(exchange.now, *(when for coming in self.late.values() for when in coming.values()))
        final = last + 2 * ledger.window + (ledger.answer or ledger.window) + seconds
        until = exchange.now if exchange.next else min(max(ends.values()), final)
        for at in range(exchange.now, until + 1, seconds):
            for slot, coming in sorted(self.late.items()):
                came = frozenset(member for member, when in coming.items() if when <= at)
                if came and self._correct_with(Correction(at, slot), came):
                    return True
        self.late = {slot: coming for slot, coming in self.late.items() if exchange.next and ends[slot] > until}
        return False

    def _correct_with(self, correction: Correction, came: frozenset[int]) -> bool:
        slot = correction.slot
        if self.exchange.obstacle(correction):
            return False
        with self.watch("sign readings"):
            readings = self.homes.read_late(slot, came)
        if not self.exchange.correct(correction, readings):
            return False
        coming = {member: when for member, when in self.late.pop(slot).items() if member not in came}
        self.late |= {slot: coming} if coming else {}
        return True

    def let_go(self) -> None:
        """Read both files into memory and release them. A node that is asked over the wire stays as it is."""
        self.store.let_go()
        if self.node and hasattr(self.node, "let_go"):
            self.node.let_go()

    def close(self) -> None:
        """Release both files, and end what runs for agents and forecasters."""
        self.minds.close()
        self.store.close()
        if self.node:
            self.node.close()


def parties(keys: Keys) -> list[Party]:
    """What the ledger is told of the members."""
    generators = {
        member: Generator(keys.inverters[member].address, meter.address, partial(sign, key=keys.members[member]))
        for member, meter in keys.generators.items()
    }
    return [
        Party(wallet.address, meter.address if meter else NO_METER, generators.get(member))
        for member, (wallet, meter) in enumerate(zip(keys.members, keys.meters, strict=True))
    ]
