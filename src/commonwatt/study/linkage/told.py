"""The study of pseudonyms as JSON and as a table."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean
from typing import TYPE_CHECKING, Any

from commonwatt.study.linkage.attack import KEYS
from commonwatt.study.linkage.study import DAYS, KNOWN, LEDGERS, Attack, Study

if TYPE_CHECKING:
    from rich.console import RenderableType

HEAD = ("ledger", "attacker knows", *(f"{keys} keys" for keys in KEYS))


def as_json(study: Study) -> dict[str, Any]:
    """Everything; shares of entries from 0 to 1, `found` by seed."""
    return {
        "homes": study.homes,
        "days": DAYS,
        "chance": study.chance,
        "attacks": [
            {"ledger": each.ledger, "keys": each.keys, "known_days": each.known, "share": mean(each.found),
             "found": list(each.found)}
            for each in study.attacks
        ],
    }  # fmt: skip


def rows(study: Study) -> Iterator[tuple[str, ...]]:
    """The table under `HEAD`: of each attack the mean share of entries over all seeds, the least and the largest."""
    for ledger in LEDGERS:
        for known in (*KNOWN, None):
            yield ledger, _known(known), *(_share(study.attack(ledger, keys, known)) for keys in KEYS)


def summary(study: Study) -> str:
    """What the table is of, and what chance is."""
    seeds = len(study.attacks[0].found)
    return (
        f"Habits: share of all entries of {DAYS} days that are put down to the right one of {study.homes} homes; "
        f"{100 * study.chance:.1f} % by chance. One entry: share of a home's entries that are known with it. "
        f"Mean of {seeds} {'village' if seeds == 1 else 'villages'}, least to largest."
    )


def render(study: Study) -> RenderableType:
    """The table on a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in HEAD:
        table.add_column(name, justify="right" if name.endswith("keys") else "left")
    for row in rows(study):
        table.add_row(*row)
    return Group(table, Text(summary(study)))


def _known(known: int | None) -> str:
    if known is None:
        return "one entry"
    return "habits of a day" if known == 1 else f"habits of {known} days"


def _share(attack: Attack) -> str:
    found = [100 * share for share in attack.found]
    return f"{mean(found):.1f} % ({min(found):.1f} to {max(found):.1f})"
