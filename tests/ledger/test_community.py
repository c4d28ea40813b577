"""The community's client on a chain in memory: large, and against the contract's own word."""

from __future__ import annotations

import random

from ledger_cases import ETHER, SOAK
from settlement_cases import ETHER_TERMS, OPERATORS

from commonwatt.community.roles import Role
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.membership import SCOPES, Change
from commonwatt.ledger.client.settlement import Enrolment, LedgerClient
from commonwatt.proof import Key, sign

PEOPLE = [Key.derive(b"community", f"person {n}") for n in range(130)]


def founded(people: list[Key]) -> CommunityClient:
    chain = EmbeddedChain(None, Genesis(2024, {OPERATORS[0].address: 100 * ETHER}))
    ledger = LedgerClient.deploy(
        chain, OPERATORS[0], operators=[OPERATORS[0].address], threshold=1, config=bytes(32),
        members=[Enrolment(key.address, Role.CONSUMER) for key in people], terms=ETHER_TERMS, token=None, at=1_000,
    )  # fmt: skip
    ledger.sender.endow([key.address for key in people], 1_001)
    return CommunityClient(ledger)


def test_who_left_does_not_count_however_many_they_are() -> None:
    client = founded(PEOPLE)
    at = 2_000
    for member in range(60):
        standing = client.standing(member, active=False)
        signature = sign(client.domain, standing, OPERATORS[0]).signature
        client.set_standing(OPERATORS[0], standing, [signature], at=at + member)
    late = client.register(Enrolment(b"\x77" * 20, Role.GRID_COMPANY), at=700_000)
    assert (late, client.rules.watched) == (130, True)
    assert [member.index for member in client.members if not member.active] == list(range(60))
    number = client.propose(PEOPLE[99], Change(turnout=60), at=700_010)
    assert (client.proposal(number).voters, client.proposal(number).electorate) == (130, 70)
    assert client.proposals == (client.proposal(number),)
    assert not client.has_voted(number, 99)


def test_grants_are_told_as_the_contract_has_them() -> None:
    """Random grants, withdrawals and ends: what is shown is what `hasAccess` says at that block."""
    client, rng = founded(PEOPLE[:4]), random.Random(9)  # noqa: S311
    now, scopes, held = 2_000, list(SCOPES), dict[tuple[int, bytes, bytes], int]()
    for _ in range(300 if SOAK else 60):
        now += rng.choice((1, 5, 40))
        member, reader, scope = rng.randrange(4), PEOPLE[rng.randrange(6)].address, rng.choice(scopes)
        if (member, reader, scope) in held and rng.random() < 0.5:
            client.withdraw_access(PEOPLE[member], reader, scope, at=now)
            held[member, reader, scope] = 0
        else:
            until = now + rng.choice((1, 10, 100))
            client.grant_access(PEOPLE[member], reader, scope, until, at=now)
            held[member, reader, scope] = until
        now = client.ledger.node.head.timestamp
        held = {place: until for place, until in held.items() if until}
        told = {(each.member, each.grantee, each.scope) for each in client.grants() if each.valid}
        assert told == {place for place, until in held.items() if until > now}
        mine = client.grants(member=0)
        assert mine == tuple(each for each in client.grants() if each.member == 0)
        assert client.grants(grantee=reader) == tuple(each for each in client.grants() if each.grantee == reader)
