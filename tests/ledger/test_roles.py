"""What each role may do on the contract: a test for each line of the table in docs/community-contract.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
from ledger_cases import ETHER

from commonwatt.community.roles import Role
from commonwatt.errors import LedgerError, Reverted
from commonwatt.ledger.chain.embedded import EmbeddedChain, Genesis
from commonwatt.ledger.client.abi import COMMUNITY, contract
from commonwatt.ledger.client.settlement import Enrolment, LedgerClient, Terms
from commonwatt.ledger.node import ZERO_ADDRESS, Receipt
from commonwatt.proof import Key, keccak
from commonwatt.records import ZERO_HASH

OPERATOR: Final = Key.derive(b"roles", "operator")
STRANGER: Final = Key.derive(b"roles", "stranger")
START: Final = 8_000
LATER: Final = START + 8 * 86_400
"""Everybody has been a member for a whole voting time."""
LOAD, GENERATOR, STORAGE, GRID_LINK = 1, 2, 3, 4
ONE, TWO, THREE = (bytes([number]) * 20 for number in (1, 2, 3))
READINGS: Final = keccak(b"readings")
NOTHING: Final = (ZERO_ADDRESS, 0, 0, 0, 0, ZERO_ADDRESS, ZERO_HASH, 0)

ROLES = [*Role]


class Founded:
    """A community with one member of a role, its number 0, and a consumer, its number 1."""

    def __init__(self, role: int) -> None:
        self.member, self.neighbour = Key.derive(b"roles", "member"), Key.derive(b"roles", "neighbour")
        keys = (OPERATOR, self.member, self.neighbour, STRANGER)
        self.client = LedgerClient.deploy(
            EmbeddedChain(None, Genesis(2024, {key.address: ETHER for key in keys})),
            OPERATOR,
            operators=[OPERATOR.address],
            threshold=1,
            config=keccak(b"config"),
            members=[Enrolment(self.member.address, role), Enrolment(self.neighbour.address, Role.CONSUMER)],
            terms=Terms(lane_unit=10**12, slot_seconds=900, window=0, grace=3600),
            token=None,
            at=START,
        )
        self.at = LATER

    def does(self, key: Key, function: str, *values: object) -> Receipt:
        """Somebody calls the contract, a second after the last call."""
        self.at += 1
        data = contract(COMMUNITY).functions[function].encode(*values)
        return self.client.send(key, self.client.addresses.community, data, function, at=self.at)

    def asks(self, view: str, *values: object) -> object:
        return self.client.view(COMMUNITY, view, *values)[0]


@pytest.mark.parametrize("role", ROLES)
def test_every_member_votes(role: Role) -> None:
    found = Founded(role)
    found.does(found.member, "propose", (STRANGER.address, *NOTHING[1:]), [])
    found.does(found.member, "vote", 0, True)  # noqa: FBT003
    found.does(found.neighbour, "vote", 0, True)  # noqa: FBT003
    found.does(STRANGER, "execute", 0)
    assert found.asks("isOperator", STRANGER.address)


@pytest.mark.parametrize("role", ROLES)
def test_every_member_gives_and_takes_back_access_to_its_data(role: Role) -> None:
    found = Founded(role)
    found.does(found.member, "grantAccess", STRANGER.address, READINGS, LATER + 3600)
    assert found.asks("hasAccess", 0, STRANGER.address, READINGS)
    found.does(found.member, "withdrawAccess", STRANGER.address, READINGS)
    assert not found.asks("hasAccess", 0, STRANGER.address, READINGS)


@pytest.mark.parametrize("role", ROLES)
def test_every_member_takes_its_own_devices_out_of_service_and_leaves(role: Role) -> None:
    found = Founded(role)
    for device, member in ((ONE, 0), (TWO, 1)):
        found.does(OPERATOR, "registerDevice", device, member, LOAD, False, ZERO_ADDRESS)  # noqa: FBT003
    found.does(found.member, "revokeDevice", ONE)
    with pytest.raises(Reverted, match="NotTheOwner"):
        found.does(found.member, "revokeDevice", TWO)
    found.does(found.member, "resign")
    assert not found.asks("isActive", 0)


@pytest.mark.parametrize("role", ROLES)
def test_every_member_pays_in_and_withdraws(role: Role) -> None:
    found = Founded(role)
    found.client.deposit_for([0], [5], at=LATER + 10)
    found.client.request_withdrawal(found.member, 5, at=LATER + 20)
    found.client.claim_withdrawal(found.member, at=LATER + 20 + 7_201)
    assert found.client.balances().tolist() == [0, 0]


@pytest.mark.parametrize("role", ROLES)
def test_no_member_registers_or_suspends_anybody(role: Role) -> None:
    found = Founded(role)
    with pytest.raises(Reverted, match="NotAnOperator"):
        found.does(found.member, "register", [STRANGER.address], [ZERO_ADDRESS], [1])
    with pytest.raises(Reverted, match="TooFewSignatures"):
        found.does(found.member, "setStanding", (1, 0, 0), [])


@pytest.mark.parametrize("role", ROLES)
def test_who_may_bring_meters_and_devices_into_service(role: Role) -> None:
    found = Founded(role)
    meter = ("registerMeter", 1, ONE)
    device = ("registerDevice", TWO, 1, STORAGE, False, ZERO_ADDRESS)
    if role is Role.SERVICE_PROVIDER:
        found.does(found.member, *meter)
        found.does(found.member, *device)
        found.does(found.member, "resign")
    for refused in (meter, device):
        with pytest.raises(Reverted, match="NotAnOperator"):
            found.does(found.member, *refused)


@pytest.mark.parametrize("role", ROLES)
def test_who_makes_the_community_a_watched_one(role: Role) -> None:
    found = Founded(role)
    watches = role in (Role.REGULATOR, Role.GRID_COMPANY)
    assert found.client.view(COMMUNITY, "rules")[0][2] == watches
    if watches:
        found.does(found.member, "resign")
        assert not found.client.view(COMMUNITY, "rules")[0][2]


def test_one_operator_brings_members_meters_and_devices_in_and_out() -> None:
    found = Founded(Role.CONSUMER)
    found.does(OPERATOR, "register", [STRANGER.address], [ONE], [Role.REGULATOR])
    found.does(OPERATOR, "registerDevice", TWO, 2, GENERATOR, False, ONE)  # noqa: FBT003
    assert found.asks("deviceOfMeter", ONE) == TWO
    found.does(OPERATOR, "revokeMeter", ONE)
    assert found.client.view(COMMUNITY, "devices", TWO)[1] == 0
    with pytest.raises(Reverted, match="TooFewSignatures"):
        found.does(OPERATOR, "setStanding", (0, 0, 0), [])


def test_a_stranger_may_only_carry_out_what_was_decided() -> None:
    found = Founded(Role.CONSUMER)
    for refused in (
        ("register", [STRANGER.address], [ZERO_ADDRESS], [1]), ("registerMeter", 0, ONE),
        ("registerDevice", TWO, 0, LOAD, False, ZERO_ADDRESS),
    ):  # fmt: skip
        with pytest.raises(Reverted, match="NotAnOperator"):
            found.does(STRANGER, *refused)
    calls: list[tuple[Any, ...]] = [("resign",), ("propose", NOTHING, []), ("grantAccess", ONE, READINGS, LATER + 3600)]
    for call in calls:
        with pytest.raises(Reverted, match="NotAMember"):
            found.does(STRANGER, *call)


@pytest.mark.parametrize("role", [0, 8, 255])
def test_no_member_has_a_role_that_does_not_exist(role: int) -> None:
    with pytest.raises(LedgerError, match="refused the creation of the community"):
        Founded(role)


def test_the_table_names_every_role_and_each_line_names_a_test() -> None:
    page = (Path(__file__).parents[2] / "docs" / "community-contract.md").read_text("utf-8")
    table = page.partition("## What each role may do")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (.+?) \| (.+?) \| `(test_\w+)` \|$", table, re.MULTILINE)
    assert {name for _, _, name in lines} == {
        name for name in globals() if name.startswith("test_") and "table" not in name and "exist" not in name
    }
    told = page.partition("## Roles")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z-]+)` \|", told, re.MULTILINE) == [role.word for role in Role]
