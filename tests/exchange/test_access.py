"""Who may read what of a member: every decision, and no stale answer, whatever becomes of the chain."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from typing import cast

import pytest
from at_once import AtOnce
from ledger_cases import ETHER
from network_cases import MEMBERS as SEALERS
from network_cases import START, grow, rota
from rpc_cases import served
from settlement_cases import ETHER_TERMS, OPERATORS

from commonwatt.community.roles import Role
from commonwatt.errors import ConfigError
from commonwatt.exchange.access import may_read
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.abi import COMMUNITY, contract
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.membership import SCOPES
from commonwatt.ledger.client.settlement import Addresses, Enrolment, LedgerClient
from commonwatt.ledger.network.tree import Tree
from commonwatt.ledger.node import ZERO_ADDRESS, Node
from commonwatt.ledger.remote import RemoteNode
from commonwatt.ledger.rpc.service import Service
from commonwatt.ledger.wallet import created_address, sign_transaction
from commonwatt.proof import Key, sign

PEOPLE = [Key.derive(b"access", f"person {number}") for number in range(4)]
READER, OTHER, FRIEND = (Key.derive(b"access", name).address for name in ("reader", "other", "friend"))
BY_NAME = {name: scope for scope, name in SCOPES.items()}
DAY = 86_400
Grants = dict[tuple[int, bytes, str], int]
"""When each grant ends, by member, reader and word."""


def founded(chain: EmbeddedChain) -> CommunityClient:
    ledger = LedgerClient.deploy(
        chain, OPERATORS[0], operators=[OPERATORS[0].address], threshold=1, config=bytes(32),
        members=[Enrolment(key.address, Role.CONSUMER) for key in PEOPLE], terms=ETHER_TERMS, token=None, at=1_000,
    )  # fmt: skip
    ledger.sender.endow([key.address for key in PEOPLE], 1_001)
    return CommunityClient(ledger)


@pytest.fixture
def client() -> Iterator[CommunityClient]:
    with EmbeddedChain(None, Genesis(2024, {OPERATORS[0].address: 100 * ETHER})) as chain:
        yield founded(chain)


def words(client: CommunityClient, reader: bytes, member: int, now: int = 0) -> set[str]:
    return {name for name in BY_NAME if may_read(client.ledger, reader, member, name, now)}


def test_a_member_reads_all_of_its_own_and_nothing_of_others(client: CommunityClient) -> None:
    for number, key in enumerate(PEOPLE):
        assert [words(client, key.address, member) for member in range(4)] == [
            {*BY_NAME} if member == number else set() for member in range(4)
        ]


def test_who_runs_the_community_reads_nothing_for_that(client: CommunityClient) -> None:
    assert not words(client, OPERATORS[0].address, 0)


def test_a_grant_is_for_one_reader_one_word_and_its_time(client: CommunityClient) -> None:
    client.grant_access(PEOPLE[0], READER, BY_NAME["bills"], 3_000, at=2_000)
    assert words(client, READER, 0) == {"bills"}
    assert not words(client, READER, 1)
    assert not words(client, OTHER, 0)
    # By the asker's clock, though no block comes, and by the chain's, though the clock is behind.
    assert (words(client, READER, 0, 2_999), words(client, READER, 0, 3_000)) == ({"bills"}, set())
    chain = cast("EmbeddedChain", client.ledger.node)
    chain.seal(2_999)
    assert words(client, READER, 0, 1) == {"bills"}
    chain.seal(3_000)
    assert not words(client, READER, 0, 1)
    client.grant_access(PEOPLE[0], READER, BY_NAME["bills"], 5_000, at=4_000)
    assert words(client, READER, 0) == {"bills"}
    client.withdraw_access(PEOPLE[0], READER, BY_NAME["bills"], at=4_001)
    assert not words(client, READER, 0)


def test_standing_takes_nothing_from_a_member_nor_from_whom_it_lets_read(client: CommunityClient) -> None:
    for member in (0, 1):
        client.grant_access(PEOPLE[member], READER, BY_NAME["watch"], DAY, at=2_000 + member)
    client.resign(PEOPLE[0], at=2_010)
    standing = client.standing(1, active=False)
    client.set_standing(OPERATORS[0], standing, [sign(client.domain, standing, OPERATORS[0]).signature], at=2_011)
    for member in (0, 1):
        assert words(client, READER, member) == {"watch"}
        assert words(client, PEOPLE[member].address, member) == {*BY_NAME}
        client.withdraw_access(PEOPLE[member], READER, BY_NAME["watch"], at=2_020 + member)
        assert not words(client, READER, member)


def test_an_account_that_was_replaced_reads_nothing(client: CommunityClient) -> None:
    new = Key.derive(b"access", "new")
    client.grant_access(PEOPLE[0], READER, BY_NAME["readings"], 99 * DAY, at=2_000)
    recovery = client.recovery(0, new.address)
    signature = sign(client.domain, recovery, OPERATORS[0]).signature
    client.start_recovery(OPERATORS[0], recovery, [signature], at=2_001)
    assert (words(client, PEOPLE[0].address, 0), words(client, new.address, 0)) == ({*BY_NAME}, set())
    client.recover(OPERATORS[0], 0, at=2_001 + 7 * DAY)
    assert (words(client, PEOPLE[0].address, 0), words(client, new.address, 0)) == (set(), {*BY_NAME})
    assert words(client, READER, 0) == {"readings"}
    at = client.ledger.node.head.timestamp
    client.ledger.sender.endow([new.address], at + 1)
    client.withdraw_access(new, READER, BY_NAME["readings"], at=at + 2)
    assert not words(client, READER, 0)


@pytest.mark.parametrize("reader", [ZERO_ADDRESS, b"", b"\x11" * 19, b"\x11" * 32])
@pytest.mark.parametrize("member", [-1, 0, 4, (1 << 32) - 1, 1 << 32, 1 << 300])
def test_who_is_nobody_reads_nothing_of_nobody(client: CommunityClient, reader: bytes, member: int) -> None:
    assert not words(client, reader, member)
    assert member == 0 or not words(client, PEOPLE[0].address, member)


@pytest.mark.parametrize("what", ["", "Readings", "readings ", "everything", "\x1b[2J"])
def test_a_word_that_means_nothing_is_an_error_even_for_oneself(client: CommunityClient, what: str) -> None:
    with pytest.raises(ConfigError, match="what: is readings, bills, forecast or watch, not"):
        may_read(client.ledger, PEOPLE[0].address, 0, what)


def test_a_chain_that_cannot_be_asked_says_no(client: CommunityClient) -> None:
    client.grant_access(PEOPLE[0], READER, BY_NAME["bills"], DAY, at=2_000)
    chain, addresses = cast("EmbeddedChain", client.ledger.node), client.ledger.addresses
    with served(Service(AtOnce(chain, lambda: 0))) as address:
        node = RemoteNode(f"http://{address}", timeout=2.0)
        remote = LedgerClient(node, OPERATORS[0], addresses)
        assert may_read(remote, READER, 0, "bills")
        assert may_read(remote, PEOPLE[0].address, 0, "bills")
        assert not may_read(remote, OTHER, 0, "bills")
    with closing(node):
        assert not may_read(remote, READER, 0, "bills")
        assert not may_read(remote, PEOPLE[0].address, 0, "bills")


def test_where_no_community_is_nobody_reads(client: CommunityClient) -> None:
    client.grant_access(PEOPLE[0], READER, BY_NAME["bills"], DAY, at=2_000)
    for place in (client.ledger.addresses.settlement, b"\x22" * 20, ZERO_ADDRESS):
        strange = LedgerClient(client.ledger.node, OPERATORS[0], Addresses(place, place))
        for reader in (READER, PEOPLE[0].address, ZERO_ADDRESS):
            assert not may_read(strange, reader, 0, "bills")


def test_a_thousand_grants_withdrawals_and_reads_without_a_stale_answer(client: CommunityClient) -> None:
    """Beside each answer stands what was done, and what the contract says itself at that block."""
    rng, held, now = random.Random(4), Grants(), 2_000  # noqa: S311
    chain = cast("EmbeddedChain", client.ledger.node)
    reads = 0
    for _ in range(1_000):
        place = rng.randrange(4), rng.choice((READER, OTHER, PEOPLE[0].address)), rng.choice([*BY_NAME])
        member, reader, what = place
        scope, doing = BY_NAME[what], rng.random()
        now = max(now, chain.head.timestamp) + rng.choice((1, 7, 40))
        if doing < 0.2:
            signed = rng.random() < 0.5
            held[place] = now + rng.choice((1, 20, 300))
            if signed:
                grant = client.grant(member, reader, scope, held[place])
                signature = sign(client.domain, grant, PEOPLE[member]).signature
                client.bring_grant(OPERATORS[0], grant, signature, at=now)
            else:
                client.grant_access(PEOPLE[member], reader, scope, held[place], at=now)
        elif doing < 0.3 and place in held:
            client.withdraw_access(PEOPLE[member], reader, scope, at=now)
            del held[place]
        elif doing < 0.5:
            chain.seal(now)
        else:
            reads += 1
            own, head = reader == PEOPLE[member].address, chain.head.timestamp
            assert may_read(client.ledger, reader, member, what) == (own or held.get(place, 0) > head)
            assert may_read(client.ledger, reader, member, what, now) == (own or held.get(place, 0) > now)
            assert client.has_access(*place[:2], scope) == (held.get(place, 0) > head)
    assert reads > 400


# Branches


class Branches:
    """Two nodes that grow branches of their own, and a third that has all blocks; what holds after each block."""

    def __init__(self) -> None:
        balances = {key.address: 100 * ETHER for key in (OPERATORS[0], *PEOPLE)}
        genesis = Genesis(2024, balances, START, gas_limit=20_000_000, extra_data=b"access")
        self.one, self.two, self.reader = (Tree(None, genesis, rota()) for _ in range(3))
        self.community = created_address(OPERATORS[0].address, 0)
        self.held: dict[bytes, Grants] = {self.one.head.hash: {}}
        self.ledger = LedgerClient(
            cast("Node", self.reader), OPERATORS[0], Addresses(self.community, b"\x33" * 20)
        )  # the tree is only asked
        accounts = [key.address for key in PEOPLE]
        register = contract(COMMUNITY).functions["register"].encode(accounts, [ZERO_ADDRESS] * 4, [1] * 4)
        creation = contract(COMMUNITY).creation([OPERATORS[0].address], 1, bytes(32))
        founding = self.signed(self.one, OPERATORS[0], 0, b"", creation, 8_000_000)
        enrolment = self.signed(self.one, OPERATORS[0], 1, self.community, register, 2_000_000)
        self.share(grow(self.one, founding, enrolment), {})

    def signed(self, tree: Tree, key: Key, ahead: int, to: bytes, data: bytes, gas: int = 200_000) -> bytes:
        nonce = tree.nonce(key.address) + ahead
        return sign_transaction(key, chain_id=2024, nonce=nonce, to=to, data=data, gas=gas)

    def share(self, raw: bytes, held: Grants) -> None:
        for tree in (self.one, self.two, self.reader):
            tree.add(raw, START + 10 * DAY)
        self.held[self.reader.head.hash] = held

    def extend(self, tree: Tree, rng: random.Random, *, in_turn: bool) -> bytes:
        """A block with some grants and withdrawals on a node's head; a sealer out of turn weighs less."""
        held, head = dict(self.held[tree.head.hash]), tree.head
        sent = dict.fromkeys(range(4), 0)
        raws = []
        for _ in range(rng.randrange(4)):
            place = member, reader, what = rng.randrange(4), rng.choice((READER, OTHER)), rng.choice([*BY_NAME])
            functions, until = contract(COMMUNITY).functions, head.timestamp + rng.choice((20, 40, 200))
            if rng.random() < 0.6:
                data = functions["grantAccess"].encode(reader, BY_NAME[what], until)
                held[place] = until
            else:  # it fails when there is none
                data = functions["withdrawAccess"].encode(reader, BY_NAME[what])
                held.pop(place, None)
            raws.append(self.signed(tree, PEOPLE[member], sent[member], self.community, data))
            sent[member] += 1
        sealer = SEALERS[(head.number + (1 if in_turn else 2)) % 3]
        raw = grow(tree, *raws, key=sealer)
        self.held[tree.head.hash] = held
        return raw


