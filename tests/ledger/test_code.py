"""The code of contracts compared with a release's: what is fixed at creation is read from it, the rest is the same."""

from __future__ import annotations

import json
from itertools import pairwise

import codes
import pytest
from hypothesis import given
from hypothesis import strategies as st
from settlement_cases import community

from commonwatt.errors import VerificationError
from commonwatt.ledger.client import code
from commonwatt.ledger.client.abi import COMMUNITY, DEMANDS, DISPUTES, OFFERS, SETTLEMENT, TOKEN, contract
from commonwatt.ledger.client.code import LISTED, THIS, Build, Contracts, builds
from commonwatt.ledger.client.offers import OffersClient
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.proof import checksum_address

DELEGATED = bytes.fromhex("ef0100") + b"\x11" * 20
"""What an account's code is that lets a contract act for it (EIP-7702)."""


@pytest.fixture(scope="module")
def client() -> LedgerClient:
    return community()


@pytest.mark.parametrize("name", LISTED)
def test_every_known_release_is_told_by_its_hashes(name: str) -> None:
    assert next(iter(builds(name))) == THIS
    for build in builds(name).values():
        assert Build.listed(json.loads(json.dumps(build.as_json()))) == build
        places = sorted(at for each in build.immutables.values() for at in each.at)
        assert all(one + 32 <= other for one, other in pairwise(places))
    assert builds(name)[THIS].fixed(contract(name).runtime) == {
        immutable: bytes(32) for immutable in builds(name)[THIS].immutables
    }
    assert builds(name)[THIS].creates(contract(name).bytecode + bytes(64))


def test_the_contracts_that_are_created_are_the_package_s(client: LedgerClient) -> None:
    found = Contracts(client.node, client.addresses.settlement)
    assert found.release == THIS
    assert found.addresses == {
        SETTLEMENT: client.addresses.settlement, COMMUNITY: client.addresses.community, DISPUTES: client.disputes,
        DEMANDS: client.demands, TOKEN: client.addresses.token,
    }  # fmt: skip


def test_contracts_are_found_however_far_from_the_chain_s_beginning(
    client: LedgerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Contracts(client.node, client.addresses.settlement).addresses
    monkeypatch.setattr(code, "_BEGINNING", 1)
    assert Contracts(client.node, client.addresses.settlement).addresses == found


@given(data=st.data())
def test_no_other_code_is_taken_for_it(client: LedgerClient, data: st.DataObject) -> None:
    build, own = builds(SETTLEMENT)[THIS], client.node.code(client.addresses.settlement)
    values = build.fixed(own)
    assert values
    at = data.draw(st.integers(0, len(own) - 1))
    other = bytearray(own)
    other[at] ^= data.draw(st.integers(1, 255))
    fixed = build.fixed(bytes(other))
    owner = [name for name, each in build.immutables.items() if any(0 <= at - place < 32 for place in each.at)]
    alone = bool(owner) and len(build.immutables[owner[0]].at) == 1
    assert fixed is None or (alone and {name for name in fixed if fixed[name] != values[name]} == set(owner))
    assert build.fixed(own[:at]) is None
    assert build.fixed(own + data.draw(st.binary(min_size=1, max_size=64))) is None
    assert build.fixed(data.draw(st.binary(max_size=100))) is None
    assert build.fixed(DELEGATED) is None
    assert not build.creates(contract(SETTLEMENT).bytecode[:at])


def offers(client: LedgerClient) -> bytes:
    """Create the community's Offers; returns its address."""
    return OffersClient.deploy(client, 3600, at=client.node.head.timestamp + 1).address


def test_offers_of_the_community_and_others(client: LedgerClient) -> None:
    found = Contracts(client.node, client.addresses.settlement)
    honest = offers(client)
    found.add(OFFERS, honest)
    assert found.addresses[OFFERS] == honest
    other = codes.settlement(client, client.addresses.community)
    elsewhere = codes.create(client, contract(OFFERS).creation(other, 3600))
    with pytest.raises(VerificationError, match=r"The Offers at 0x.* names another Settlement than its community's"):
        found.add(OFFERS, elsewhere)
    with pytest.raises(
        VerificationError, match=r"The Offers at 0x.* has another slotSeconds than the community's other"
    ):
        found.add(OFFERS, codes.copy(client, OFFERS, honest, {"slotSeconds": b"\x01"}))
    with pytest.raises(VerificationError, match=r"The Offers at 0x.* has other code"):
        found.add(OFFERS, client.disputes)
    with pytest.raises(VerificationError, match=r"There is no contract at 0x.*, where the Offers should be"):
        found.add(OFFERS, b"\x11" * 20)


@pytest.mark.parametrize("told", [True, False], ids=["told", "silent"])
@pytest.mark.parametrize("name", [SETTLEMENT, DISPUTES, DEMANDS, TOKEN, OFFERS])
def test_a_contract_whose_creation_stored_what_it_liked(client: LedgerClient, name: str, told: bool) -> None:
    """Its code is the package's, and it and the community's others name each other."""
    community, token = client.addresses.community, client.addresses.token
    own = Contracts(client.node, client.addresses.settlement).addresses | {OFFERS: offers(client)}
    first, second = codes.following(client, 1), codes.following(client, 2)
    named = {SETTLEMENT: {"disputes": first, "demands": second}}
    named |= {judge: {"settlement": first} for judge in (DISPUTES, DEMANDS)}
    events = [("Created(address)", community)] if told else []
    address = codes.copy(client, name, own[name], named.get(name, {}), {0: 1}, events)
    if name == SETTLEMENT:
        settlement = address
        for judge in (DISPUTES, DEMANDS):
            codes.judge(client, judge, address)
    elif name == TOKEN:
        settlement = codes.settlement(client, community, address)
    elif name == OFFERS:
        settlement = client.addresses.settlement
    else:
        settlement = codes.settlement(client, community, token, **{name.lower(): address})
    with pytest.raises(VerificationError, match=rf"^The {name} at {checksum_address(address)} was created by other"):
        Contracts(client.node, settlement).add(OFFERS, address)
