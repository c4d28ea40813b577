"""The commands for a member alone: check a bill, object to a post, take money out. Heavy imports are inside."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from commonwatt.cli.options import JsonPath, Whole, write_json
from commonwatt.errors import ConfigError, Finding


def verify(bill: Path, *, ledger: str | None = None) -> None:
    """Check a bill against the chain alone; fails when a single digit was changed.

    Example: commonwatt verify commonwatt-demo/bills/home-05.json

    Parameters
    ----------
    bill
        The bill, as written by simulate --out.
    ledger
        The chain's file, or the URL of a node; the default is ledger.sqlite in the folder above the bill's.
    """
    from commonwatt.member.verify import open_and_verify
    from commonwatt.units import decimal_text

    found = open_and_verify(bill, ledger or _beside(bill))
    owes = "owes" if found.total >= 0 else "receives"
    print(
        f"{bill.name} is proved by the chain: {found.member} {owes} {decimal_text(abs(found.total), 2)} "
        f"{found.currency}; {found.lines} lines in {found.slots} slots lead to settled posts."
    )


def challenge(
    document: Path,
    *,
    ledger: str | None = None,
    key: Path | None = None,
    slot: Whole | None = None,
    json_path: JsonPath = None,
) -> None:
    """Look for faults in what was posted about a member and is not final yet; with its key, have the posts deleted.

    Example: commonwatt challenge my-slots.json --ledger http://127.0.0.1:8545 --key my.key

    Parameters
    ----------
    document
        The member's bill, or the excerpt of a slot that the exchange gives out before.
    ledger
        The chain's file, or the URL of a node; the default is ledger.sqlite in the folder above the document's.
    key
        File of the member's key, as made by `commonwatt chain key`. Without it nothing is sent.
    slot
        Start of one slot in unix seconds. One that the document does not hold is demanded on the chain.
    """
    from commonwatt.ledger.network.setup import read_key
    from commonwatt.member.challenge import challenge as look

    looked = look(document, ledger or _beside(document), read_key(key) if key else None, slot)
    if json_path:
        write_json({**asdict(looked), "objections": [asdict(each) for each in looked.objections]}, json_path)
    if json_path == "-":
        return
    for each in looked.objections:
        gas = f" ({each.gas} gas)" if each.gas else ""
        print(f"{each.says}. {each.function}: {each.sent or 'not sent; name your key with --key'}{gas}.")
    if not looked.objections:
        print(f"Nothing to object to: {looked.open_} slots not final, {looked.final} final.")


def withdraw(document: Path, amount: str | None = None, *, key: Path, ledger: str | None = None) -> None:
    """Ask for some of a member's balance back; without an amount, claim what was asked for before.

    Example: commonwatt withdraw commonwatt-demo/bills/home-05.json 12.50 --key my.key

    Parameters
    ----------
    document
        A bill of the member, which says where the contracts are.
    amount
        In the community's currency.
    key
        File of the member's key, as made by `commonwatt chain key`.
    ledger
        The chain's file, or the URL of a node; the default is ledger.sqlite in the folder above the document's.
    """
    from commonwatt.ledger.network.setup import read_key
    from commonwatt.member.challenge import withdraw as take
    from commonwatt.units import micro

    try:
        lanes = None if amount is None else micro(amount, least=1)
    except ValueError as error:
        raise ConfigError("The request", [Finding("amount", str(error))]) from None
    receipt = take(document, ledger or _beside(document), read_key(key), lanes)
    done = "Paid out" if lanes is None else "Asked for; claim it when the posts before it are final"
    print(f"{done}: block {receipt.block}, {receipt.gas_used} gas.")


def _beside(document: Path) -> str:
    return str(document.resolve().parent.parent / "ledger.sqlite")
