"""Attacks on the contracts that would move money or keep it, each one carried out on a chain of its own.

Whether one is stopped is what came of it there: the post is gone, the transaction was refused, the money is where it
belongs, or the member's program does not believe the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from commonwatt.accounts.statements import statement_of
from commonwatt.community.roles import Role
from commonwatt.errors import Reverted, VerificationError
from commonwatt.exchange import steps
from commonwatt.ledger.client.abi import DEMANDS, SETTLEMENT, contract
from commonwatt.ledger.client.code import Contracts
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.demands import DemandsClient
from commonwatt.ledger.client.disputes import plain
from commonwatt.ledger.client.membership import Device, Kind
from commonwatt.ledger.client.offers import Offer, OffersClient, State
from commonwatt.ledger.client.quorum import mint
from commonwatt.ledger.client.settlement import Enrolment, LedgerClient
from commonwatt.ledger.client.terms import Addresses
from commonwatt.proof import Key, keccak, sign
from commonwatt.records import ZERO_HASH, Mandate, Mint, Reading, Receipt, Signed
from commonwatt.records.deltas import unpack_deltas
from commonwatt.study import trades
from commonwatt.study.scene import Scene, restated, stages, with_statement

_SEED: Final = b"commonwatt attacks"
_METER, _NEWCOMER, _LOST = (Key.derive(_SEED, name) for name in ("meter", "newcomer", "lost"))
_TAKEN: Final = 1_000
"""What is taken from somebody [lane unit]."""
_PRICE: Final = 200_000
_DAY: Final = 86_400


@dataclass(frozen=True)
class Attack:
    """An attack that was carried out.

    attack : what was tried; by : who tries it; stopped : whether nobody lost anything by it
    """

    attack: str
    by: str
    stopped: bool


def attacks(start: str) -> Iterator[Attack]:
    """Carry each of them out. start : day of the community's slots (ISO date)"""
    with stages("attacks.toml", start) as (first, anew):
        for name, by, attack in _ATTACKS:
            with (anew if attack is _newcomer_in_a_revision else first).scene() as scene:
                yield Attack(name, by, attack(scene))


# By a quorum, which posts what is not so


def _other_sums(scene: Scene) -> bool:
    """A buyer's statement says that it pays more than its lines do, and somebody else gets it."""
    member, honest = scene.trader(buys=True), scene.honest
    moved = unpack_deltas(honest.deltas).copy()
    moved[member] -= _TAKEN
    moved[(member + 1) % len(moved)] += _TAKEN
    lines = honest.lines[member]
    return scene.objected(restated(honest, member, lines, moved, money=lines[-1].money - _TAKEN), member)


def _meter_never_taken(scene: Scene) -> bool:
    """An operator proposes a meter of which it has the key; the member does not take it."""
    member, community = scene.trader(buys=True), CommunityClient(scene.client)
    community.register_meter(scene.client.key, member, _METER.address, at=scene.now)
    return _read_by(scene, member)


def _meter_taken_later(scene: Scene) -> bool:
    """The member takes it, after the slot that is billed by it."""
    member, community = scene.trader(buys=True), CommunityClient(scene.client)
    community.register_meter(scene.client.key, member, _METER.address, at=scene.now)
    community.accept_meter(scene.keys.members[member], _METER.address, at=scene.now)
    return _read_by(scene, member)


def _read_by(scene: Scene, member: int) -> bool:
    """The member's slot is posted by what the accomplice's meter says."""
    delivered = scene.honest.delivered
    reading = sign(scene.client.domain, Reading(_METER.address, scene.honest.post.slot, 10**6, 0, 1), _METER)
    readings = tuple(reading if place == member else each for place, each in enumerate(delivered.readings))
    false = replace(scene.honest, delivered=replace(delivered, readings=readings))
    return scene.objected(steps.post(false, scene.mandates), member)


def _newcomer_in_a_revision(scene: Scene) -> bool:
    """Of a member that the post before has no statement of, a revision takes the deposit."""
    index, mandate = _enrolled(scene)
    nothing = statement_of((), ZERO_HASH, ZERO_HASH)
    false = with_statement(scene.honest, index, nothing, _robbed(scene, index))
    return scene.objected(false, index, (_NEWCOMER, mandate))


def _newcomer_without_a_statement(scene: Scene) -> bool:
    """The same in a first post, without a statement that says so."""
    index, mandate = _enrolled(scene)
    false = with_statement(scene.honest, index, None, _robbed(scene, index))
    return scene.objected(false, index, (_NEWCOMER, mandate))


