"""genesis.json and key files: every finding at once, one digest for one agreement."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commonwatt.errors import ConfigError, LedgerError, OutputError
from commonwatt.ledger.keyfile import read_key, write_key
from commonwatt.ledger.network.genesis import parse, read
from commonwatt.ledger.network.setup import consensus_table, new_network
from commonwatt.ledger.network.tree import Tree
from commonwatt.proof import Key, checksum_address

KEYS = [Key.derive(b"genesis tests", str(number)) for number in range(3)]
MEMBERS = [checksum_address(key.address) for key in KEYS]
DOCUMENT: dict[str, Any] = {
    "chain_id": 7,
    "time": 1000,
    "consensus": {"kind": "poa", "period": 3},
    "members": MEMBERS,
    "balances": {MEMBERS[0]: "1000000000000000000"},
}


def text(**changes: Any) -> str:
    return json.dumps({**DOCUMENT, **changes})


def findings(document: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse(document)
    return [str(finding) for finding in error.value.findings]


@pytest.mark.parametrize(("kind", "more"), [("poa", {}), ("pow", {}), ("pos", {"secrets": 4096})])
def test_a_new_network_can_be_read_and_begun(tmp_path: Path, kind: str, more: dict[str, int]) -> None:
    document = DOCUMENT | {"consensus": consensus_table(kind, 2, KEYS[:1], **more), "members": MEMBERS[:1]}
    (file,) = new_network(tmp_path / "net", document, KEYS[:1])
    agreement = read(tmp_path / "net" / "genesis.json")
    assert agreement.nodes == {KEYS[0].address}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = read_key(file)
    assert key.address == KEYS[0].address
    engine = agreement.engine(key)
    assert engine.name == kind
    tree = Tree(None, agreement.chain, engine)
    assert tree.header(0).extra_data == agreement.chain.extra_data
    assert tree.balance(KEYS[0].address) == 10**18
    parent = tree.past.header(tree.genesis)
    turn = engine.turn(parent, tree.past, key.address, 2000)
    assert turn
    assert turn.at <= 1002


def test_a_member_goes_on_with_its_second_hash_chain(tmp_path: Path, asked: Callable[..., str]) -> None:
    key = KEYS[0]
    told = asked("tip", write_key(tmp_path / "key", key), "--number", 1, "--secrets", 64).strip()
    table = consensus_table("pos", 2, [key], secrets=64)
    assert table["stakes"][MEMBERS[0]]["tip"] != told
    table["stakes"][MEMBERS[0]]["tip"] = told
    agreement = parse(json.dumps(DOCUMENT | {"consensus": table, "members": MEMBERS[:1]}))
    turns = []
    for chains in (1, 2):
        engine = agreement.engine(key, chains)
        tree = Tree(None, agreement.chain, engine)
        turns.append(engine.turn(tree.past.header(tree.genesis), tree.past, key.address, 2000))
    assert turns[0] is None
    assert turns[1]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    new_network(tmp_path, DOCUMENT, KEYS)
    with pytest.raises(OutputError, match=r"genesis.json cannot be written: File exists"):
        new_network(tmp_path, DOCUMENT, [])
    with pytest.raises(OutputError, match=r"node-1.key cannot be written: File exists"):
        write_key(tmp_path / "node-1.key", KEYS[0])


@pytest.mark.parametrize("content", [None, "", "0x12", "z" * 64, "0" * 64, "é"])
def test_a_key_file_that_is_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "a.key"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(LedgerError, match=r"The key file .*a.key cannot be used: "):
        read_key(path)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o777, 0o666])
def test_a_key_file_that_everybody_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = write_key(tmp_path / "a.key", KEYS[0])
    path.chmod(mode)
    with pytest.raises(LedgerError, match=r"Everybody on this machine can read .*a\.key; run: chmod 600"):
        read_key(path)
    path.chmod(0o640)
    assert read_key(path).address == KEYS[0].address


def test_the_layout_of_the_file_does_not_matter_but_all_else_does() -> None:
    digest = parse(text()).chain.extra_data
    assert parse(json.dumps(DOCUMENT, indent=4, sort_keys=True)).chain.extra_data == digest
    for changes in (
        {"time": 1001}, {"members": MEMBERS[:2]}, {"readers": ["0x" + "11" * 20]}, {"gas_limit": 9_000_000},
        {"consensus": {"kind": "poa", "period": 4}}, {"consensus": {"kind": "pow"}},
    ):  # fmt: skip
        assert parse(text(**changes)).chain.extra_data != digest


def test_all_findings_come_at_once() -> None:
    found = findings(
        json.dumps(
            {
                "chain_id": 0,
                "time": "now",
                "gas_limit": 5,
                "consensus": {"kind": "poa", "period": 0, "speed": 1},
                "members": ["0x12"],
                "balances": {MEMBERS[0]: 5},
                "member": [],
            }
        )
    )
    assert len(found) == 8
    assert "chain_id: must be at least 1, but is 0" in found
    assert "consensus.period: must be at least 1, but is 0" in found
    assert "consensus.speed: is not a key of this table" in found
    assert "member: is not a key of this table; did you mean 'members'?" in found
    assert any(line.startswith("balances.") and "in quotes" in line for line in found)


@pytest.mark.parametrize(
    ("document", "finding"),
    [
        (text(consensus={"kind": "raft"}), 'consensus: must be a table with a kind: "poa", "pow" or "pos"'),
        (text(consensus="poa"), 'consensus: must be a table with a kind: "poa", "pow" or "pos"'),
        (text(members=[]), "members: must not be empty"),
        (text(members=[MEMBERS[0], MEMBERS[0].lower()]), "members[2]: 0x" + KEYS[0].address.hex()),
        (text(balances={MEMBERS[0]: "1", MEMBERS[0].lower(): "2"}), "balances: name an address twice"),
        (text(balances={MEMBERS[0]: "1" + "0" * 37}), "is more than"),
        (text(balances={MEMBERS[0]: "-1"}), "must be an amount of wei in quotes"),
        (text(members=[MEMBERS[0][:-1] + "x"]), "must be an address in quotes"),
        (text(chain_id=1.5), "chain_id: must be a whole number"),
        (text(chain_id=True), "chain_id: must be a whole number"),
        (text(consensus={"kind": "pos", "stakes": {}}), "consensus.stakes: must not be empty"),
        (
            text(consensus={"kind": "pos", "stakes": {"0x" + "11" * 20: {"tip": "0x" + "0" * 64, "tokens": 1}}}),
            "consensus.stakes: 0x1111111111111111111111111111111111111111 is not among the members",
        ),
        ("", "cannot be read as JSON"),
        ("[]", "is not a table of JSON"),
        ('{"time": 1, "time": 2}', "'time' stands there twice"),
        ('{"time": NaN}', "NaN is no number"),
        ("[" * 100_000, "nested more than 64 deep"),
        (" " * (1 << 21), "is longer than"),
    ],
)  # fmt: skip
def test_a_document_that_is_wrong(document: str, finding: str) -> None:
    assert any(finding in line for line in findings(document))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "genesis.json")
