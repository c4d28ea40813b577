"""How a community comes to its ledger, and a run to its files: founded once, found again whenever the run goes on.

Every driver does it so, and needs nobody's keys but those of as many operators as must sign: of all others the ledger
is told the addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from commonwatt.community.model import Community
from commonwatt.errors import LedgerError, NodeError, StoreError
from commonwatt.exchange import rows, writing
from commonwatt.exchange.folder import refuse_half_a_run, remove
from commonwatt.exchange.outbox import minted
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.store import VERSION, Store, set_values
from commonwatt.ledger.opening import LEDGER_FILE
from commonwatt.proof import Domain, Key, checksum_address, keccak
from commonwatt.records import Acceptance, Mandate, Signed

if TYPE_CHECKING:
    from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
    from commonwatt.ledger.client.settlement import LedgerClient
    from commonwatt.ledger.node import Node
    from commonwatt.ledger.remote import RemoteNode

_OPERATOR_WEI: Final = 10**24
_RESTARTS: Final = 5.0
"""How long a node of the exchange's own is waited for, which somebody starts anew when it has ended [s]."""
_PATIENT: Final = 60.0
"""The same, and how long an answer may take, of one whose clock is set: a block of it may hold a whole community, and
nobody waits but who began this run [s]."""
_SOON: Final = 5.0
"""How long an answer of one's own node may take, which answers also while it seals [s]."""
_ETHER: Final = ("ETH", "ETHER")
_HEAD_START: Final = 3600
"""Between genesis and the first gate [s]: the community is created then."""
_FOUNDING: Final = 1800
"""How long after the genesis a community may still be founded, when it took several attempts [s]."""


@dataclass(frozen=True)
class Generator:
    """The addresses under which the ledger knows a generator: its own, and that of the meter that measures it alone.

    accept : signs for the member that it takes the meter into service, in the domain of the community's contract
    """

    device: bytes
    meter: bytes
    accept: Callable[[Domain, Acceptance], Signed[Acceptance]]


NO_METER: Final = bytes(20)
"""The address that stands for none."""


@dataclass(frozen=True)
class Party:
    """The addresses under which the ledger knows a member: its account, its meter or `NO_METER`, and its generator's,
    if any."""

    account: bytes
    meter: bytes
    generator: Generator | None = None


@dataclass(frozen=True)
class Founded:
    """The community's contracts on a node. block : number of the one in which the last member had paid in"""

    node: EmbeddedChain | RemoteNode
    client: LedgerClient
    block: int


def claim(store: Store, rules: Rules, ledger: str, out: Path | None, head_start: int = 0) -> None:
    """Say in the store which run it belongs to.

    head_start : how much earlier than for its first gate the community is founded, where this is not done yet [s]
    Raises StoreError when it holds another run, or half of one.
    """
    # Which later charters hold is for the ledger to say, where there is one.
    charters = rules.charters if ledger == "none" else rules.charters[:1]
    wanted = {
        "community": " ".join(charter.community.whole.hex() for charter in charters),
        "start": rules.start.isoformat(),
        "days": str(rules.days),
        "ledger": ledger,
    }
    file = out / LEDGER_FILE if out and ledger == "embedded" else None
    _claim(store, rules, wanted, f"{out}", begins(rules) - head_start, file)


def claim_living(store: Store, rules: Rules, ledger: str, out: Path, begin: int, start: date) -> None:
    """The same for an exchange that goes on: its community's file may change, its members, and the days of the rules.

    ledger : "own", or the URL of a node; begin : of the chain [unix s]; start : the exchange's first local day
    """
    wanted = {"community": rules.community.name, "start": start.isoformat(), "days": "", "ledger": ledger}
    _claim(store, rules, wanted, f"{out}", begin)


def begins(rules: Rules) -> int:
    """When a community is founded whose first gate is that of the rules [unix s]."""
    return rules.events[0].at - _HEAD_START


def _claim(
    store: Store, rules: Rules, wanted: Mapping[str, str], where: str, begin: int, embedded: Path | None = None
) -> None:
    values = store.values()
    held = {key: values.get(key) for key in wanted}
    begun = "settlement" in values or rows.last_closed(store) >= 0
    if begun and held != wanted:
        days = f"{held['days']} days, " if held["days"] else ""
        raise StoreError(
            f"{where} holds another run ({held['start']}, {days}ledger {held['ledger']}, or an earlier version of the "
            "community's file); choose another folder or start it afresh."
        )
    if embedded:
        refuse_half_a_run(embedded, values)
    stages = {rows.STAGES_AHEAD: " ".join(str(stage.number) for stage in rules.ahead)}
    if begun and values.items() >= stages.items():
        return
    with store.transaction() as connection:
        set_values(connection, stages)
        if not begun:
            # Before the chain is made: a chain without these values was made by somebody else.
            set_values(connection, {"version": VERSION, "genesis": str(begin), **wanted})


