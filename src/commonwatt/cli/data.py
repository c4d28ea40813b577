"""The commands below `commonwatt data`. Every heavy import happens inside the command that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from commonwatt.cli.options import JsonPath, say, span, write_json
from commonwatt.errors import ConfigError, Finding


def fill(
    files: Annotated[list[Path], Parameter(negative="")],
    *,
    how: Literal["interpolate", "last-week", "zero"],
    most: str,
    out: Path,
    timezone: str = "Europe/Vienna",
    slot: str = "15min",
    labels: Annotated[Literal["begin", "end"] | None, Parameter(show_default=False)] = None,
    json_path: JsonPath = None,
) -> None:
    """Fill gaps of metering points into a new file, which marks each value that was filled.

    Example: commonwatt data fill october.xlsx --how interpolate --most 2h --out october-filled.csv

    Parameters
    ----------
    files
        Exports of grid companies and portals, .xlsx or CSV.
    how
        interpolate: on a straight line; last-week: as at the same time a week before; zero: with nothing.
    most
        The longest gap that is filled, such as 2h; longer ones stay and are told.
    out
        The new file; one that is there already stays.
    timezone
        Of times that name no zone.
    slot
        Length of the slots.
    labels
        What a time is of its interval, in files that do not say it.
    """
    from commonwatt.data.reports import Quality, filled, gap_lines, read_all, write_filled

    seconds, longest = span("--slot", slot), span("--most", most)
    if not 60 <= seconds <= 3600 or 3600 % seconds:
        raise ConfigError(
            "The request", [Finding("--slot", f"is one minute, or more that divides the hour, not {slot}")]
        )
    before = read_all(files, seconds, timezone, labels=labels)
    after = filled(before, how, longest)
    write_filled(after, out)
    counts = {
        f"{point} {quantity}": int(
            ((energy.quality[place] == Quality.FILLED) & ~before.energy[quantity].there[place]).sum()
        )
        for place, point in enumerate(after.points)
        for quantity, energy in after.energy.items()
    }
    left = after.gaps()
    if json_path:
        gaps = [{"point": gap.point, "quantity": gap.quantity, "start": gap.start, "slots": gap.slots} for gap in left]
        write_json({"filled": {name: count for name, count in counts.items() if count}, "gaps": gaps}, json_path)
    if json_path != "-":
        for name, count in counts.items():
            if count:
                say(f"{name}: {count} slots filled")
        for line in gap_lines(left, after.zone):
            say(line)
        say(f"{sum(counts.values())} values filled in {out}.")
