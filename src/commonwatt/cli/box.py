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
        say(f"Keys are not in it: {', '.join(made.missing)}. Keep them elsewhere.")


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


def init(
    folder: Path,
    *,
    name: str = "Our community",
    currency: str = "EUR",
    timezone: str = "Europe/Berlin",
    host: str | None = None,
    json_path: JsonPath = None,
) -> None:
    """Make the folder of a box: a community's file to edit, keys, certificates, and files for Mosquitto and systemd.

    It asks nothing, and changes no file that is there; but a certificate that ends soon is renewed.

    Example: commonwatt init village --name "Sun Street" --host box.local

    Parameters
    ----------
    folder
        The folder, for the exchange alone.
    name
        What the community is called.
    currency
        Its money.
    timezone
        Where it is, an IANA name.
    host
        Name or address by which members and meters reach the box; this machine's name in the local network unless told.
    """
    import shutil
    import socket
    import sys
    from datetime import UTC, datetime

    from commonwatt.service.certificates import qr_text
    from commonwatt.service.initial import Wanted, begin, usual_user

    own = socket.gethostname().lower()
    program = shutil.which("commonwatt") or Path(sys.executable).with_name("commonwatt")
    wanted = Wanted(
        name, currency, timezone, host or (own if "." in own else f"{own}.local"), Path(program), usual_user()
    )
    begun = begin(folder, wanted, datetime.now(UTC))
    if json_path:
        figures = {
            "made": [str(path) for path in begun.made],
            "left": [str(path) for path in begun.left],
            "operator": f"0x{begun.operator.hex()}",
            "qr": begun.qr,
            "without": begun.without,
        }
        write_json(figures, json_path)
    if json_path == "-":
        return
    for path in begun.left:
        say(f"{path} was there, and is as it was.")
    for path in begun.made:
        say(f"{path} is made.")
    for sentence in begun.without:
        say(f"Not made: {sentence}.")
    print(qr_text(begun.qr))
    for line in _next(folder, wanted.user):
        say(line)


def _next(folder: Path, user: str) -> list[str]:
    """What to do after `init`."""
    home = folder.resolve()
    lines = [
        "The QR code says where the box is, and whom phones and meters may believe: hang it beside the box.",
        f"1. Keep {home}/operator.key and {home}/tls/authority.key where no fire reaches them, too.",
        f"2. Write prices and members into {home}/community.toml; then: commonwatt check {home}/community.toml",
        f"3. Look whether all is there: commonwatt doctor {home}",
    ]
    service = f"cp {home}/commonwatt.service /etc/systemd/system/ && systemctl enable --now commonwatt"
    if user == "commonwatt":
        service = f"useradd --system commonwatt; chown -R commonwatt: {home}; {service}"
    return [*lines, f"4. Start it: {service}"]


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

    from commonwatt.service.clock import ntp_synchronised
    from commonwatt.service.doctor import State, examine

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