def open_ledger(
    store: Store,
    rules: Rules,
    ledger: str,
    out: Path | None,
    quorum: Sequence[Key],
    operators: Sequence[bytes],
    parties: Sequence[Party],
    *,
    live: bool = False,
    token: str = "",
) -> Founded:
    """The community's contracts on the node that `ledger` names; founded there if the store knows of none.

    ledger : "embedded", or the URL of a node
    quorum : keys of as many operators as must sign; the first one sends
    operators : addresses of all; parties : by member index
    live : the driver goes by the clock that the node goes by, so that no time has to be set there
    token : what a node of one's own shares with its operator: it opens the door of one whose time is set; another one
        proves its answers with it
    """
    from commonwatt.ledger.client.settlement import Addresses, LedgerClient

    values, operator = store.values(), quorum[0]
    path = out / LEDGER_FILE if out and ledger == "embedded" else None
    if path and "settlement" not in values:
        # Killed before the community was founded: nothing of value is in the file yet.
        remove(path)
    genesis = int(values["genesis"])
    held = [bytes.fromhex(values.get(name, "")) for name in ("community_contract", "settlement", "token")]
    node = open_node(ledger, path, rules.community, operator.address, genesis, held[1] or None, live=live, token=token)
    try:
        if held[1]:
            return Founded(node, LedgerClient(node, operator, Addresses(*held)), int(values["founded_at_block"]))
        client = found(node, rules.community, quorum, operators, parties, rules.period.start, genesis + 1)
        return Founded(node, client, node.head.number)
    except BaseException:
        node.close()
        raise


def _require_unused(node: Node, community: Community) -> None:
    """Raise StoreError where a chain of the community's own has slots that no store beside it knows of."""
    from commonwatt.ledger.client.posts import POSTED

    if community.ledger.kind == "embedded" and node.logs(1, node.head.number, topic=POSTED):
        raise StoreError(
            "The community's chain has settled slots, and the exchange's store is empty; restore a backup of it, or "
            "begin anew with another --dir."
        )


def enter(store: Store, founded: Founded, mandates: Sequence[Signed[Mandate]]) -> None:
    """Keep in the store where the community's contracts are, and its members' mandates. Once: later ones are read."""
    addresses = founded.client.addresses
    with store.transaction() as connection:
        set_values(
            connection,
            {
                "community_contract": addresses.community.hex(),
                "settlement": addresses.settlement.hex(),
                "token": addresses.token.hex(),
                "chain_id": str(founded.client.domain.chain_id),
                "founded_at_block": str(founded.block),
            },
        )
        writing.write_mandates(connection, mandates)


def open_node(
    ledger: str,
    path: Path | None,
    community: Community,
    operator: bytes,
    genesis: int,
    settlement: bytes | None,
    *,
    live: bool = False,
    token: str = "",
) -> EmbeddedChain | RemoteNode:
    """The node that `ledger` names: "embedded", or a URL.

    path : of the embedded chain's file; None = in memory
    operator : address; genesis : when a new chain begins [unix s]
    settlement : the contract of a run that has begun; None = nothing is founded yet
    live, token : as for `open_ledger`
    Raises LedgerError when the node cannot be used.
    """
    if ledger == "embedded":
        return open_chain(path, community, operator, genesis)
    return _remote(ledger, community, operator, genesis, settlement, live=live, token=token)


def open_chain(path: Path | None, community: Community, operator: bytes, genesis_time: int) -> EmbeddedChain:
    """The community's embedded chain, created when `path` does not exist. genesis_time [unix s]."""
    from commonwatt.ledger.chain.embedded import EmbeddedChain

    return EmbeddedChain(path, genesis_of(community, operator, genesis_time))


def beginning(community: Community) -> tuple[int, int]:
    """The number of the community's own chain, and what its operator has there at first [wei]."""
    return chain_id(community), _needed_wei(community)


def genesis_of(community: Community, operator: bytes, time: int) -> Genesis:
    """What the community's own chain begins with: all ether is the operator's [address]. time : of block 0 [unix s]"""
    from commonwatt.ledger.chain.embedded import Genesis

    number, wei = beginning(community)
    return Genesis(number, {operator: wei}, time)


