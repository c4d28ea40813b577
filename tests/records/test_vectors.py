"""The golden vectors against eth-account, which has its own EIP-712 encoder and signer."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from commonwatt import records
from commonwatt.proof import Domain, Key, hash_struct, keccak, recover, sign, type_hash
from commonwatt.records.schema import encode_type, schema

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((ROOT / "tests/records/vectors.json").read_text("utf-8"))
VECTORS = DOCUMENT["vectors"]
IDS = [f"{vector['record']}-{number % 3}" for number, vector in enumerate(VECTORS)]
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=IDS)


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


DOMAIN = Domain(int(DOCUMENT["domain"]["chainId"]), unhex(DOCUMENT["domain"]["verifyingContract"]))


Vector = dict[str, Any]


def record_of(vector: Vector) -> Any:
    """The record of a vector, built from its texts."""
    record = getattr(records, vector["record"])
    parse: dict[str, Callable[[str], object]] = {"string": str, "address": unhex, "bytes32": unhex}
    values = [parse.get(field.type, int)(vector["value"][field.label]) for field in schema(record)]
    return record(*values)


def eth_account_message(vector: Vector) -> Any:
    """The vector as eth-account takes it."""
    members = vector["type"].removesuffix(")").split("(")[1].split(",")
    types = [dict(zip(("type", "name"), member.split(" "), strict=True)) for member in members]
    value = {
        member["name"]: int(text) if "int" in member["type"] else text
        for member, text in zip(types, vector["value"].values(), strict=True)
    }
    domain = DOCUMENT["domain"] | {"chainId": int(DOCUMENT["domain"]["chainId"])}
    return encode_typed_data(domain, {vector["record"]: types}, value)


def test_every_signed_record_has_three_vectors() -> None:
    signed = {
        "Anchor",
        "Basket",
        "Gate",
        "Mandate",
        "Mint",
        "Order",
        "Post",
        "Reading",
        "Receipt",
        "Recovery",
        "Standing",
    }
    signed |= {"Line", "Statement", "Trade", "Acceptance", "Grant"}
    assert signed <= {*records.__all__}
    assert sorted(vector["record"] for vector in VECTORS) == sorted([*signed] * 3)


@each_vector
def test_hashes_are_those_of_eth_account(vector: Vector) -> None:
    message = eth_account_message(vector)
    assert message.header == unhex(DOCUMENT["domainSeparator"]) == DOMAIN.separator
    assert message.body == unhex(vector["structHash"]) == hash_struct(record_of(vector))
    assert keccak(b"\x19\x01" + message.header + message.body) == unhex(vector["digest"])
    assert unhex(vector["typeHash"]) == keccak(vector["type"].encode())


@each_vector
def test_types_are_those_of_the_records(vector: Vector) -> None:
    record = getattr(records, vector["record"])
    assert vector["type"] == encode_type(record)
    assert unhex(vector["typeHash"]) == type_hash(record)


@each_vector
def test_signatures_are_those_of_eth_account(vector: Vector) -> None:
    message = eth_account_message(vector)
    theirs = Account.sign_message(message, DOCUMENT["privateKey"])
    ours = sign(DOMAIN, record_of(vector), Key(unhex(DOCUMENT["privateKey"])))
    assert theirs.signature == ours.signature == unhex(vector["signature"])


@each_vector
def test_both_recover_the_signer(vector: Vector) -> None:
    signature, signer = unhex(vector["signature"]), unhex(DOCUMENT["signer"])
    assert recover(unhex(vector["digest"]), signature) == signer
    assert unhex(Account.recover_message(eth_account_message(vector), signature=signature)) == signer
    assert recover(DOMAIN.digest(hash_struct(record_of(vector))), signature) == signer


def test_generated_files_are_up_to_date() -> None:
    tool = [sys.executable, str(ROOT / "tools/generate_records.py"), "--check"]
    run = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
