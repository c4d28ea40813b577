"""The blocks of a chain's file, an embedded one's or a node's, executed anew by the product and by py-evm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rlp
from oracle import Oracle, state_nodes
from twins import same, same_headers

from commonwatt.ledger.chain.evm import CHAIN_ID_KEY, GENESIS_KEY, Database, chain_class, decode
from commonwatt.ledger.chain.execution import Execution
from commonwatt.ledger.chain.reader import Reader
from commonwatt.ledger.chain.store import Store
from commonwatt.ledger.network.tree import encoded


def replayed(path: Path) -> int:
    """Execute all blocks of a file twice and compare every header and receipt; how many there are.

    The file is only read. Both begin with nothing but block 0 and its state. Raises Difference.
    """
    store = Store(path, read_only=True)
    try:
        kept = Reader(store, str(path))
        first = kept.header(0)
        nodes = state_nodes(Database(store).__getitem__, first.state_root)
        theirs = Oracle.copied(kept.chain_id, first, nodes)
        ours = Store(None)
        chain: Any = chain_class(kept.chain_id).from_genesis_header(Database(ours), first)
        for key, value in (nodes | {GENESIS_KEY: b"", CHAIN_ID_KEY: kept.chain_id.to_bytes(32, "big")}).items():
            ours.put(key, value)
        parent = first
        for number in range(1, kept.head.number + 1):
            header = kept.header(number)
            same_headers(header, theirs.add(encoded(kept, header)))
            same("receipts", kept.receipts(header), tuple(each.receipt for each in theirs.applied))
            run = Execution(
                chain, parent, timestamp=header.timestamp, coinbase=header.coinbase, extra_data=header.extra_data
            )
            for transaction in kept.transactions(header):
                run.apply(decode(transaction.encode()))
            same_headers(run.close(kept.withdrawals(header)).header, header)
            ours.put(header.hash, rlp.encode(header))
            ours.commit()
            parent = header
        return kept.head.number
    finally:
        store.close()