def _remote(
    url: str, community: Community, operator: bytes, genesis: int, settlement: bytes | None, *, live: bool, token: str
) -> RemoteNode:
    """A node whose clock is set to the simulated one, or whose clock the driver goes by."""
    from commonwatt.ledger.remote import RemoteNode

    depth = community.ledger.confirmations
    if live and token:
        node = RemoteNode(url, depth=depth, restarts=_RESTARTS, secret=token, timeout=_SOON)
    elif token:
        node = RemoteNode(url, depth=depth, restarts=_PATIENT, token=token, timeout=_PATIENT)
    else:
        node = RemoteNode(url, depth=depth, restarts=_RESTARTS if live else 0.0)
    try:
        if not node.settable and not live:
            raise LedgerError(
                f"{url} goes by its own clock, so a simulated day cannot be settled there; a development node can "
                f"follow the day: anvil --no-mining --timestamp {genesis}"
            )
        node.drain(operator)
        if settlement is not None:
            if not node.code(settlement):
                raise LedgerError(f"{url} does not hold this run's contracts; is it another chain, or begun anew?")
        else:
            if live:
                _require_unused(node, community)
            elif (now := node.head.timestamp) > genesis + _FOUNDING:
                raise LedgerError(
                    f"The last block at {url} is of {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC, after "
                    f"this run begins; start the node anew: anvil --no-mining --timestamp {genesis}"
                )
            _fund(node, operator, _needed_wei(community))
    except BaseException:
        node.close()
        raise
    return node


def _fund(node: RemoteNode, operator: bytes, wei: int) -> None:
    """See to it that the operator [address] has what it needs to begin, also where a founding that was killed has spent
    some of it."""
    if node.balance(operator) >= wei - _OPERATOR_WEI // 2:
        return
    try:
        node.fund(operator, wei)
    except NodeError:
        raise
    except LedgerError:  # only a development node gives
        raise LedgerError(
            f"{checksum_address(operator)} needs {-(-wei // 10**18)} ether at {node.url} to found the community there; "
            "send it some, or begin a chain of its own with: commonwatt chain run"
        ) from None


def _needed_wei(community: Community) -> int:
    """What the operator starts with: for its transactions, and where ether is the currency for the collateral."""
    return _OPERATOR_WEI + (
        sum(member.collateral for member in community.members) * _lane_unit(community) if is_ether(community) else 0
    )


def _lane_unit(community: Community) -> int:
    """Base units of the community's asset in one unit of its money: wei, or millionths of its token."""
    return community.unit * (10**12 if is_ether(community) else 1)


def chain_id(community: Community) -> int:
    """A number for the community's own chain, far from those of public ones, from its file and seed.

    Wallets take it, and JavaScript computes with it exactly: it is below 2^47.
    """
    return 0x436F00000000 + int.from_bytes(keccak(b"chain" + community.digest)[:4], "big")


def is_ether(community: Community) -> bool:
    """Whether prices and balances are in ether instead of the community's token."""
    return community.currency.upper() in _ETHER


def found(
    chain: Node,
    community: Community,
    quorum: Sequence[Key],
    operators: Sequence[bytes],
    parties: Sequence[Party],
    first_slot: int,
    at: int,
) -> LedgerClient:
    """Create the contracts, register the members, pay in their collateral, give all accounts ether to send with.

    first_slot, at : [unix s]
    """
    from commonwatt.ledger.client.devices import generator
    from commonwatt.ledger.client.settlement import Enrolment, LedgerClient, Terms

    members = [
        Enrolment(party.account, member.role, party.meter)
        for member, party in zip(community.members, parties, strict=True)
    ]
    ledger = community.ledger
    answer_time = ledger.window if ledger.answer is None else ledger.answer
    ether = is_ether(community)
    client = LedgerClient.deploy(
        chain,
        quorum[0],
        operators=operators,
        threshold=ledger.threshold,
        config=community.digest,
        members=members,
        terms=Terms(
            lane_unit=_lane_unit(community),
            slot_seconds=community.slot_seconds,
            window=ledger.window,
            grace=ledger.grace,
            slot_offset=first_slot % community.slot_seconds,
            answer_time=answer_time,
            bond=ledger.bond,
            # The reading that comes last may find a correction under way.
            corrections=ledger.corrections + 2 * ledger.window + answer_time + ledger.grace,
        ),
        token=None if ether else (f"{community.name} {community.currency}", community.currency),
        by_registers=community.by == "registers",
        at=at,
    )
    registry = Domain(chain.chain_id, client.addresses.community)
    calls = [
        call
        for member, party in enumerate(parties)
        if (own := party.generator)
        for accepted in [own.accept(registry, Acceptance(member, own.meter))]
        for call in generator(client.addresses.community, own.device, accepted)
    ]
    if calls:
        client.sender.send(calls, at, "the registration of generators")
    paying = [member for member in community.members if member.collateral]
    if paying:
        lanes = [member.collateral for member in paying]
        signed = minted(client, sum(lanes), quorum)
        client.deposit_for([member.index for member in paying], lanes, at=at, signatures=signed)
    client.sender.endow([*(party.account for party in parties), *operators], at)
    return client
