"""The contract with the tables of tokens, on a real chain, and the engine that reads it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from consensus_cases import KEYS, NETWORK, START, STRANGER, Chain, Node, grow, refusal, stake_members
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.errors import Reverted
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.abi import COMMUNITY, STAKE, contract, events, revert
from commonwatt.ledger.network.consensus import stake
from commonwatt.ledger.network.consensus.hash_chain import HashChain
from commonwatt.ledger.network.consensus.interface import Header
from commonwatt.ledger.network.consensus.pos import Pos, Rules
from commonwatt.ledger.network.consensus.stake import Entry, Table
from commonwatt.ledger.node import Receipt
from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Domain, Key, hash_struct, keccak

OPERATORS = [Key.derive(b"stake tests", f"operator {number}") for number in range(3)]
DAY = 1000
TODAY = START // DAY


class Published(Chain):
    """A chain of headers beside an embedded chain with the contract; a header's state is that of its `state` block."""

    def __init__(self) -> None:
        super().__init__()
        payer = OPERATORS[0].address
        self.embedded = EmbeddedChain(None, Genesis(2024, {payer: 10**18}, START))
        community, self.contract = created_address(payer, 0), created_address(payer, 1)
        self.domain = Domain(2024, self.contract)
        self.send(b"", contract(COMMUNITY).creation([key.address for key in OPERATORS], 2, bytes(32)))
        self.send(b"", contract(STAKE).creation(community, DAY))
        self.states: dict[bytes, bytes] = {self.genesis.hash: self.embedded.head.hash}

    def add(self, header: Header) -> Header:
        self.states[header.hash] = self.embedded.head.hash
        return super().add(header)

    def words(self, hash: bytes, address: bytes, slots: Sequence[int]) -> list[int]:  # noqa: A002
        return self.embedded.storage(address, slots, at=self.states[hash])

    def send(self, to: bytes, data: bytes) -> Receipt:
        payer = OPERATORS[0]
        raw = sign_transaction(
            payer, chain_id=2024, nonce=self.embedded.nonce(payer.address), to=to, data=data, gas=5_000_000
        )
        (receipt,) = self.embedded.confirm([self.embedded.submit(raw)], self.head.timestamp + 1)
        if not receipt.success:
            raise revert(receipt.output, "the table")
        return receipt

    def publish(self, day: int, table: Table, signers: Sequence[Key] = tuple(OPERATORS[:2])) -> Receipt:
        digest = self.domain.digest(hash_struct(stake.stakes(day, table)))
        signatures = [key.sign_digest(digest) for key in signers]
        return self.send(self.contract, stake.publish(self.domain, day, table, signatures))

    def read(self) -> dict[bytes, Entry]:
        return stake.read(self, self.head.hash, self.contract)


ROWS, CHAINS = stake_members([3, 2, 1])


def network(published: Published, first: Table) -> list[Node]:
    """Nodes of all three members, whoever of them belongs to the first table."""
    rules = Rules(NETWORK, first, published.contract, period=5, day=DAY)
    return [Node(key, Pos(rules, [own])) for key, own in zip(KEYS, CHAINS, strict=False)]


def test_what_is_published_is_read() -> None:
    published = Published()
    assert published.read() == {}
    (event,) = events(published.publish(TODAY, ROWS))
    assert event.name == "StakesPublished"
    assert dict(event.arguments) == {"day": TODAY, "table": stake.stakes(TODAY, ROWS).table}
    published.states[published.head.hash] = published.embedded.head.hash
    assert published.read() == ROWS


TIPS = st.binary(min_size=32, max_size=32)
ROW = st.builds(Entry, tip=TIPS, tokens=st.integers(0, (1 << 256) - 1))
TABLE = st.dictionaries(st.binary(min_size=20, max_size=20).filter(any), ROW, max_size=6)


@given(st.lists(TABLE, min_size=1, max_size=3))
@dear(6)
def test_later_tables_change_the_rows_that_they_hold(tables: list[Table]) -> None:
    published = Published()
    expected: dict[bytes, Entry] = {}
    for number, table in enumerate(tables):
        published.publish(TODAY - 2 + number, table)
        published.states[published.head.hash] = published.embedded.head.hash
        expected |= table
        assert published.read() == {member: row for member, row in expected.items() if any(row.tip)}


@pytest.mark.parametrize(
    ("signers", "error"),
    [
        (OPERATORS[:1], "TooFewSignatures"),
        ([OPERATORS[0], STRANGER], "SignerNotAnOperator"),
        ([OPERATORS[0], OPERATORS[0]], "SignersNotAscending"),
    ],
)
def test_a_table_needs_a_quorum_of_operators(signers: list[Key], error: str) -> None:
    with pytest.raises(Reverted, match=error):
        Published().publish(TODAY, ROWS, signers)


