"""Commands that show what a chain's file holds."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonwatt.cli.options import JsonPath, Whole, write_json
from commonwatt.errors import ConfigError, Finding
from commonwatt.plain import plain

_WIDTH = 160

if TYPE_CHECKING:
    from commonwatt.ledger.explorer import BlockView, Entry, TransactionView


def blocks(file: Path, *, last: Whole = 20, json_path: JsonPath = None) -> None:
    """List the last blocks of a chain, newest first.

    Example: commonwatt chain blocks chain.sqlite --last 10

    Parameters
    ----------
    file
        A node's chain, or the ledger of a run; the node may run meanwhile.
    last
        How many blocks.
    """
    from commonwatt.ledger import explorer

    _positive("last", last)
    with explorer.opened(file) as chain:
        found = explorer.blocks(chain, last)
    if _written(found, json_path):
        return
    _table(
        ["block", "time (UTC)", "hash", "sealer", "transactions", "gas", "fees [wei]"],
        [
            [
                str(each.number), utc(each.timestamp), _short(each.hash), _short(each.sealer),
                str(len(each.transactions)), f"{each.gas_used} of {each.gas_limit}", str(each.fees),
            ]
            for each in found
        ],
    )  # fmt: skip


def block(file: Path, which: str, *, json_path: JsonPath = None) -> None:
    """Show a block with its transactions.

    Example: commonwatt chain block chain.sqlite 28

    Parameters
    ----------
    file
        A node's chain, or the ledger of a run; the node may run meanwhile.
    which
        The block's number or hash.
    """
    from commonwatt.ledger import explorer

    if not re.fullmatch(r"[0-9]{1,15}|0x[0-9a-fA-F]{64}", which, re.ASCII):
        raise ConfigError("The request", [Finding("which", f"is the number or the hash of a block, not '{which}'")])
    with explorer.opened(file) as chain:
        found = explorer.block(chain, bytes.fromhex(which[2:]) if which.startswith("0x") else int(which))
        inside = explorer.transactions(chain, found.hash)
    if _written({"block": found, "transactions": inside}, json_path):
        return
    _print_block(found)
    if inside:
        _table(
            ["transaction", "from", "what", "gas", "fee [wei]"],
            [[_hex(e.hash), _short(e.sender), _what(e), str(e.gas_used), str(e.fee)] for e in inside],
        )


def tx(file: Path, hash: str, *, json_path: JsonPath = None) -> None:  # noqa: A002
    """Show a transaction: what it called, what came of it.

    Example: commonwatt chain tx chain.sqlite 0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060

    Parameters
    ----------
    file
        A node's chain, or the ledger of a run; the node may run meanwhile.
    hash
        The transaction's hash.
    """
    from commonwatt.ledger import explorer

    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", hash, re.ASCII):
        raise ConfigError("The request", [Finding("hash", f"is 0x and 64 digits, not '{hash}'")])
    with explorer.opened(file) as chain:
        found = explorer.transaction(chain, bytes.fromhex(hash[2:]))
    if not _written(found, json_path):
        _print_transaction(found)


def account(file: Path, who: str, *, last: Whole = 20, json_path: JsonPath = None) -> None:
    """Show an account with its last transactions, newest first.

    Example: commonwatt chain account chain.sqlite 3

    Parameters
    ----------
    file
        A node's chain, or the ledger of a run; the node may run meanwhile.
    who
        An address, or a member's number.
    last
        How many transactions.
    """
    from commonwatt.ledger import explorer

    _positive("last", last)
    if not re.fullmatch(r"[0-9]{1,9}|0x[0-9a-fA-F]{40}", who, re.ASCII):
        raise ConfigError("The request", [Finding("who", f"is an address or a member's number, not '{who}'")])
    with explorer.opened(file) as chain:
        address = bytes.fromhex(who[2:]) if who.startswith("0x") else explorer.member(chain, int(who))
        found = explorer.account(chain, address, last)
    if _written(found, json_path):
        return
    _facts(
        {
            "account": _hex(found.address),
            "balance": f"{found.balance} wei",
            "sent": f"{found.nonce} transactions",
            **({"code": f"{found.code_bytes} bytes"} if found.code_bytes else {}),
            **{f"member {each.number} of": _hex(each.community) for each in found.memberships},
        }
    )
    if found.history:
        worth, _, symbol = found.lane.partition(" ")
        balance = f"balance [{symbol or 'lane units'}]"
        entries = [_entry(each, Decimal(worth or 1)) for each in found.history]
        _table(["block", "time (UTC)", "transaction", "what", balance], entries)


def _entry(entry: Entry, worth: Decimal) -> list[str]:
    view = entry.transaction
    change = "" if entry.lanes is None else f"{entry.lanes * worth:+f}"
    return [str(view.block), utc(view.timestamp), _hex(view.hash), _what(view), change]


def _print_block(found: BlockView) -> None:
    _facts(
        {
            "block": str(found.number),
            "hash": _hex(found.hash),
            "parent": _hex(found.parent),
            "time (UTC)": utc(found.timestamp),
            "sealer": _hex(found.sealer),
            "size": f"{found.size} bytes",
            "gas": f"{found.gas_used} of {found.gas_limit}, base fee {found.base_fee} wei",
            "fees": f"{found.fees} wei",
            **({"reward": f"{found.reward} wei"} if found.reward else {}),
            "state root": _hex(found.state_root),
        }
    )


def _print_transaction(found: TransactionView) -> None:
    _facts(
        {
            "transaction": _hex(found.hash),
            "block": f"{found.block}, index {found.index}, {utc(found.timestamp)} UTC",
            "from": f"{_hex(found.sender)}, nonce {found.nonce}",
            "to": _hex(found.to) if found.to else f"{_hex(found.created)} (created)",
            "value": f"{found.value} wei",
            "call": str(found.call or ""),
            "result": "done" if found.success else f"refused: {found.reason}",
            "gas": f"{found.gas_used} of {found.gas}",
            "fee": f"{found.fee} wei, {found.gas_price} per gas",
            **{f"event {number}": _event(each) for number, each in enumerate(found.events)},
        }
    )


def _event(event: Any) -> str:
    from commonwatt.ledger.client.abi import readable

    if not event.name:
        return f"of {_hex(event.log.address)}, of a contract that is not known here"
    return f"{event.name}({', '.join(f'{key}={readable(value)}' for key, value in event.arguments.items())})"


def _what(view: TransactionView) -> str:
    if view.call and view.call.function:
        what = view.call.function
    elif view.created:
        what = f"create {view.call.contract if view.call else _short(view.created)}"
    else:
        what = f"{view.value} wei to {_short(view.to)}" if view.value else f"call {_short(view.to)}"
    names = ", ".join(dict.fromkeys(event.name for event in view.events if event.name))
    told = f" → {names}" if names else ""
    return f"{what}{told}" if view.success else f"{what}, refused: {view.reason}"


def _written(found: Any, path: str | None) -> bool:
    """Write JSON when it is asked for; whether stdout is taken by it."""
    if path:
        from commonwatt.ledger.explorer import as_json

        write_json(as_json(found), path)
    return path == "-"


def _table(titles: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for title in titles:
        table.add_column(plain(title), overflow="fold")
    for row in rows:
        table.add_row(*map(plain, row))
    # What is not a terminal has no width; a line here has one.
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDTH).print(table)


def _facts(facts: dict[str, str]) -> None:
    width = max(map(len, facts))
    for name, value in facts.items():
        if value:
            print(f"{name:<{width}}  {plain(value, len(value))}")


def _positive(name: str, value: int) -> None:
    if not 1 <= value <= 1_000_000:
        raise ConfigError("The request", [Finding(name, f"is from 1 to 1000000, not {value}")])


def utc(seconds: int) -> str:
    """A time [unix s] as people write it."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _short(value: bytes) -> str:
    return f"0x{value.hex()[:8]}…"


def _hex(value: bytes) -> str:
    from commonwatt.ledger.client.abi import readable

    return str(readable(value))
