"""The community's chain: a node, the contracts' client, transactions.

`node` says what a node offers, `embedded` is one inside the process (Python, SQLite), `client` speaks to the
contracts on any node. Nothing here decides anything about a market: amounts and roots come from above.
"""

from __future__ import annotations

import os

# Every trie node is hashed; pycryptodome, which eth-hash would choose first, takes four times as long.
# eth-hash reads this once, at its first hash.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")
