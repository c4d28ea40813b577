"""The commands of whoever runs a community's box: what is kept of it. Heavy imports are inside."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from commonwatt.cli.options import JsonPath, say, write_json

if TYPE_CHECKING:
    from commonwatt.exchange.backup import Backup


def backup(folder: Path, *, to: Path, with_keys: bool = False, json_path: JsonPath = None) -> None:
    """Save an exchange's folder while the exchange goes on: store and chain as they were at one instant.

    Example: commonwatt community backup village --to village-2026-06-15.tar.gz

    Parameters
    ----------
    folder
        The folder of the exchange.
    to
        The backup, a .tar.gz that only you can read; there must be no file yet.
    with_keys
        Save the keys too: whoever has them can sign for the community, so such a backup belongs into a safe.
    """
    import time

    from commonwatt.exchange.backup import save

    made = save(folder, to, int(time.time()), with_keys=with_keys)
    _tell(f"{folder} is saved in {to}", made, json_path)
    if made.missing and json_path != "-":
        say(f"Keys are not in it: {', '.join(made.missing)}. Keep them elsewhere; nothing goes on without them.")


def restore(file: Path, *, folder: Annotated[Path, Parameter(name="--dir")], json_path: JsonPath = None) -> None:
    """Make an exchange's folder from a backup; what came after it is lost.

    Example: commonwatt community restore village-2026-06-15.tar.gz --dir village

    Parameters
    ----------
    file
        The backup.
    folder
        Where the exchange goes on from; must be empty, or not there yet.
    """
    from commonwatt.exchange.backup import restore as run

    made = run(file, folder)
    _tell(f"{folder} is restored", made, json_path)
    if made.missing and json_path != "-":
        say(f"Put the keys back in their places: {', '.join(made.missing)}.")


def doctor(place: Path, *, json_path: JsonPath = None) -> None:
    """Look at all that a box needs to serve a community, and say what to do where something is amiss.

    Ends with exit code 1 when something is.

    Example: commonwatt doctor village

    Parameters
    ----------
    place
        The folder of the exchange with its community.toml, or a community file with the exchange's files beside it.
    """
    from datetime import UTC, datetime

    from commonwatt.service.doctor import State, examine, ntp_synchronised

    checks = []
    for check in examine(place, datetime.now(UTC), ntp_synchronised):
        checks.append(check)
        if json_path != "-":
            say(check)
    if json_path:
        write_json([asdict(check) for check in checks], json_path)
    if any(check.state is State.BAD for check in checks):
        raise SystemExit(1)


def _tell(what: str, made: Backup, json_path: JsonPath) -> None:
    from commonwatt.exchange.backup import when

    if json_path:
        figures: dict[str, Any] = {"at": made.at, "block": made.block, "files": made.files, "missing": made.missing}
        write_json(figures, json_path)
    if json_path != "-":
        chain = "its chain is elsewhere" if made.block is None else f"with its chain up to block {made.block}"
        say(f"{what}, as it was at {when(made)}, {chain}.")
