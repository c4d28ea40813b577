"""Entries of the chain's file that are derived from its blocks: damaged ones end in a sentence, none is believed."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import rlp
from eth.db.schema import SchemaV1
from eth_typing import BlockNumber, Hash32
from ledger_cases import GENESIS, transfer

from commonwatt.errors import LedgerError
from commonwatt.ledger import explorer
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.chain.evm import CHAIN_ID_KEY
from commonwatt.proof import keccak

BLOCK_2 = SchemaV1.make_block_number_to_hash_lookup_key(BlockNumber(2))
HEAD = SchemaV1.make_canonical_head_hash_lookup_key()
FIRST, SECOND = (Hash32(keccak(transfer(nonce))) for nonce in (0, 1))
FIRST_PLACE, SECOND_PLACE = map(SchemaV1.make_transaction_hash_to_block_lookup_key, (FIRST, SECOND))


@pytest.fixture
def chain(path: Path, open_chain: Callable[..., EmbeddedChain]) -> Path:
    """A file of four blocks with a transfer each."""
    with open_chain() as chain:
        for nonce in range(4):
            chain.submit(transfer(nonce))
            chain.seal(2000 + nonce)
    return path


def rewrite(path: Path, key: bytes, value: bytes | None) -> None:
    database = sqlite3.connect(path)
    with database:
        if value is None:
            changed = database.execute("DELETE FROM entries WHERE key = ?", (key,))
        else:
            changed = database.execute("UPDATE entries SET value = ? WHERE key = ?", (value, key))
        assert changed.rowcount == 1
    database.close()


def value(path: Path, key: bytes) -> bytes:
    database = sqlite3.connect(path)
    (found,) = database.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
    database.close()
    return bytes(found)


def everything(path: Path) -> None:
    """All look-ups that there are."""
    with explorer.opened(path) as reader:
        for number in range(5):
            block = explorer.block(reader, number)
            assert block.number == number
            for hash_ in block.transactions:
                assert explorer.transaction(reader, hash_).block == number
                receipt, transaction = reader.receipt(hash_), reader.transaction(hash_)
                assert receipt
                assert transaction
                assert (receipt.block, transaction.hash) == (number, hash_)
        for hash_ in (FIRST, SECOND):
            explorer.transaction(reader, hash_)
        explorer.account(reader, b"\x11" * 20)
        reader.logs(0, 4)


NOWHERE = b"\x55" * 32


@pytest.mark.parametrize(
    ("key", "damaged"),
    [
        (BLOCK_2, b""),
        (BLOCK_2, b"\x00"),
        (BLOCK_2, b"\xa0" + NOWHERE),
        (BLOCK_2, rlp.encode([NOWHERE])),
        (BLOCK_2, None),
        (HEAD, b""),
        (HEAD, NOWHERE),
        (HEAD, b"\x01" * 31),
        (HEAD, None),
        (FIRST_PLACE, b""),
        (FIRST_PLACE, b"\xff"),
        (FIRST_PLACE, rlp.encode([b"\x01"])),
        (FIRST_PLACE, rlp.encode([b"\x01", b"\x07"])),
        (FIRST_PLACE, rlp.encode([b"\x02", b""])),
        (FIRST_PLACE, rlp.encode([b"\x63", b""])),
        (FIRST_PLACE, rlp.encode([b"\x01" * 40, b""])),
        (FIRST_PLACE, None),
        (SECOND_PLACE, rlp.encode([b"\x01", b""])),
    ],
)
def test_a_damaged_entry_ends_in_a_sentence(chain: Path, key: bytes, damaged: bytes | None) -> None:
    everything(chain)
    rewrite(chain, key, damaged)
    with pytest.raises(LedgerError) as told:
        everything(chain)
    assert "\n" not in str(told.value)


def test_a_block_is_not_taken_for_another(chain: Path) -> None:
    rewrite(chain, BLOCK_2, value(chain, SchemaV1.make_block_number_to_hash_lookup_key(BlockNumber(3))))
    with pytest.raises(LedgerError, match="is damaged: its index does not lead to block 2"):
        everything(chain)


def test_a_transaction_is_not_taken_for_another(chain: Path) -> None:
    rewrite(chain, SECOND_PLACE, value(chain, FIRST_PLACE))
    with explorer.opened(chain) as reader, pytest.raises(LedgerError, match="its index does not lead to transaction"):
        reader.receipt(SECOND)


def test_the_number_that_transactions_are_signed_for_is_that_of_the_genesis(chain: Path) -> None:
    rewrite(chain, CHAIN_ID_KEY, (1).to_bytes(32, "big"))
    with pytest.raises(LedgerError, match="does not have the chain id of its genesis"):
        EmbeddedChain(chain, GENESIS)


def test_random_damage_of_derived_entries_never_ends_in_a_traceback(chain: Path) -> None:
    rng = random.Random(11)  # noqa: S311
    whole = chain.read_bytes()
    for key in (BLOCK_2, HEAD, FIRST_PLACE, SECOND_PLACE):
        for _ in range(40):
            content = bytearray(value(chain, key))
            for _ in range(rng.randrange(1, 4)):
                content[rng.randrange(len(content))] = rng.randrange(256)
            rewrite(chain, key, bytes(content[: rng.randrange(1, len(content) + 1)]))
            with suppress(LedgerError):
                everything(chain)
            chain.write_bytes(whole)
