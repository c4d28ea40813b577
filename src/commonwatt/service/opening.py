"""A living exchange from its folder: founded on its chain the first time, found again whenever it starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from commonwatt.community.model import Community
from commonwatt.errors import ConfigError, Finding
from commonwatt.exchange import rows
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.folder import KEY_FILE, open_store
from commonwatt.exchange.founding import NO_METER, Party, begins, claim_living, enter, is_ether, open_ledger
from commonwatt.exchange.live import Live
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.store import Store
from commonwatt.exchange.window import around
from commonwatt.ledger.keyfile import read_key
from commonwatt.proof import Domain, Key
from commonwatt.records import Mandate, Signed
from commonwatt.service.playable import require_servable
from commonwatt.simulation.keys import mandates, simulated_keys
from commonwatt.simulation.simulation import parties

OWN: Final = "own"
"""What the store calls a chain that the service runs itself."""
_FILE: Final = "The community's file"
_LONG: Final = 3650 * 86_400
"""How long simulated members' mandates hold [s]."""


@dataclass(frozen=True)
class Demo:
    """A day that is played by homes of a simulation, whose keys the exchange's are.

    start : first local day; speed : market seconds in a second
    days : how many; None = as long as there are prices
    waits : time stands until all homes have said what they have to
    """

    start: date
    speed: float
    days: int | None = None
    waits: bool = False


@dataclass(frozen=True)
class Founders:
    """Who founds a community.

    quorum : keys of as many operators as must sign, or of those among them that are here
    operators : addresses of all; parties : by member index
    mandates : what members sign for the domain of the community's contract, and until when nothing of it is asked
    """

    quorum: tuple[Key, ...]
    operators: tuple[bytes, ...]
    parties: tuple[Party, ...]
    mandates: Callable[[Domain, Rules], Sequence[Signed[Mandate]]] = lambda _domain, _rules: ()

    @classmethod
    def simulated(cls, community: Community) -> Founders:
        """All that a simulation knows."""
        keys = simulated_keys(community)

        def signed(domain: Domain, rules: Rules) -> Sequence[Signed[Mandate]]:
            return mandates(community, keys, rules.limits, domain, rules.events[0].at, rules.period.end + _LONG)

        operators = tuple(key.address for key in keys.operators)
        return cls(keys.operators[: community.ledger.threshold], operators, tuple(parties(keys)), signed)

    @classmethod
    def named(
        cls,
        community: Community,
        files: Sequence[Path],
        out: Path,
        elsewhere: Sequence[bytes] = (),
        *,
        founded: bool = False,
    ) -> Founders:
        """The operators whose key files are given, and the members that the file names with their wallets.

        elsewhere : addresses of the other operators, who sign with `commonwatt cosign`
        founded : the community is, so that nothing need be paid in for its members
        Raises ConfigError for those without one, and for what too few keys cannot found; LedgerError for a key file
        that cannot be used.
        """
        names, ledger = community.ledger.operators, community.ledger
        keys = tuple(read_key(path) for path in (files or [out / KEY_FILE]))
        operators = [*(key.address for key in keys), *elsewhere]
        if len(set(operators)) != len(operators) or len(operators) != len(names):
            told = f"{len(keys)} key files and {len(elsewhere)} addresses" if elsewhere else f"{len(keys)} key files"
            message = (
                f"are {len(names)}, and {told} are given; name the key file of each with --key, or with --operator the "
                "address of one who signs elsewhere"
            )
            raise ConfigError("The request", [Finding("ledger.operators", message)])
        findings = [
            Finding(member.path, "needs its wallet, an address; members without one join later")
            for member in community.members
            if member.wallet is None
        ]
        if findings:
            raise ConfigError(_FILE, findings)
        if len(keys) < ledger.threshold:
            _require_unpaid(community, founded=founded)
        found = tuple(Party(member.wallet or b"", member.meter or NO_METER) for member in community.members)
        return cls(keys[: ledger.threshold], tuple(operators), found)


