"""The command `commonwatt check`. Heavy imports are inside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from commonwatt.cli.options import JsonPath, Whole, say, write_json
from commonwatt.errors import CommonwattError

if TYPE_CHECKING:
    from commonwatt.data.contents import Contents


def check(file: Path, *, start: str | None = None, days: Whole = 1, json_path: JsonPath = None) -> None:
    """Check a community file, and say what is in the files that it names; print every finding.

    Mechanisms of your own clear a few made-up slots, so that a broken promise shows.

    Example: commonwatt check examples/village.toml

    Parameters
    ----------
    file
        The community file.
    start
        First local day of a simulation; its files need to be good for these days only.
    days
        Number of local days from start.
    """
    from commonwatt.exchange.checking import contents
    from commonwatt.exchange.loading import load
    from commonwatt.exchange.trial import tried
    from commonwatt.simulation.api import check as found

    community = load(file)
    problem: CommonwattError | None = None
    files: list[Contents] = []
    own: list[str] = []
    try:
        for each in contents(community, community.folder):
            files.append(each)
            if json_path != "-":
                say(f"{each}.")
        found(community, start, days)
        for name in tried(community, community.folder):
            own.append(name)
            if json_path != "-":
                say(f"market.{name} clears made-up energy and keeps its promises.")
    except CommonwattError as error:
        problem = error
    if json_path:
        figures = {
            "file": str(file),
            "name": community.name,
            "members": len(community.members),
            "with_pv": sum(member.pv is not None for member in community.members),
            "with_battery": sum(member.battery is not None for member in community.members),
            "market": [{"stage": stage.name, "mechanism": stage.mechanism} for stage in community.market],
            "ledger": community.ledger.kind,
            "digest": f"0x{community.digest.hex()}",
            "files": [each.as_json() for each in files],
            "tried": own,
            "problem": None if problem is None else str(problem),
        }
        write_json(figures, json_path)
    if problem:
        raise problem
    if json_path != "-":
        say(f"{file} is fine: {community.name}, {community.outline}.")