def test_a_day_has_one_table_and_it_is_not_before_the_day() -> None:
    published = Published()
    published.publish(TODAY, ROWS)
    for day in (TODAY, TODAY - 1, TODAY + 1):
        with pytest.raises(Reverted, match="WrongDay"):
            published.publish(day, ROWS)


def test_signatures_are_for_one_table_only() -> None:
    published = Published()
    digest = published.domain.digest(hash_struct(stake.stakes(TODAY, ROWS)))
    signatures = [key.sign_digest(digest) for key in OPERATORS[:2]]
    richer = ROWS | {KEYS[0].address: Entry(CHAINS[0].tip, 1000)}
    with pytest.raises(Reverted, match="Signer"):
        # The order of the signatures depends on whom they recover to, so any of the two may be named.
        published.send(published.contract, stake.publish(published.domain, TODAY, richer, signatures))


def tokens(published: Published, nodes: Sequence[Node]) -> list[int]:
    members = nodes[0].engine.standing(published.head, published).members
    return [members[key.address].tokens if key.address in members else 0 for key in KEYS[:3]]


def days(published: Published, nodes: Sequence[Node], count: int = 1) -> None:
    """Let blocks be sealed until so many days have begun."""
    last = published.head.timestamp // DAY + count
    while published.head.timestamp // DAY < last:
        grow(published, nodes, 1)


def test_a_table_counts_from_the_day_after_it_was_published() -> None:
    published = Published()
    nodes = network(published, ROWS)
    grow(published, nodes, 3)
    published.publish(TODAY, {member: Entry(row.tip, 10 * row.tokens) for member, row in ROWS.items()})
    grow(published, nodes, 3)
    assert tokens(published, nodes) == [3, 2, 1]
    days(published, nodes)
    assert tokens(published, nodes) == [30, 20, 10]
    grow(published, nodes, 3)  # secrets go on where they were
    published.publish(TODAY + 1, {KEYS[2].address: Entry(CHAINS[2].tip, 5)})
    days(published, nodes, 2)
    assert tokens(published, nodes) == [30, 20, 5]
    fresh = network(published, ROWS)[0].engine
    assert refusal(fresh, published.head, published) is None


def test_a_table_in_the_first_block_of_a_day_waits_another_day() -> None:
    published = Published()
    nodes = network(published, ROWS)
    while (published.head.timestamp + 5) // DAY == TODAY:
        grow(published, nodes, 1)
    published.publish(TODAY, {KEYS[0].address: Entry(CHAINS[0].tip, 99)})
    days(published, nodes)
    assert published.read()[KEYS[0].address].tokens == 99
    assert tokens(published, nodes) == [3, 2, 1]
    days(published, nodes)
    assert tokens(published, nodes) == [99, 0, 0]  # this table is the first: whoever is not in it is no member


def test_members_join_and_leave_by_the_table() -> None:
    published = Published()
    nodes = network(published, {KEYS[0].address: ROWS[KEYS[0].address]})
    grow(published, nodes, 2)
    assert nodes[1].turn(published) is None
    published.publish(TODAY, ROWS)
    days(published, nodes)
    assert {header.coinbase for header in grow(published, nodes, 40)} == set(ROWS)
    published.publish(TODAY + 1, {KEYS[1].address: Entry(bytes(32), 0)})
    days(published, nodes)
    assert nodes[1].turn(published) is None
    assert KEYS[1].address not in {header.coinbase for header in grow(published, nodes, 20)}


def test_a_new_tip_begins_a_new_chain_of_secrets() -> None:
    published = Published()
    key = KEYS[0]
    second = HashChain.derive(key, 1, length=64)
    rules = Rules(NETWORK, {key.address: ROWS[key.address]}, published.contract, day=DAY)
    node = Node(key, Pos(rules, [CHAINS[0], second]))
    grow(published, [node], 2)
    published.publish(TODAY, {key.address: Entry(second.tip, 1)})
    days(published, [node])
    assert node.engine.standing(published.head, published).members[key.address].link == second.tip
    grow(published, [node], 3)
    secret = second.secret(0)
    assert secret is not None
    assert keccak(secret) == second.tip


def test_without_a_table_the_first_members_stay() -> None:
    published = Published()
    nodes = network(published, ROWS)
    days(published, nodes, 2)
    assert tokens(published, nodes) == [3, 2, 1]
