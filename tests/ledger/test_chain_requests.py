"""What `commonwatt chain` is asked for and what it shows: whole numbers, bounds, dates."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from commonwatt.community.model import Community
from commonwatt.exchange.founding import chain_id
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.network.genesis import MOST_CHAIN_ID, read
from commonwatt.proof import keccak

Asked = Callable[..., str]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("init", "NET", "--ether", "1.5"), "ether: is a whole number, not '1.5'"),
        (("init", "NET", "--ether", "1e3"), "ether: is a whole number, not '1e3'"),
        (("init", "NET", "--period", "4.999"), "period: is a whole number, not '4.999'"),
        (("init", "NET", "--nodes", "٣"), "nodes: is a whole number, not '٣'"),
        (("init", "NET", "--chain-id", "20_24"), "chain-id: is a whole number, not '20_24'"),
        (("init", "NET", "--chain-id", "0x7e8"), "chain-id: is a whole number, not '0x7e8'"),
        (("init", "NET", "--gas-limit", "1e7"), "gas-limit: is a whole number, not '1e7'"),
        (("init", "NET", "--gas-limit", ""), "gas-limit: is a whole number, not ''"),
        (("tip", "KEY", "--number", "0.0"), "number: is a whole number, not '0.0'"),
        (("tip", "KEY", "--secrets", "+5"), "secrets: is a whole number, not '+5'"),
        (("node", "NET", "--key", "KEY", "--hash-chains", "1.2"), "hash-chains: is a whole number, not '1.2'"),
        (("blocks", "NET", "--last", "2.5"), "last: is a whole number, not '2.5'"),
        (("init", "NET", "--chain-id", MOST_CHAIN_ID + 1), "must be at most 4503599627370476, but is 4503599627370477"),
        (("init", "NET", "--chain-id", 2**53 - 1), "must be at most 4503599627370476, but is 9007199254740991"),
        (("init", "NET", "--chain-id", 0), "chain_id: must be at least 1, but is 0"),
        (("init", "NET", "--gas-limit", 1_000_000_001), "gas_limit: must be at most 1000000000, but is 1000000001"),
        (("init", "NET", "--ether", -1), "must be an amount of wei in quotes"),
    ],
)
def test_numbers_are_whole_and_bounds_are_shown_in_full(
    tmp_path: Path, asked: Asked, arguments: tuple[object, ...], told: str
) -> None:
    places = {"NET": tmp_path / "net", "KEY": tmp_path / "key"}
    assert told in asked(*(places.get(str(each), each) for each in arguments), code=2)
    assert not (tmp_path / "net").exists()


def test_the_highest_chain_id_is_taken_and_the_base_fee_shown(tmp_path: Path, asked: Asked) -> None:
    asked("init", tmp_path / "net", "--nodes", 1, "--chain-id", MOST_CHAIN_ID, "--ether", 2)
    document = json.loads((tmp_path / "net" / "genesis.json").read_text("utf-8"))
    assert document["base_fee"] == 7
    agreed = read(tmp_path / "net" / "genesis.json")
    assert (agreed.chain.chain_id, list(agreed.chain.balances.values())) == (MOST_CHAIN_ID, [2 * 10**18])


def test_the_time_of_the_last_block_is_shown_as_a_date(
    path: Path, open_chain: Callable[..., EmbeddedChain], asked: Asked
) -> None:
    with open_chain() as chain:
        chain.seal(1_795_927_601)
    assert asked("status", path).rstrip().endswith(", 2026-11-29 04:46:41 UTC")


@pytest.mark.parametrize("digest", [bytes(32), b"\xff" * 32, *(keccak(bytes([number])) for number in range(20))])
def test_a_community_s_own_chain_has_an_id_that_wallets_take(digest: bytes) -> None:
    community = cast("Community", SimpleNamespace(digest=digest))
    assert 0x436F00000000 <= chain_id(community) < 0x437000000000 < MOST_CHAIN_ID
    assert float(chain_id(community)) == chain_id(community)