def _enrolled(scene: Scene) -> tuple[int, Signed[Mandate]]:
    """Somebody who joins after the slot, and pays in."""
    member = Enrolment(_NEWCOMER.address, Role.CONSUMER)
    index = CommunityClient(scene.client).register(member, at=scene.now)
    issue = scene.client.issue(_TAKEN)
    signatures = [sign(scene.client.token_domain, issue, key).signature for key in scene.quorum]
    scene.client.deposit_for([index], [_TAKEN], signatures=signatures, at=scene.now)
    draft = Mandate(_NEWCOMER.address, _NEWCOMER.address, "", 0, 0, 0, 0, 0, scene.now, 1)
    return index, sign(scene.client.domain, draft, _NEWCOMER)


def _robbed(scene: Scene, index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """What balances change by when the first member gets what the newcomer has paid in [lane unit]."""
    moved = np.append(unpack_deltas(scene.honest.deltas), -_TAKEN)
    moved[0] += _TAKEN
    return moved[: index + 1]


def _unmetered(scene: Scene) -> bool:
    """Energy that no meter counted moves money."""
    member = scene.trader(buys=True)
    return scene.objected(restated(scene.honest, member, scene.honest.lines[member], reading=ZERO_HASH), member)


# By others


def _refuser(scene: Scene) -> bool:
    """The first to ask for an order that is not there takes no ether, so that nobody could be paid for the lapse."""
    post, client = scene.honest.post, scene.client
    scene.post(scene.honest)
    missing = Receipt(keccak(b"an order that was accepted and left out"), post.slot, 0)
    demands = DemandsClient(client)
    by_hash = sorted(scene.quorum, key=lambda key: key.address)
    signatures = [sign(client.domain, missing, key).signature for key in by_hash]
    refuser = client.send(client.key, b"", _created(_forwarding(demands.address)), "the account", at=scene.now)
    data = contract(DEMANDS).functions["demandOrder"].encode(*map(plain, (post, missing, signatures)))
    client.send(scene.keys.members[0], refuser.contract, data, "the demand", at=scene.now, kind="demand")
    later = scene.now + client.terms.answer_time
    demands.lapse_order(scene.keys.members[1], post, missing, at=later)
    return not scene.posted(post)


def _two_meters(scene: Scene) -> bool:
    """A seller shows what its panels' meter counted beside its house's, so that one kWh is paid for twice."""
    offers, offer, buyer = _sold(scene)
    seller, community = scene.keys.members[offer.seller], CommunityClient(scene.client)
    community.register_meter(scene.client.key, offer.seller, _METER.address, at=scene.now)
    community.accept_meter(seller, _METER.address, at=scene.now)
    panels = Device(_LOST.address, offer.seller, Kind.GENERATOR, common=False, meter=_METER.address)
    community.register_device(scene.client.key, panels, at=scene.now)
    reading = Reading(_METER.address, offer.slot, 0, offer.wh, 1)
    try:
        offers.release(seller, offer, sign(scene.client.domain, reading, _METER), at=_after(scene, offer))
    except Reverted:
        return offers.sale(offer).state is State.SOLD and offers.sale(offer).buyer == buyer
    return False


def _revoked(scene: Scene) -> bool:
    """The buyer, an operator's friend, would get its money back once the seller's meter is out of service."""
    offers, offer, _ = _sold(scene)
    seller, meter = scene.keys.members[offer.seller], scene.meter_of(offer.seller)
    CommunityClient(scene.client).revoke_meter(scene.client.key, meter.address, at=_after(scene, offer))
    reading = Reading(meter.address, offer.slot, 0, offer.wh, 10**6)
    offers.release(seller, offer, sign(scene.client.domain, reading, meter), at=scene.now)
    offers.fetch(seller, [offer], at=scene.now)
    sale = offers.sale(offer)
    return sale.delivered == offer.wh and sale.seller_fetched


def _sold(scene: Scene) -> tuple[OffersClient, Offer, int]:
    """Energy of a slot that has not begun, which a member has sold to another one outside the market."""
    client, seller, buyer = scene.client, scene.trader(buys=False), scene.trader(buys=True)
    offers = OffersClient.deploy(client, _DAY, at=scene.now)
    terms = client.terms
    slot = scene.now + _DAY
    slot -= (slot - terms.slot_offset) % terms.slot_seconds
    offer, key = Offer(seller, slot, 1_000, _PRICE), scene.keys.members[buyer]
    offers.post(scene.keys.members[seller], offer, at=scene.now)
    price = offers.payment(offer)
    issue = Mint(key.address, price, client.issue(0).nonce)
    signatures = [sign(client.token_domain, issue, operator).signature for operator in scene.quorum]
    client.send(
        client.key,
        client.addresses.token,
        mint(client.token_domain, issue, signatures),
        "money",
        at=scene.now,
        kind="mint",
    )
    offers.approve(key, price, at=scene.now)
    offers.buy(key, offer, offer.price, at=scene.now)
    return offers, offer, buyer


def _after(scene: Scene, offer: Offer) -> int:
    """When the slot of the offer has ended."""
    return max(scene.now, offer.slot + scene.client.terms.slot_seconds + 1)


def _recovery(scene: Scene) -> bool:
    """An operator registers the account that a member asked for, so that it would never be that member's."""
    community, client = CommunityClient(scene.client), scene.client
    request = community.recovery(1, _LOST.address)
    signatures = [sign(community.domain, request, key).signature for key in scene.quorum]
    community.start_recovery(client.key, request, signatures, at=scene.now)
    try:
        client.register([Enrolment(_LOST.address, Role.CONSUMER)], at=scene.now)
    except Reverted:
        replacement = community.replacement(1)
        if replacement is None:
            return False
        community.recover(client.key, 1, at=replacement.from_)
        return client.member_of(_LOST.address) == 1
    return False


def _back_door(scene: Scene) -> bool:
    """A Settlement does all that the real one does, and lets an operator write whatever it likes."""
    client, real = scene.client, scene.client.addresses.settlement
    code = _with_back_door(real, client.key.address)
    door = client.send(client.key, b"", _created(code), "the contract", at=scene.now).contract
    place = contract(SETTLEMENT).storage["_book"]
    words = place.to_bytes(32, "big") + _TAKEN.to_bytes(32, "big")
    client.send(client.key, door, words, "the theft", at=scene.now)
    moved = LedgerClient(client.node, client.key, Addresses(client.addresses.community, door)).balances()
    try:
        Contracts(client.node, door)
    except VerificationError:
        return int(moved.max()) == _TAKEN
    return False


def _forwarding(to: bytes) -> bytes:
    """Code of an account that takes no ether and hands on whatever it is told."""
    return bytes.fromhex("3415600857" + "5f5ffd" + "5b365f5f375f5f365f5f73") + to + bytes.fromhex("5af100")


def _with_back_door(real: bytes, owner: bytes) -> bytes:
    """Code that stores the second word of the data at the first when the owner sends two, and else is a proxy."""
    is_owner = bytes.fromhex("3373") + owner + bytes.fromhex("14" + "36604014" + "16")
    proxy = bytes.fromhex("365f5f375f5f365f73") + real + bytes.fromhex("5af43d5f5f3e")
    ends = len(is_owner) + 3 + len(proxy) + 3
    proxy += bytes.fromhex("60") + bytes([ends + 3]) + bytes.fromhex("57" + "3d5ffd" + "5b3d5ff3")
    door = len(is_owner) + 3 + len(proxy)
    return is_owner + bytes([0x60, door, 0x57]) + proxy + bytes.fromhex("5b6020355f355500")


def _created(code: bytes) -> bytes:
    """What creates a contract of this code."""
    return bytes.fromhex("61") + len(code).to_bytes(2, "big") + bytes.fromhex("80600a5f395ff3") + code


_ATTACKS: Final[tuple[tuple[str, str, Callable[[Scene], bool]], ...]] = (
    ("a statement with other sums than its lines", "quorum", _other_sums),
    ("a reading by a meter that the member never took", "quorum", _meter_never_taken),
    ("a reading by a meter that the member took later", "quorum", _meter_taken_later),
    ("the deposit of a newcomer, in a revision", "quorum", _newcomer_in_a_revision),
    ("the deposit of a newcomer, without a statement", "quorum", _newcomer_without_a_statement),
    ("money for energy that no meter counted", "quorum", _unmetered),
    ("a committed trade that the seller has no line of", "quorum", trades.left_out),
    ("a trade that the buyer pays for and the seller has no line of", "quorum", trades.left_out_of_both),
    ("two ends of a trade that settle differently", "quorum", trades.two_ends),
    ("a trade under an order that was replaced", "quorum", trades.replaced),
    ("a committed trade that does not settle", "quorum", trades.cut),
    ("a demand by an account that takes no ether", "accomplice", _refuser),
    ("one kilowatt-hour sold by two meters", "seller", _two_meters),
    ("a meter taken out of service after delivery", "operator", _revoked),
    ("the account of a recovery registered as another's", "operator", _recovery),
    ("a settlement with a back door", "operator", _back_door),
)
