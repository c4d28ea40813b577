"""Which Ethereum node a run settles on: the chain in its own folder, or one that is asked by its URL."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from commonwatt.community.model import Community
from commonwatt.errors import LedgerError
from commonwatt.exchange.outbox import is_ether, open_chain
from commonwatt.exchange.parties import Keys

if TYPE_CHECKING:
    from commonwatt.ledger.chain.embedded import EmbeddedChain
    from commonwatt.ledger.node import Node
    from commonwatt.ledger.remote import RemoteNode

_OPERATOR_WEI = 10**24
_FOUNDING = 1800
"""How long after the genesis a community may still be founded, when it took several attempts [s]."""


def open_node(
    ledger: str, path: Path | None, community: Community, keys: Keys, genesis: int, settlement: bytes | None
) -> EmbeddedChain | RemoteNode:
    """The node that `ledger` names: "embedded", or a URL.

    path : of the embedded chain's file; None = in memory
    genesis : when a new chain begins [unix s]
    settlement : the contract of a run that has begun; None = nothing is founded yet
    Raises LedgerError when the node cannot be used.
    """
    if ledger == "embedded":
        return open_chain(path, community, keys, genesis)
    return _remote(ledger, community, keys, genesis, settlement)


def open_to_read(ledger: str) -> AbstractContextManager[Node]:
    """A chain that is only asked: at a URL, or in a file. Raises LedgerError when there is none."""
    return _open(ledger, read_only=True)


def open_to_write(ledger: str) -> AbstractContextManager[Node]:
    """A chain for one's own transactions. A file must not be in use by the exchange meanwhile."""
    return _open(ledger, read_only=False)


def _open(ledger: str, *, read_only: bool) -> AbstractContextManager[Node]:
    if "://" in ledger:
        from commonwatt.ledger.remote import RemoteNode

        return closing(RemoteNode(ledger))
    from commonwatt.ledger.chain.embedded import EmbeddedChain

    if not Path(ledger).exists():
        raise LedgerError(f"There is no chain at {ledger}; name its file, or its node's URL, with --ledger.")
    return closing(EmbeddedChain(Path(ledger), read_only=read_only))


def _remote(url: str, community: Community, keys: Keys, genesis: int, settlement: bytes | None) -> RemoteNode:
    """A development node whose clock is set to the simulated one."""
    from commonwatt.ledger.remote import RemoteNode

    node = RemoteNode(url, depth=community.ledger.confirmations)
    try:
        if not node.settable:
            raise LedgerError(
                f"{url} goes by its own clock, so a simulated day cannot be settled there; a development node can "
                f"follow the day: anvil --no-mining --timestamp {genesis}"
            )
        node.drain(keys.operator.address)
        if settlement is not None:
            if not node.code(settlement):
                raise LedgerError(f"{url} does not hold this run's contracts; is it another chain, or begun anew?")
        else:
            if (now := node.head.timestamp) > genesis + _FOUNDING:
                raise LedgerError(
                    f"The last block at {url} is of {datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC, after this "
                    f"run begins; start the node anew: anvil --no-mining --timestamp {genesis}"
                )
            ether = sum(member.collateral for member in community.members) * 10**12 if is_ether(community) else 0
            node.fund(keys.operator.address, _OPERATOR_WEI + ether)
    except BaseException:
        node.close()
        raise
    return node
