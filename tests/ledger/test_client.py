"""The way of the money, through the real contracts on a real chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from ledger_cases import ETHER
from settlement_cases import (
    ENROLMENTS,
    ETHER_TERMS,
    MEMBERS,
    OPERATORS,
    ORDERS,
    SLOT,
    START,
    TOKEN_TERMS,
    TRADES,
    commit,
    community,
    deposit,
    posted,
    slot_post,
)

from commonwatt.errors import LedgerError, RecordError, Reverted
from commonwatt.ledger.chain.blocks import At
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.abi import contract, decode_event, events, revert
from commonwatt.ledger.client.settlement import Addresses, Enrolment, LedgerClient, Posting, Terms
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.proof import Key, checksum_address, hash_struct, keccak
from commonwatt.records import Anchor
from commonwatt.records.deltas import pack_deltas
from commonwatt.units import IntArray

DAY = Anchor(SLOT, SLOT + 86_400, keccak(b"bills"))


def signed(client: LedgerClient, period: Anchor, keys: list[Key]) -> list[bytes]:
    digest = client.domain.digest(hash_struct(period))
    return [key.sign_digest(digest) for key in keys]


@pytest.mark.parametrize("terms", [TOKEN_TERMS, ETHER_TERMS])
def test_the_way_of_one_slot(terms: Terms) -> None:
    client = community(terms)
    assert client.terms == terms
    assert client.member_count == 7
    assert client.balances().tolist() == [10] * 7
    assert (client.commitment(SLOT), client.posted(SLOT, 0)) == (None, None)

    post, deltas = posted(client, [-4, 0, 0, 0, 1, 2, 1])
    digest = client.domain.digest(hash_struct(post))
    assert client.commitment(SLOT) == keccak(ORDERS + TRADES)
    assert client.posted(SLOT, 0) == Posting(digest, 9_901, final=False)
    assert client.balances().tolist() == [10] * 7

    receipt = client.finalise(post, deltas, at=9_901 + 3_600)
    assert client.posted(SLOT, 0) == Posting(digest, 9_901, final=True)
    assert client.balances().tolist() == [6, 10, 10, 10, 11, 12, 11]
    (event,) = events(receipt)
    assert (event.name, dict(event.arguments)) == ("Finalised", {"slot": SLOT, "revision": 0})

    correction, deltas, signatures = slot_post(client, [1, -1], revision=1)
    client.post(correction, TRADES, deltas, signatures, at=20_000)
    client.finalise(correction, deltas, at=23_600)
    assert client.balances().tolist() == [7, 9, 10, 10, 11, 12, 11]


def test_balances_read_from_storage_are_the_contract_s_own() -> None:
    client = community()
    deposit(client, [1, 2, 5], [2**62, 3, 2**40], at=START + 3)
    client.request_withdrawal(MEMBERS[0], 4, at=START + 4)
    ask = contract("Settlement").functions
    settlement = client.addresses.settlement

    def views(name: str) -> list[int]:
        answers = [client.node.call(settlement, ask[name].encode(member)) for member in range(7)]
        return [int.from_bytes(answer, "big") for answer in answers]

    assert client.balances().tolist() == views("balanceOf")
    assert client.free_balances().tolist() == views("freeOf")
    assert client.requested().tolist() == [4, 0, 0, 0, 0, 0, 0]


def test_free_balances_are_read_once_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    client = community()
    read, asked = client.node.storage, list[bytes]()

    def storage(address: bytes, places: Sequence[int]) -> list[int]:
        asked.append(address)
        return read(address, places)

    monkeypatch.setattr(client.node, "storage", storage)
    known = client.free_balances()
    known[:] = 0
    count = len(asked)
    assert client.free_balances().tolist() == [10] * 7
    assert len(asked) == count > 0
    deposit(client, [1], [5], at=START + 3)
    assert client.free_balances().tolist() == [10, 15, 10, 10, 10, 10, 10]
    assert len(asked) > count


@pytest.mark.parametrize("terms", [TOKEN_TERMS, ETHER_TERMS])
def test_a_member_withdraws(terms: Terms) -> None:
    client = community(terms)
    chain, member = client.node, MEMBERS[0]
    client.request_withdrawal(member, 7, at=START + 10)
    assert client.free_balances().tolist() == [3, 10, 10, 10, 10, 10, 10]
    with pytest.raises(Reverted) as early:
        client.claim_withdrawal(member, at=START + 100)
    assert (early.value.name, early.value.arguments) == ("NotYetClaimable", (0, START + 10 + 14_401))
    before = chain.balance(member.address)
    receipt = client.claim_withdrawal(member, at=START + 10 + 14_402)
    assert client.balances().tolist() == [3, 10, 10, 10, 10, 10, 10]
    withdrawn = [event for event in events(receipt) if event.name == "Withdrawn"]
    assert [dict(event.arguments) for event in withdrawn] == [{"member": 0, "lanes": 7}]
    if terms == ETHER_TERMS:
        assert chain.balance(member.address) == before + 7 * 10**12 - 7 * receipt.gas_used
    else:
        held = contract("CommunityToken").functions["balanceOf"].encode(member.address)
        assert int.from_bytes(chain.call(client.addresses.token, held), "big") == 7


def test_one_operator_alone_cannot_mint_where_two_must_sign() -> None:
    client = community()
    with pytest.raises(Reverted, match=r"TooFewSignatures\(1, 2\)"):
        client.deposit_for([0], [1], at=START + 2)
    old = client.issue(5)
    deposit(client, [0], [5], at=START + 3)
    assert (old.nonce, client.issue(5).nonce) == (1, 2)
    assert client.balances().tolist() == [15] + [10] * 6


def test_custom_errors_come_through_with_their_values() -> None:
    client = community()
    post, deltas = posted(client, [-4, 4])
    outsider = LedgerClient(client.node, MEMBERS[0], client.addresses)
    refused: list[tuple[str, list[object], Callable[[], object]]] = [
        ("AlreadyCommitted", [18_000], lambda: commit_twice(client)),
        ("SlotStarted", [9_900], lambda: commit(client, 9_900, at=9_902)),
        ("SlotMisaligned", [18_001, 900], lambda: commit(client, 18_001, at=9_903)),
        ("NotAnOperator", [checksum_address(MEMBERS[0].address)], lambda: outsider.anchor(DAY, [], at=9_904)),
        ("NotYetFinal", [SLOT, 0, 13_501], lambda: client.finalise(post, deltas, at=13_500)),
        ("Expired", [SLOT, 0, 20_701], lambda: client.finalise(post, deltas, at=20_702)),
        ("InsufficientFree", [0, 10, 11], lambda: client.request_withdrawal(MEMBERS[0], 11, at=21_000)),
        ("InvalidAccount", [checksum_address(MEMBERS[0].address)], lambda: client.register(ENROLMENTS[:1], at=21_001)),
        ("UnknownMember", [7], lambda: deposit(client, [7], [1], at=21_002)),
        ("NotAMember", [checksum_address(OPERATORS[0].address)], lambda: client.member_of(OPERATORS[0].address)),
    ]
    for name, arguments, act in refused:
        with pytest.raises(Reverted) as error:
            act()
        assert (error.value.name, list(error.value.arguments)) == (name, arguments)
    assert client.balances().tolist() == [10] * 7


def commit_twice(client: LedgerClient) -> None:
    for second in range(2):
        commit(client, 18_000, at=9_901 + second)


def test_a_post_needs_its_quorum_its_deltas_and_the_members_money() -> None:
    client = community()
    post, deltas = posted(client, [-11, 11])
    with pytest.raises(Reverted, match=r"InsufficientCollateral\(0, 10, -11\)"):
        client.finalise(post, deltas, at=13_600)
    late, deltas, signatures = slot_post(client, [-1, 1])
    with pytest.raises(Reverted, match="TooFewSignatures"):
        client.post(late, TRADES, deltas, signatures[:1], at=30_000)
    with pytest.raises(Reverted, match="DeltasMismatch"):
        client.post(late, TRADES, pack_deltas(np.array([-2, 2])), signatures, at=30_001)
    with pytest.raises(Reverted, match="CommitmentMismatch"):
        client.post(late, ORDERS, deltas, signatures, at=30_002)
    uneven, deltas, signatures = slot_post(client, [-1, 2])
    with pytest.raises(Reverted, match=r"DeltasNotZeroSum\(1\)"):
        client.post(uneven, TRADES, deltas, signatures, at=30_003)
    # The first post has expired, so the slot can be posted again.
    late, deltas, signatures = slot_post(client, [-1, 1])
    client.post(late, TRADES, deltas, signatures[::-1], at=30_004)
    client.finalise(late, deltas, at=30_004 + 3_600)
    assert client.balances().tolist() == [9, 11, 10, 10, 10, 10, 10]


def test_bills_of_a_period_are_anchored() -> None:
    client = community()
    assert client.anchored(DAY.start, DAY.until) is None
    # In any order: one of the two does not ascend.
    for number, period in enumerate((DAY, replace(DAY, until=DAY.until + 1))):
        signatures = signed(client, period, OPERATORS[:2])[:: 1 - 2 * number]
        receipt = client.anchor(period, signatures, at=12_345 + number)
        (event,) = events(receipt)
        assert (event.name, dict(event.arguments)) == (
            "Anchored", {"start": period.start, "until": period.until, "bills": period.bills},
        )  # fmt: skip
        assert client.anchored(period.start, period.until) == period.bills
    assert client.anchored(DAY.start, DAY.until - 1) is client.anchored(DAY.until, DAY.start) is None


def test_bills_of_a_period_are_anchored_once_and_by_a_quorum() -> None:
    client = community()
    other = replace(DAY, bills=keccak(b"other bills"))
    backwards = Anchor(DAY.until, DAY.start, DAY.bills)
    nothing = replace(DAY, bills=bytes(32))

    def refusal(period: Anchor, signatures: list[bytes]) -> tuple[str, list[object]]:
        with pytest.raises(Reverted) as error:
            client.anchor(period, signatures, at=12_000)
        return error.value.name, list(error.value.arguments)

    assert refusal(DAY, []) == ("TooFewSignatures", [0, 2])
    assert refusal(DAY, signed(client, DAY, OPERATORS[:1])) == ("TooFewSignatures", [1, 2])
    assert refusal(DAY, signed(client, DAY, OPERATORS[:1] * 2))[0] == "SignersNotAscending"
    assert refusal(DAY, signed(client, DAY, [OPERATORS[0], MEMBERS[0]]))[0] == "SignerNotAnOperator"
    assert refusal(DAY, signed(client, other, OPERATORS[:2]))[0] == "SignerNotAnOperator"
    for wrong in (backwards, replace(DAY, until=DAY.start), nothing):
        expected = [wrong.start, wrong.until, f"0x{wrong.bills.hex()}"]
        assert refusal(wrong, signed(client, wrong, OPERATORS[:2])) == ("InvalidAnchor", expected)
    assert client.anchored(DAY.start, DAY.until) is None

    client.anchor(DAY, signed(client, DAY, OPERATORS), at=13_000)
    standing = [DAY.start, DAY.until, f"0x{DAY.bills.hex()}"]
    for second in (DAY, other):
        assert refusal(second, signed(client, second, OPERATORS[1:])) == ("AlreadyAnchored", standing)
    assert client.anchored(DAY.start, DAY.until) == DAY.bills


def test_an_anchor_of_many_operators_has_gas_enough() -> None:
    keys = [Key.derive(b"tests", f"operator {n}") for n in range(40)]
    client = community(operators=tuple(key.address for key in keys[3:]))
    assert client.anchor(DAY, signed(client, DAY, keys), at=12_345).success


def test_members_join_later_and_events_tell_it() -> None:
    client = community()
    newcomer = Enrolment(b"\x77" * 20, role=1)
    client.register([newcomer], at=9_000)
    assert client.member_of(newcomer.account) == 7
    assert client.balances().tolist() == [10] * 7 + [0]
    assert client.pay(newcomer.account, 5, at=9_001).success
    assert client.node.balance(newcomer.account) == 5
    logs = client.node.logs(0, client.node.head.number, address=client.addresses.community)
    registered = [event for log in logs if (event := decode_event(log)) and event.name == "MemberRegistered"]
    assert [event.arguments["member"] for event in registered] == list(range(8))
    assert registered[7].arguments == {"member": 7, "account": newcomer.account, "role": 1}


def test_a_large_community_is_registered_in_parts() -> None:
    chain = EmbeddedChain(None, Genesis(2024, {OPERATORS[0].address: 100 * ETHER}))
    members = [Enrolment(keccak(bytes([n]))[:20], 1, keccak(bytes([n, 1]))[:20]) for n in range(201)]
    client = LedgerClient.deploy(
        chain, OPERATORS[0], operators=[OPERATORS[0].address], threshold=1, config=bytes(32), members=members,
        terms=ETHER_TERMS, token=None, at=1,
    )  # fmt: skip
    client.deposit_for(range(201), range(201), at=2)
    assert client.balances().tolist() == list(range(201))
    assert client.member_of(members[200].account) == 200


def test_deltas_are_packed_as_the_contract_reads_them() -> None:
    assert pack_deltas(np.array([1, -2])).hex() == "00000001fffffffe"
    assert pack_deltas(np.array([], dtype=np.int64)) == b""
    too_large: IntArray = np.array([2**31, -(2**31)])
    with pytest.raises(RecordError, match="larger lane unit"):
        pack_deltas(too_large)


def test_unknown_reverts_keep_their_bytes() -> None:
    assert str(revert(bytes.fromhex("12345678"), "it")) == "The contract refused it: 0x12345678()."
    assert "out of gas" in str(revert(b"", "it"))
    panic = bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big")
    assert str(revert(panic, "it")) == "The contract refused it: Panic(17)."


class Lying(EmbeddedChain):
    """A node that answers for storage and views what a test tells it to."""

    word: int | None = None
    members: int | None = None

    def storage(self, address: bytes, slots: Sequence[int], at: At = None) -> list[int]:
        return super().storage(address, slots, at) if self.word is None else [self.word] * len(slots)

    def call(self, to: bytes, data: bytes, sender: bytes = ZERO_ADDRESS, at: At = None) -> bytes:
        counted = self.members is not None and data == keccak(b"memberCount()")[:4]
        return (self.members or 0).to_bytes(32, "big") if counted else super().call(to, data, sender, at)


def test_a_node_that_lies_of_members_is_told_in_one_sentence() -> None:
    honest = community()
    lying = honest.node
    assert isinstance(lying, EmbeddedChain)
    lying.__class__ = Lying
    assert isinstance(lying, Lying)
    lying.word = 2**256 - 1
    with pytest.raises(LedgerError, match="balance of member 0 does not fit 63 bits"):
        honest.balances()
    with pytest.raises(LedgerError, match="requested withdrawal of member 0 does not fit 63 bits"):
        honest.requested()
    for lying.members in (100_001, 2**32 - 1):
        again = LedgerClient(lying, OPERATORS[0], honest.addresses)
        for ask in (again.balances, again.requested):
            with pytest.raises(LedgerError, match=f"says that the community has {lying.members} members"):
                ask()


def test_a_wrong_address_is_no_community() -> None:
    client = LedgerClient(EmbeddedChain(None, Genesis(2024)), OPERATORS[0], Addresses(b"\x01" * 20, b"\x02" * 20))
    with pytest.raises(LedgerError, match="does not fit the contract"):
        _ = client.terms