def test_no_answer_is_stale_when_the_chain_changes_to_another_branch() -> None:
    branches, rng = Branches(), random.Random(7)  # noqa: S311
    places = [(member, reader, what) for member in range(4) for reader in (READER, OTHER) for what in BY_NAME]
    switches = 0
    for _ in range(40):
        lengths = rng.randint(1, 3), rng.randint(1, 4)
        waiting = [[branches.extend(branches.one, rng, in_turn=True) for _ in range(lengths[0])]]
        waiting.append([branches.extend(branches.two, rng, in_turn=False) for _ in range(lengths[1])])
        given = []
        while any(waiting):
            branch = rng.choice([each for each in waiting if each])
            given.append(branch.pop(0))
            before = branches.reader.head.hash
            branches.reader.add(given[-1], START + 10 * DAY)
            head = branches.reader.head
            switches += before not in (head.hash, head.parent)
            held = branches.held[head.hash]
            for member, reader, what in rng.sample(places, 12):
                expected = held.get((member, reader, what), 0) > head.timestamp
                assert may_read(branches.ledger, reader, member, what) == expected
        for tree in (branches.one, branches.two):
            for raw in given:
                tree.add(raw, START + 10 * DAY)
        assert branches.one.head == branches.two.head == branches.reader.head
    assert switches > 5
