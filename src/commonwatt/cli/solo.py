"""The command of a chain that one machine runs alone. Every heavy import happens inside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from commonwatt.cli.options import Whole, one_address
from commonwatt.errors import ConfigError, Finding, LedgerError, OutputError
from commonwatt.plain import plain

if TYPE_CHECKING:
    from commonwatt.ledger.chain.evm import Genesis

LAST_PORT: Final = 65_535


def run(
    folder: Path,
    *,
    port: Whole = 8545,
    community: Path | None = None,
    operator: str = "",
    begin: Whole | None = None,
    settable: bool = False,
    name: Annotated[list[str] | None, Parameter(negative="")] = None,
    origin: Annotated[list[str] | None, Parameter(negative="")] = None,
    attached: Annotated[bool, Parameter(show=False)] = False,
    new: Annotated[str, Parameter(show=False)] = "",
) -> None:
    """Run a community's own chain on one machine: a block when transactions wait, none when nothing does.

    Example: commonwatt chain run village --community village.toml --operator 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed

    Parameters
    ----------
    folder
        Where the chain is, in ledger.sqlite; made when it is not there.
    port
        Where programs on this machine are answered; 0 lets the system choose.
    community
        The community's file, for a chain that is not there yet.
    operator
        Address that holds all ether of a new chain: the operator that founds the community.
    begin
        Time of a new chain's first block, in unix seconds; now unless told.
    settable
        For simulated days: no block comes by itself, and who has the token in the folder's operator.token says at the
        door /operator when one does, and of which time.
    name
        A name by which wallets call the node, beside localhost; repeatable.
    origin
        A page that may ask from a browser, such as https://example.org; repeatable.
    attached
        End with the program that holds the other end of the standard input.
    new
        What the community's file would say: the chain's number, and what its operator has at first, NUMBER:WEI.
    """
    needs_http()
    from commonwatt.ledger.network import solo_process
    from commonwatt.ledger.opening import LEDGER_FILE

    if not 0 <= port <= LAST_PORT:
        raise ConfigError("The request", [Finding("port", f"is from 0 to {LAST_PORT}, not {port}")])
    if (community is None and not new) != (not operator):
        raise ConfigError("The request", [Finding("community", "and operator belong together: both, or neither")])
    genesis = _genesis(folder, community, new, operator, begin) if operator else None
    solo_process.run(
        solo_process.Solo(
            folder / LEDGER_FILE, port, genesis, settable=settable, attached=attached, names=tuple(name or ()),
            origins=tuple(origin or ()),
        ),
        lambda line: print(plain(line), flush=True),
    )  # fmt: skip


def _genesis(folder: Path, community: Path | None, new: str, operator: str, begin: int | None) -> Genesis:
    """What the community's chain begins with; the folder is made for it."""
    import time

    from commonwatt.ledger.chain.evm import Genesis

    since, account = int(time.time()) if begin is None else begin, one_address("operator", operator)
    if community is None:
        number, wei = map(int, new.split(":"))
        genesis = Genesis(number, {account: wei}, since)
    else:
        from commonwatt.exchange.founding import genesis_of
        from commonwatt.exchange.loading import load

        genesis = genesis_of(load(community), account, since)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made: {error.strerror}.") from None
    return genesis


def needs_http() -> None:
    """Raises LedgerError where the packages of a node are not installed."""
    from importlib.util import find_spec

    if not all(map(find_spec, ("httpx", "starlette", "uvicorn", "websockets"))):
        raise LedgerError('A node needs further packages; install them with: pip install "commonwatt[node]"')
