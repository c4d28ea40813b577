"""The operators' commands, through a file and through a node."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from acting_cases import Place, client_of, json_of
from settlement_cases import ETHER_TERMS, MEMBERS, OPERATORS, community, posted
from shell import Said, Shell

from commonwatt.errors import LedgerError
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.keyfile import write_key
from commonwatt.ledger.node import Log
from commonwatt.proof import Key, checksum_address

METER, DEVICE, ACCOUNT, OTHER = (
    Key.derive(b"community", name) for name in ("meter", "device", "account", "other account")
)


def address(key: Key) -> str:
    return checksum_address(key.address)


def test_meters_and_devices_come_and_go(place: Place) -> None:
    proposed = place.run("register-meter", 2, address(METER))
    assert proposed.out.startswith(f"{address(METER)} is proposed to member 2: block ")
    assert place.shown()["members"][2]["proposed"] == [address(METER)]
    assert f"; proposed: {address(METER)}." in place.told()
    code, _, wrong = place.run("register-device", 2, address(DEVICE), "generator", "--meter", address(METER))
    assert code == 6
    assert "UnknownMeter(" in wrong
    assert place.act("accept-meter", 2, address(METER)).out.startswith(f"{address(METER)} measures you: block ")
    shown = place.shown()
    assert shown["members"][2]["proposed"] == []
    assert address(METER) in shown["members"][2]["meters"]
    assert len(shown["members"][2]["meters"]) == 2
    assert shown["devices"] == []
    assert shown["rules"] == {
        "gridLink": False, "ownMeters": True, "watched": False, "commonGenerators": True,
    }  # fmt: skip
    code, _, wrong = place.run("register-device", 2, address(DEVICE), "generator")
    assert code == 6
    assert "NoMeterOfItsOwn(" in wrong
    figures = json_of(
        place.run("register-device", 2, address(DEVICE), "generator", "--meter", address(METER), "--json", "-")
    )
    assert set(figures) == {"transaction", "block", "gas"}
    assert place.run("register-device", 1, address(OTHER), "grid-link", "--meter", address(METER)).code == 6
    assert place.run("register-device", 1, address(OTHER), "load", "--common").code == 0
    shown = place.shown()
    assert shown["rules"]["commonGenerators"] is False
    assert shown["devices"] == [
        {"address": address(DEVICE), "member": 2, "kind": "generator", "common": False, "meter": address(METER)},
        {"address": address(OTHER), "member": 1, "kind": "load", "common": True, "meter": None},
    ]
    code, _, wrong = place.run("revoke-device", address(OTHER), key=place.keys.members[3])
    assert code == 6
    assert "NotTheOwner(" in wrong
    assert place.run("revoke-device", address(OTHER), key=place.keys.members[1]).code == 0
    assert place.run("revoke-meter", address(METER)).code == 0
    shown = place.shown()
    assert (shown["devices"], len(shown["members"][2]["meters"])) == ([], 1)
    told = place.told()
    assert told.startswith(f"1 of 1 operator sign: {address(place.keys.operator)}.\n")
    assert f"Member 3, consumer: {place.account(3)}; meters: 0x" in told
    assert "Rules that do not hold: grid-link, watched." in told


def test_a_meter_serves_by_a_signature_that_others_bring(place: Place) -> None:
    figures = json_of(place.run("register-meter", 2, address(METER), "--json", "-"))
    assert figures["serves"] is False
    # Another proposal takes the place of the one before.
    assert place.run("register-meter", 3, address(METER)).code == 0
    assert [member["proposed"] for member in place.shown()["members"][2:4]] == [[], [address(METER)]]
    signature = place.act("accept-meter", 3, address(METER), "--sign").out.strip()
    assert json_of(place.act("accept-meter", 3, address(METER), "--sign", "--json", "-")) == {"signature": signature}
    assert place.shown()["members"][3]["proposed"] == [address(METER)]
    for member, given, code, sentence in (
        (3, "0x12", 2, "signature: is no signature: '0x12'"),
        (3, "0x" + "00" * 65, 2, "signature: is no signature:"),
        (2, signature, 6, "NotAMember("),
        (9, signature, 6, "UnknownMember(9)"),
        (-1, signature, 2, "member: is from 0 to"),
    ):
        got, _, wrong = place.run("accept-meter", member, address(METER), "--signature", given)
        assert got == code
        assert sentence in wrong
    brought = ("accept-meter", 3, address(METER), "--signature", signature)
    assert place.run(*brought, key=place.keys.members[1]).out.startswith(f"{address(METER)} measures member 3: block ")
    assert address(METER) in place.shown()["members"][3]["meters"]
    code, _, wrong = place.run(*brought)
    assert code == 6
    assert "The contract refused the acceptance of the meter: InvalidMeter(" in wrong


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_a_first_meter_serves_at_once_and_no_other_is_accepted(place: Place) -> None:
    assert place.run("register", address(ACCOUNT), "consumer").code == 0
    assert place.run("register-meter", 5, address(METER)).out.startswith(f"{address(METER)} measures member 5: block ")
    for meter in (METER, DEVICE):  # another's, and one that was proposed to nobody
        code, _, wrong = place.act("accept-meter", 2, address(meter))
        assert code == 6
        assert "InvalidMeter(" in wrong
    code, _, wrong = place.act("accept-meter", 2, "meter")
    assert code == 2
    assert "meter: is an address" in wrong
    code, _, wrong = place.ask("accept-meter", 2, address(METER), "--key", place.key(place.keys.members[2]))
    assert code == 8
    assert "Nothing is sent: only the document says that" in wrong


def test_a_member_joins_with_ether_and_a_role(place: Place) -> None:
    code, told, wrong = place.run("register", address(ACCOUNT), "regulator")
    assert (code, told.splitlines()[0], wrong) == (0, f"{address(ACCOUNT)} is member 5.", "")
    assert f"write one by `commonwatt card {address(ACCOUNT)}`" in told
    assert place.shown()["members"][5] == {
        "index": 5, "account": address(ACCOUNT), "role": "regulator", "active": True, "meters": [], "proposed": [],
    }  # fmt: skip
    assert place.shown()["rules"]["watched"] is True
    # It can send at once: nobody else's purse is needed.
    code, _, wrong = place.run("recover", "refuse", key=ACCOUNT)
    assert code == 6
    assert "NoReplacement(5)" in wrong
    code, _, wrong = place.run("register", address(ACCOUNT), "consumer")
    assert code == 6
    assert "InvalidAccount(" in wrong


def test_a_quorum_suspends_and_lets_in(place: Place) -> None:
    signature = place.run("suspend", 3, "--sign").out.strip()
    assert len(signature) == 2 + 2 * 65
    assert place.shown()["members"][3]["active"] is True
    # Whoever is no operator can bring what operators signed.
    assert place.run("suspend", 3, key=place.keys.members[1]).code == 6
    assert place.run("suspend", 3, "--signature", signature, key=place.keys.members[1]).code == 0
    assert place.shown()["members"][3]["active"] is False
    code, _, wrong = place.run("suspend", 3)
    assert code == 6
    assert "The contract refused the change of standing: InvalidStanding(3, 0)." in wrong
    assert place.run("reinstate", 3).out.startswith("Member 3 takes part again: block ")
    for given in ("0x12", "0x" + "00" * 65, "\x1b[2J"):
        code, _, wrong = place.run("suspend", 3, "--signature", given)
        assert code == 2
        assert "signature: is no signature:" in wrong
    code, _, wrong = place.run("suspend", 3, "--signature", signature)  # of an earlier number
    assert code == 6
    code, _, wrong = place.run("suspend", 9)
    assert code == 6
    assert "UnknownMember(9)" in wrong
    code, _, wrong = place.run("suspend", 1 << 32)
    assert code == 2
    assert "member: is from 0 to" in wrong


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_a_lost_key_is_replaced_unless_its_member_objects(place: Place) -> None:
    assert place.run("recover", "start", 3, address(ACCOUNT)).code == 0
    code, _, wrong = place.run("recover", "finish", 3)
    assert code == 6
    assert "TooEarly(3, " in wrong
    assert place.run("recover", "refuse", key=place.keys.members[3]).out.startswith("Your account stays yours: ")
    code, _, wrong = place.run("recover", "finish", 3)
    assert code == 6
    assert "NoReplacement(3)" in wrong

    signature = json_of(place.run("recover", "start", 3, address(ACCOUNT), "--sign", "--json", "-"))["signature"]
    twice = ("--signature", signature, "--signature", signature)
    brought = place.run("recover", "start", 3, address(ACCOUNT), *twice, key=place.keys.members[0])
    assert brought.code == 0
    place.wait(8 * 86_400)
    assert place.run("recover", "finish", 3).out.startswith("Member 3 has its new account: block ")
    assert place.shown()["members"][3]["account"] == address(ACCOUNT)
    with EmbeddedChain(Path(place.ledger), read_only=True) as chain:
        assert chain.balance(ACCOUNT.address) > 0
    # Its bill names the former account: it verifies, and serves the new one and no longer that.
    assert place.ask("verify", 3).code == 0
    assert place.ask("access", 3).out.startswith("You have let nobody read your data.")
    pinned, grant = ("--contract", place.contract), ("--to", place.account(1), "--what", "bills", "--until", "1d")
    commands: tuple[tuple[object, ...], ...] = (
        ("withdraw", "0.01"), ("challenge",), ("grant", *grant), ("grant", *grant, "--sign"), ("vote", 0, "yes"),
    )  # fmt: skip
    for command, *options in commands:
        code, _, wrong = place.act(str(command), 3, *options)
        assert code == 6
        assert f"The key is that of {place.account(3)}, the member's account is now {address(ACCOUNT)}." in wrong
    for command, *options in commands[:-1]:
        own = place.ask(str(command), 3, *options, *pinned, "--key", place.key(ACCOUNT))
        assert (own.code, own.err) == (0, "")


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_operators_mistakes_are_told(place: Place) -> None:
    for words, code, sentence in (
        (("register-meter", 9, address(METER)), 6, "UnknownMember(9)"),
        (("register-meter", -1, address(METER)), 2, "member: is from 0 to"),
        (("register-meter", 2, "0x" + "00" * 20), 6, "InvalidMeter("),
        (("register-meter", 2, "meter"), 2, "meter: is an address"),
        (("revoke-meter", address(METER)), 6, "UnknownMeter("),
        (("register-device", 2, "0x" + "00" * 20, "load"), 6, "InvalidDevice("),
        (("revoke-device", address(DEVICE)), 6, "UnknownDevice("),
        (("recover", "start", 2, place.account(1)), 6, "InvalidAccount("),
        (("take-bond", "0"), 2, "amount: must be more than 0"),
        (("take-bond", "1"), 6, "BondBound("),
        (("expire", 1_781_503_200), 6, "AlreadyFinal(1781503200, 0)"),
    ):
        got, told, wrong = place.run(*words)
        assert (got, told) == (code, "")
        assert sentence in wrong
    for others in (("register-meter", "2", address(METER)), ("register", address(ACCOUNT), "consumer")):
        got, _, wrong = place.run(*others, key=place.keys.members[0])
        assert got == 6
        assert "NotAnOperator(" in wrong
    got, _, wrong = place.shell("community", "show", "--contract", place.account(3), "--ledger", place.ledger)
    assert got == 6
    assert "There is no contract at" in wrong
    got, _, wrong = place.shell("community", "show", "--contract", place.offers, "--ledger", place.ledger)
    assert got == 6
    assert "is no Settlement of a community" in wrong
    got, _, wrong = place.shell("community", "show", "--contract", place.contract, "--ledger", "http://127.0.0.1:9")
    assert got == 6
    assert "cannot be asked" in wrong


def test_an_expired_post_and_its_bond_are_cleared(tmp_path: Path, said: Shell) -> None:
    chain_file = tmp_path / "ledger.sqlite"
    client = community(replace(ETHER_TERMS, bond=5), path=chain_file)
    client.place_bond(7, at=8_100)
    post, _ = posted(client, [-1, 1])
    contract = checksum_address(client.addresses.settlement)
    assert isinstance(client.node, EmbeddedChain)
    operator, member = (write_key(tmp_path / f"{n}.key", key) for n, key in enumerate((OPERATORS[0], MEMBERS[0])))

    def run(*words: object, key: Path = operator) -> Said:
        at = ("--key", key, "--contract", contract, "--ledger", chain_file)
        return said("community", *words, *at)

    client.node.close()
    code, _, wrong = run("take-bond", "0.000003")
    assert code == 6
    assert "BondBound(" in wrong
    assert run("take-bond", "0.000002")[0] == 0
    code, _, wrong = run("expire", post.slot)
    assert code == 6
    with EmbeddedChain(chain_file) as chain:
        chain.seal(40_000)
    code, told, _ = run("expire", post.slot, 0, key=member)
    assert code == 0
    assert told.startswith(f"The post of slot {post.slot}, revision 0, is gone: block ")
    assert run("take-bond", "0.000005")[0] == 0


class Forgetful(EmbeddedChain):
    """A node that leaves out events from the one with this number on."""

    left_out = slice(0)

    def logs(self, first: int, last: int, address: bytes | None = None, topic: bytes | None = None) -> list[Log]:
        found = super().logs(first, last, address, topic)
        del found[self.left_out]
        return found


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_a_node_that_leaves_events_out_is_found(place: Place) -> None:
    place.run("register-device", 1, address(OTHER), "load")
    with closing(Forgetful(Path(place.ledger), read_only=True)) as node:
        client = client_of(place.folder, node, place.keys.operator)
        whole = CommunityClient(client)
        assert [member.account for member in whole.members] == [key.address for key in place.keys.members]
        assert [device.address for device in whole.devices] == [OTHER.address]
        assert whole.replacement(3) is None
        for left_out, sentence in (
            (slice(0, 4), "events contradict each other: "),
            (slice(10, None), "has 5 members, but its events tell of "),
        ):
            node.left_out = left_out
            with pytest.raises(LedgerError, match=sentence):
                _ = CommunityClient(client).members