def _require_unpaid(community: Community, *, founded: bool) -> None:
    """Raise ConfigError for tokens that operators elsewhere would have to sign for, who are asked for nothing of it."""
    if is_ether(community):
        return
    message = "is issued as many operators sign: found the community with their keys, and take all but one away then"
    paying = () if founded else (each for each in community.members if each.collateral)
    findings = [Finding(f"{each.path}.collateral", message) for each in paying]
    if community.ledger.bond:
        findings.append(
            Finding("ledger.bond", "needs the keys of as many operators as must sign, or ether as currency")
        )
    if findings:
        raise ConfigError(_FILE, findings)


def first_day(store: Store, community: Community, now: int, asked: date | None) -> date:
    """The exchange's first local day: as the store has it, else as asked for, else today."""
    held = store.values().get("start")
    if held:
        return date.fromisoformat(held)
    return asked or datetime.fromtimestamp(now, ZoneInfo(community.timezone)).date()


@dataclass(frozen=True)
class Plan:
    """What is known before the chain runs.

    store : of the exchange; start : its first local day; begin : of the chain [unix s]
    rules : of the days around now; at : of a time [unix s]
    """

    store: Store
    start: date
    begin: int
    rules: Rules
    at: Callable[[int], Rules]


def plan(community: Community, folder: Path, out: Path, now: int | None, asked: date | None, demo: Demo | None) -> Plan:
    """Open the store, and read what is needed of the first days.

    folder : of the community's file; out : of the exchange
    now : [unix s]; None while nothing vouches for it: then the exchange goes on from what it did last
    asked : the first local day, where the store does not have it yet; None = today

    Raises ConfigError also where a community would be founded at a time that nothing vouches for.
    """
    if demo and community.ledger.kind not in ("embedded", "none"):
        message = 'must be "embedded" for a demo, whose chain has the demo\'s time'
        raise ConfigError(_FILE, [Finding("ledger.kind", message)])
    store = open_store(out, fresh=False, database=community.live.database)
    try:
        if now is None:
            _require_founded(store)
        last = rows.last_time(store)
        now = last if demo or now is None else max(now, last)
        start = first_day(store, community, now, asked)
        if demo and demo.days is not None:
            fixed = Rules.of(community, folder, start, demo.days)
            require_servable(_FILE, fixed)
            return Plan(store, start, begins(fixed), fixed, lambda _: fixed)

        def at(now: int) -> Rules:
            return around(community, folder, store, now, start)

        first = Rules.of(community, folder, start, 1)
        require_servable(_FILE, first)
        genesis = begins(first) if demo else min(now, begins(first))
        begin = int(store.values().get("genesis", genesis))
        return Plan(store, start, begin, at(max(begin, now)), at)
    except BaseException:
        store.close()
        raise


def _require_founded(store: Store) -> None:
    if "settlement" not in store.values():
        message = (
            "is vouched for by nothing, and the time at which a community is founded stays for good; let NTP keep it, "
            "or say that it is right with --trust-clock"
        )
        raise ConfigError("The machine", [Finding("clock", message)])


def open_live(plan: Plan, founders: Founders, out: Path, url: str, token: str, *, demo: bool) -> Live:
    """The exchange on a chain that answers at `url`.

    token : what the service's own chain shares with it, as for `open_ledger`
    """
    rules, store = plan.rules, plan.store
    community = rules.community
    ledger = OWN if community.ledger.kind == "embedded" else url
    claim_living(store, rules, ledger, out, plan.begin, plan.start)
    founded = open_ledger(
        store, rules, url, out, founders.quorum, founders.operators, founders.parties, live=not demo, token=token
    )
    client = founded.client
    roster = Enrolled(store, client, community)
    if "settlement" not in store.values():
        for member, party in zip(community.members, founders.parties, strict=True) if not demo else ():
            roster.name(party.account, member.id, member.bus or "")
        enter(store, founded, founders.mandates(client.domain, rules))
    roster = Enrolled(store, client, community)
    roster.follow()
    (threshold,) = client.view("Community", "threshold")
    elsewhere = threshold > len(founders.quorum)
    exchange = Exchange(rules, store, client, founders.quorum, roster, threshold=threshold if elsewhere else 0)
    return Live(exchange, roster, plan.at, community.live.readings_wait)
