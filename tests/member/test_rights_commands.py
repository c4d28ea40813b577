"""What a member may let others read, votes on, and leaves: through a file and through a node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from acting_cases import Place, client_of, json_of
from exchange_cases import START

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.proof import Key, checksum_address, keccak
from commonwatt.records.schema import as_json

READER = checksum_address(Key.derive(b"rights", "reader").address)
NEWCOMER = Key.derive(b"rights", "newcomer")


def test_a_grant_holds_until_it_is_withdrawn(place: Place) -> None:
    code, told, wrong = place.act("grant", 3, "--to", READER, "--what", "readings", "--until", "30d")
    assert (code, wrong) == (0, "")
    assert told.startswith(f"{READER} may read your readings until 2026-07-2")
    found = json_of(place.ask("access", 3, "--json", "-"))
    (given,) = found["given"]
    assert set(given) == {"to", "what", "until", "valid"}
    assert (given["to"], given["what"], given["valid"], found["received"]) == (READER, "readings", True, [])
    assert f"{READER} may read your readings until" in place.ask("access", 3).out
    assert "Nobody has let you read theirs." in place.ask("access", 3).out

    assert place.act("grant", 3, "--to", READER, "--what", "bills", "--until", "12h").code == 0
    code, told, _ = place.act("grant", 3, "--to", READER, "--what", "readings", "--withdraw")
    assert code == 0
    assert told.startswith(f"{READER} may no longer read your readings: block ")
    held = json_of(place.ask("access", 3, "--json", "-"))["given"]
    assert [(each["what"], each["valid"]) for each in held] == [("readings", False), ("bills", True)]
    assert held[0]["until"] == given["until"]
    assert f"{READER} could read your readings: withdrawn." in place.ask("access", 3).out
    code, _, wrong = place.act("grant", 3, "--to", READER, "--what", "readings", "--withdraw")
    assert code == 6
    assert "The contract refused the withdrawal of the grant: NotGranted(3, " in wrong


def test_who_was_let_in_sees_it_and_an_end_is_an_end(place: Place, tmp_path: Path) -> None:
    later = ("--until", "2027-01-01T00:00+01:00")
    for member, what, until in ((0, "watch", later), (1, "forecast", ("--until", "1s"))):
        assert place.act("grant", member, "--to", place.account(3), "--what", what, *until).code == 0
    assert place.act("grant", 2, "--to", READER, "--what", "bills", "--until", "2027-01-01").code == 0
    found = json_of(place.ask("access", 3, "--json", "-"))
    assert found["given"] == []
    assert found["received"][0] == {"from": place.account(0), "what": "watch", "until": 1798758000, "valid": True}
    assert [(each["from"], each["valid"]) for each in found["received"]] == [
        (place.account(0), True), (place.account(1), False),
    ]  # fmt: skip
    file = tmp_path / "access.json"
    code, told, _ = place.ask("access", 3, "--json", file)
    assert code == 0
    assert file.exists()
    assert f"You may read the watch of {place.account(0)} until 2026-12-31 23:00:00 UTC." in told
    assert f"You could read the forecast of {place.account(1)}: ended " in told
    assert "You have let nobody read your data." in told


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--to", READER, "--what", "everything", "--until", "1d"], 2,
         "what: is readings, bills, forecast or watch, not 'everything'"),
        (["--to", READER, "--what", "\x1b[2J", "--until", "1d"], 2, "not '\\x1b[2J'"),
        (["--to", READER, "--what", "bills"], 2, "until: says how long, such as 30d"),
        (["--to", READER, "--what", "bills", "--until", "1d", "--withdraw"], 2, "until: is not for --withdraw"),
        (["--to", READER, "--what", "bills", "--until", "0d"], 2, "until: has passed"),
        (["--to", READER, "--what", "bills", "--until", "1 d"], 2, "until: is a span such as 30d"),
        (["--to", READER, "--what", "bills", "--until", "1.5d"], 2, "until: is a span such as 30d"),
        (["--to", READER, "--what", "bills", "--until", "999999999w"], 2, "until: is too far away"),
        (["--to", READER, "--what", "bills", "--until", START], 2, "until: has passed"),
        (["--to", READER, "--what", "bills", "--until", "2027-02-30"], 2, "until: is a time such as"),
        (["--to", READER, "--what", "bills", "--until", "٣"], 2, "until: is a time such as"),
        (["--to", "0x12", "--what", "bills", "--until", "1d"], 2, "to: is an address, 0x and 40 digits, not '0x12'"),
        (["--to", "0x" + "00" * 20, "--what", "bills", "--until", "1d"], 6, "refused the grant: InvalidGrant("),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_grants_that_cannot_be(place: Place, options: list[str], code: int, sentence: str) -> None:
    got, told, wrong = place.act("grant", 3, *options)
    assert (got, told) == (code, "")
    assert sentence in wrong
    assert wrong.count("\n") <= 2
    assert json_of(place.ask("access", 3, "--json", "-"))["given"] == []


def signed(place: Place, member: int, file: Path, *options: object) -> Path:
    """A grant that a member signed, in a file."""
    assert place.act("grant", member, *options, "--sign", "--json", file) == (0, "", "")
    return file


def test_a_grant_is_signed_by_one_and_brought_by_another(place: Place, tmp_path: Path) -> None:
    reader, file = ("--to", READER, "--what", "readings"), tmp_path / "grant.json"
    signed(place, 3, file, *reader, "--until", "30d")
    assert json_of(place.ask("access", 3, "--json", "-"))["given"] == []
    assert json_of(place.act("grant", 3, *reader, "--until", "30d", "--sign"))["grant"] == {
        "member": 3, "grantee": READER.lower(), "scope": f"0x{keccak(b'readings').hex()}", "nonce": 0,
        "until": json.loads(file.read_text("utf-8"))["grant"]["until"],
    }  # fmt: skip
    # With member 2's bill and key, which pays.
    code, told, wrong = place.act("grant", 2, "--bring", file)
    assert (code, wrong) == (0, "")
    assert told.startswith(f"{READER} may read the readings of member 3 until 2026-07-2")
    (given,) = json_of(place.ask("access", 3, "--json", "-"))["given"]
    assert (given["to"], given["what"], given["valid"]) == (READER, "readings", True)
    code, _, wrong = place.act("grant", 2, "--bring", file)
    assert (code, wrong) == (6, "The contract refused the grant: WrongNonce(0, 1).\n")
    taken = signed(place, 3, tmp_path / "back.json", *reader, "--withdraw")
    # An operator may bring it as well; what it does not change is whose grant it is.
    figures = json_of(place.ask(
        "grant", 0, "--bring", taken, "--key", place.key(place.keys.operator), "--contract", place.contract,
        "--json", "-",
    ))  # fmt: skip
    assert (figures["until"], set(figures)) == (0, {"until", "transaction", "block", "gas"})
    (given,) = json_of(place.ask("access", 3, "--json", "-"))["given"]
    assert given["valid"] is False
    again = signed(place, 3, tmp_path / "again.json", *reader, "--withdraw")
    code, _, wrong = place.act("grant", 2, "--bring", again)
    assert code == 6
    assert "The contract refused the withdrawal of the grant: NotGranted(3, " in wrong


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_signed_grants_that_cannot_be(place: Place, tmp_path: Path) -> None:
    good = signed(place, 3, tmp_path / "good.json", "--to", READER, "--what", "bills", "--until", "1h")
    document = json.loads(good.read_text("utf-8"))
    other = json.loads(
        signed(place, 2, tmp_path / "other.json", "--to", READER, "--what", "bills", "--until", "1h").read_text("utf-8")
    )
    file, no = tmp_path / "bad.json", "holds no signed grant of this community: "
    cases: list[tuple[object, int, str]] = [
        ({}, 4, f"{no}it has other parts"),
        ([], 4, f"{no}it has other parts"),
        (document | {"more": 1}, 4, f"{no}it has other parts"),
        (document | {"chainId": 1}, 4, f"{no}it is for another chain or community"),
        (document | {"community": f"0x{'11' * 20}"}, 4, f"{no}it is for another chain or community"),
        (document | {"signature": "0x12"}, 4, f"{no}'0x12' is not 0x and 130 digits"),
        (document | {"signature": f"0x{'00' * 65}"}, 4, "v 27 or 28"),
        (document | {"signature": other["signature"]}, 4, "The Grant is signed by "),
        (document | {"grant": {}}, 4, f"{no}The record Grant has exactly these fields"),
        (document | {"grant": 5}, 4, f"{no}The record Grant has exactly these fields"),
    ]
    for change, code, sentence in (
        ({"until": document["grant"]["until"] + 1}, 4, f"not by {place.account(3)}."),
        ({"grantee": f"0x{'22' * 20}"}, 4, f"not by {place.account(3)}."),
        ({"member": 2}, 4, f"not by {place.account(2)}."),
        ({"member": 77}, 6, "UnknownMember(77)"),
        ({"member": True}, 4, no),
        ({"member": -1}, 4, no),
        ({"until": 1 << 64}, 4, no),
        ({"until": "1"}, 4, no),
        ({"scope": "bills"}, 4, no),
    ):
        cases.append((document | {"grant": document["grant"] | change}, code, sentence))
    for content, code, sentence in cases:
        file.write_text(json.dumps(content), "utf-8")
        got, told, wrong = place.act("grant", 2, "--bring", file)
        assert (got, told) == (code, ""), wrong
        assert sentence in wrong
        assert wrong.count("\n") == 1
    for text, sentence in (("", "it is empty"), ('{"grant": 1, "grant": 2}', "stands there twice")):
        file.write_text(text, "utf-8")
        assert sentence in place.act("grant", 2, "--bring", file).err
    file.write_bytes(b" " * (1 << 17))
    assert "it is longer than" in place.act("grant", 2, "--bring", file).err
    assert "cannot be read: " in place.act("grant", 2, "--bring", tmp_path / "none.json").err
    assert json_of(place.ask("access", 3, "--json", "-"))["given"] == []
    # What was good is good still; once its end has passed it is not.
    place.wait(3_600)
    code, _, wrong = place.act("grant", 2, "--bring", good)
    assert code == 6
    assert "The contract refused the grant: InvalidGrant(" in wrong


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_what_is_signed_or_brought_is_told_whole(place: Place, tmp_path: Path) -> None:
    empty: tuple[object, ...] = ()
    for options, sentence in (
        (("--bring", tmp_path / "x", "--to", READER), "bring: is of what was signed"),
        (("--bring", tmp_path / "x", "--sign"), "bring: is of what was signed"),
        (empty, "to: says who may read what"),
        (("--to", READER), "what: says who may read what"),
        (("--to", READER, "--what", "bills", "--sign"), "until: says how long"),
        (("--to", READER, "--what", "bills", "--sign", "--until", "0d"), "until: has passed"),
    ):
        code, told, wrong = place.act("grant", 3, *options)
        assert (code, told) == (2, "")
        assert sentence in wrong
    own = ("--key", place.key(place.keys.members[3]))
    grant = ("--to", READER, "--what", "bills", "--until", "1d", "--sign")
    # For strangers nothing is signed, with another's bill neither; and nothing is sent to strangers.
    code, told, wrong = place.ask("grant", 3, *grant, *own)
    assert (code, told) == (8, "")
    assert "only the document says that" in wrong
    code, told, wrong = place.ask("grant", 2, *grant, *own, "--contract", place.contract)
    assert (code, told) == (6, "")
    assert f"The key is that of {place.account(3)}, the document is of {place.account(2)}." in wrong
    file = signed(place, 3, tmp_path / "grant.json", *grant[:-1])
    code, told, wrong = place.ask("grant", 2, "--bring", file, *own)
    assert (code, told) == (8, "")
    assert "only the document says that" in wrong


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_a_member_that_signs_needs_no_ether_and_no_wallet_of_this_package(place: Place, tmp_path: Path) -> None:
    """eth-account signs what `--sign` would, as any wallet with EIP-712 does."""
    from eth_account import Account

    with EmbeddedChain(Path(place.ledger), read_only=True) as chain:
        community = CommunityClient(client_of(place.folder, chain, place.keys.operator))
        until = chain.head.timestamp + 900
        grant = community.grant(3, NEWCOMER.address, keccak(b"forecast"), until)
        types = {"Grant": [
            {"name": "member", "type": "uint32"}, {"name": "grantee", "type": "address"},
            {"name": "scope", "type": "bytes32"}, {"name": "until", "type": "uint64"},
            {"name": "nonce", "type": "uint64"},
        ]}  # fmt: skip
        domain = {
            "name": "Commonwatt", "version": "1", "chainId": chain.chain_id,
            "verifyingContract": checksum_address(community.address),
        }  # fmt: skip
        where = {"chainId": chain.chain_id, "community": f"0x{community.address.hex()}"}
    own = Account.sign_typed_data(place.keys.members[3].secret, domain, types, as_json(grant))
    file = tmp_path / "wallet.json"
    file.write_text(json.dumps({**where, "grant": as_json(grant), "signature": f"0x{own.signature.hex()}"}), "utf-8")
    assert place.act("grant", 0, "--bring", file).code == 0
    (given,) = json_of(place.ask("access", 3, "--json", "-"))["given"]
    assert (given["what"], given["until"], given["valid"]) == ("forecast", until, True)


def test_members_vote_and_what_they_decide_is_done(place: Place) -> None:
    assert place.ask("vote", 3).out == "There is nothing to vote on.\n"
    operator = checksum_address(place.keys.operator.address)
    opened = json_of(place.run("propose", "--admit", READER, "--turnout", 40, "--json", "-", key=place.keys.members[0]))
    assert (opened["number"], opened["electorate"], opened["open"]) == (0, 5, True)
    assert opened["change"] == {
        "admit": READER, "remove": None, "threshold": None, "turnout": 40, "votingTime": None, "recoveryTime": None,
        "charter": None, "charterFrom": None,
    }  # fmt: skip
    listed = place.ask("vote", 3).out
    assert listed.startswith("Vote 0, open until 2026-")
    assert listed.endswith(f"UTC: admit the operator {READER}, a turnout of 40 %. 0 yes, 0 no of 5.\n")
    for member, choice in ((0, "yes"), (1, "no"), (3, "yes")):
        code, told, _ = place.act("vote", member, 0, choice)
        assert code == 0
        assert told.startswith(f"Voted {choice} on 0: block ")
    (vote,) = json_of(place.ask("vote", 3, "--json", "-"))["votes"]
    assert (vote["yes"], vote["no"], vote["voted"], vote["executed"]) == (2, 1, True, False)
    assert place.ask("vote", 3).out.endswith("You have voted.\n")
    code, _, wrong = place.act("vote", 3, 0, "no")
    assert (code, wrong) == (6, "The contract refused the vote: AlreadyVoted(0, 3).\n")
    code, _, wrong = place.run("execute", 0)
    assert code == 6
    assert "VoteOpen(0, " in wrong
    assert place.act("vote", 4, 0, "yes").code == 0
    assert place.run("execute", 0).out.startswith("What vote 0 decided holds: block ")
    shown = place.shown()
    assert sorted(shown["operators"]) == sorted([operator, READER])
    assert (shown["turnout"], shown["votes"][0]["executed"]) == (40, True)
    assert place.ask("vote", 2).out.startswith("Vote 0, done: admit the operator")


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_votes_that_cannot_be(place: Place) -> None:
    refused: list[tuple[tuple[object, ...], int, str]] = [
        ((0, "yes"), 6, "UnknownProposal(0)"),
        ((-1, "yes"), 2, "number: is not below zero"),
        ((0,), 2, "vote: needs yes or no, and your --key"),
    ]
    for options, code, sentence in refused:
        got, _, wrong = place.act("vote", 3, *options)
        assert got == code
        assert sentence in wrong
    assert place.act("vote", 3, 0, "perhaps").code == 2
    empty: list[str] = []
    for words, sentence in (
        (empty, "propose: changes nothing"),
        (["--turnout", "256"], "turnout: is from 1 to 255"),
        (["--voting-time", "soon"], "voting-time: is a span"),
    ):
        got, _, wrong = place.run("propose", *words, key=place.keys.members[0])
        assert got == 2
        assert sentence in wrong
    got, _, wrong = place.run("propose", "--turnout", 40, key=place.keys.operator)
    assert got == 6
    assert "NotAMember(" in wrong
    got, _, wrong = place.run("execute", 5)
    assert got == 6
    assert "UnknownProposal(5)" in wrong
    # Who left does not vote, and is not counted; a vote that is over takes no votes.
    assert place.act("resign", 4).code == 0
    opened = json_of(place.run("propose", "--turnout", 40, "--json", "-", key=place.keys.members[0]))
    assert opened["electorate"] == 4
    got, _, wrong = place.act("vote", 4, 0, "yes")
    assert got == 6
    assert "NotAVoter(4)" in wrong
    place.wait(8 * 86_400)
    got, _, wrong = place.act("vote", 3, 0, "yes")
    assert got == 6
    assert "VoteClosed(0, " in wrong
    got, _, wrong = place.run("execute", 0)
    assert got == 6
    assert "NotAccepted(0, 0, 0, 4)" in wrong
    assert place.ask("vote", 3).out.startswith("Vote 0, closed since ")


def test_who_leaves_is_out_and_can_be_let_in_again(place: Place) -> None:
    assert place.act("resign", 1).out.startswith("You have left; withdraw what you hold: block ")
    assert [each["active"] for each in place.shown()["members"]] == [True, False, True, True, True]
    code, _, wrong = place.act("resign", 1)
    assert code == 6
    assert "The contract refused the resignation: InvalidStanding(1, 0)." in wrong
    assert place.act("withdraw", 1, "0.01").code == 0
    assert place.run("reinstate", 1).code == 0
    assert all(each["active"] for each in place.shown()["members"])


def test_nothing_is_sent_for_strangers_or_to_them(place: Place) -> None:
    own, pin = ("--key", place.key(place.keys.members[3])), ("--contract", place.contract)
    grant = ("grant", 3, "--to", READER, "--what", "bills", "--until", "1d")
    for command in (grant, ("vote", 3, 0, "yes"), ("resign", 3), ("deposit", 3, "1")):
        name, member, *options = command
        code, told, wrong = place.ask(str(name), 3, *options, *own)
        assert (code, told) == (8, "")
        assert "Nothing is sent: only the document says that" in wrong
        code, _, wrong = place.ask(str(name), 2, *options, *own, *pin)  # somebody else's bill
        assert code == 6
        assert f"The key is that of {place.account(3)}, the document is of {place.account(2)}." in wrong
        assert member == 3
        code, _, wrong = place.ask(str(name), 3, *options, *own, "--contract", "0x" + "11" * 20)
        assert code == 8
        assert "which is not yours" in wrong
        code, _, wrong = place.shell(str(name), place.bill(3), *options, *own, *pin, "--ledger", "http://127.0.0.1:9")
        assert code == 6
        assert "cannot be asked" in wrong
        code, _, wrong = place.shell(
            str(name), place.bill(3), *options, *own, *pin, "--ledger", place.folder / "no.sqlite"
        )
        assert code == 6
        assert "There is no chain at" in wrong
    code, _, wrong = place.ask("access", 3, "--contract", "0x" + "11" * 20)
    assert code == 8
    assert place.shell("access", place.folder / "offers.txt").code == 8


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_an_unknown_scope_of_another_program_is_shown_as_it_is(place: Place) -> None:
    with EmbeddedChain(Path(place.ledger)) as chain:
        community = CommunityClient(client_of(place.folder, chain, place.keys.operator))
        at = chain.head.timestamp + 1
        community.grant_access(place.keys.members[3], NEWCOMER.address, keccak(b"other"), at + 9, at=at)
    (given,) = json_of(place.ask("access", 3, "--json", "-"))["given"]
    assert (given["what"], given["valid"]) == (f"0x{keccak(b'other').hex()}", True)
