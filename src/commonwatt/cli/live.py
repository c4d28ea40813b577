"""The command that serves a living exchange. Every heavy import happens inside it."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from commonwatt.cli.options import JsonPath, Whole, addresses, local_day, progress, write_json
from commonwatt.cli.solo import LAST_PORT
from commonwatt.errors import ConfigError, Finding
from commonwatt.plain import plain
from commonwatt.service.packages import require

app = App(name="live", help="A living exchange, played.")
_FASTEST = 10_000.0
_LONGEST = 366
_MOST_KILLS = 10_000


def serve(
    file: Path,
    *,
    out: Annotated[Path, Parameter(name="--dir")],
    host: str | None = None,
    port: Whole | None = None,
    key: Annotated[list[Path] | None, Parameter(negative="")] = None,
    operator: Annotated[list[str] | None, Parameter(negative="")] = None,
    database: str | None = None,
    start: str | None = None,
    demo_clock: float | None = None,
    days: Whole | None = None,
    wait_for_homes: bool = False,
    trust_clock: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Serve a community: meters report, orders come in, slots clear, settle and are billed.

    Example: commonwatt serve examples/village.toml --dir village --port 8080 --demo-clock 60 --start 2026-06-15

    Parameters
    ----------
    file
        The community file.
    out
        Folder of the exchange, which goes on with what it holds.
    host
        Address of an interface where members are answered; what [live] says unless told.
    port
        Port where they are; 0 lets the system choose.
    key
        File with an operator's key, one of each operator in the file's order; operator.key in --dir unless told.
    operator
        Address of an operator whose key is elsewhere, and who signs there with `commonwatt cosign`; repeatable.
    database
        PostgreSQL server that has the store, postgresql://USER@HOST/DATABASE; what [live] says unless told. Its
        password belongs in ~/.pgpass: all on this machine can read what commands are given.
    start
        First local day that is traded; today unless told.
    demo_clock
        Play the days from --start on with a simulation's keys, so many seconds of the market in one.
    days
        Of a demo: how many local days.
    wait_for_homes
        Of a demo: time stands until all homes have said what they have to.
    trust_clock
        Say that this machine's clock is right, where neither NTP nor a hardware clock vouches for it.
    """
    require()
    import asyncio
    import logging

    from commonwatt.community.living import endpoint
    from commonwatt.exchange.loading import load
    from commonwatt.proof import checksum_address
    from commonwatt.service.logs import set_up
    from commonwatt.service.opening import Demo
    from commonwatt.service.serving import Setting, serve

    findings = []
    if port is not None and not 0 <= port <= LAST_PORT:
        findings.append(Finding("port", f"is from 0 to {LAST_PORT}, not {port}"))
    if demo_clock is not None and not 1 <= demo_clock <= _FASTEST:
        findings.append(Finding("demo-clock", f"is from 1 to {_FASTEST:.0f}, not {demo_clock:g}"))
    if demo_clock is not None and start is None:
        findings.append(Finding("start", "is needed by a demo, such as 2026-06-15"))
    if demo_clock is None and (days is not None or wait_for_homes):
        findings.append(Finding("days", "and wait-for-homes are for a demo alone; add --demo-clock"))
    if days is not None and not 1 <= days <= _LONGEST:
        findings.append(Finding("days", f"is from 1 to {_LONGEST}, not {days}"))
    if findings:
        raise ConfigError("The request", findings)
    first: date | None = local_day("start", start) if start else None
    demo = Demo(first, demo_clock, days, wait_for_homes) if demo_clock is not None and first else None
    loaded = load(file)
    if database is not None:
        loaded = loaded.with_({"live.database": database})
    usual_host, usual_port = endpoint(loaded.live.address)
    setting = Setting(
        file, loaded, out, host or usual_host, usual_port if port is None else port, tuple(key or ()),
        addresses("operator", operator or ()), first, demo, trust_clock,
    )  # fmt: skip

    set_up()
    log = logging.getLogger("commonwatt.service").info

    def started(url: str, chain: str, contract: bytes) -> None:
        print(f"{plain(loaded.name)} is served at {url}", flush=True)
        print(f"Its chain is at {chain}, with the contract {checksum_address(contract)}", flush=True)

    asyncio.run(serve(setting, log, started))


@app.command
def demo(
    file: Path,
    *,
    start: str,
    days: Whole = 1,
    clock: float = 900.0,
    kill: Whole = 0,
    seed: Whole = 0,
    database: Annotated[bool, Parameter(negative="")] = False,
    out: Annotated[Path, Parameter(name="--dir")],
    json_path: JsonPath = None,
) -> None:
    """Play days of a simulated community as they would be lived: exchange, chain, broker and homes are processes.

    Whatever is killed on the way, each home ends with the bill that `simulate` gives it.

    Example: commonwatt live demo examples/village.toml --start 2026-06-15 --clock 900 --kill 4 --dir lived

    Parameters
    ----------
    file
        The community file.
    start
        First local day.
    days
        Number of local days.
    clock
        Seconds of the market in one; time stands while homes have something to say.
    kill
        How many processes are killed on the way: exchange, chain, broker, homes and database, without a word.
    seed
        Says when, and which.
    database
        The store is on a PostgreSQL server of its own, which is started for it; otherwise it is a file.
    out
        Folder for all files; what was begun there goes on.
    """
    require()
    from commonwatt.exchange.loading import load
    from commonwatt.report.screen import render, summary
    from commonwatt.report.trace import trace
    from commonwatt.service.playing import Setting, play

    findings = []
    if not 1 <= clock <= _FASTEST:
        findings.append(Finding("clock", f"is from 1 to {_FASTEST:.0f}, not {clock:g}"))
    if not 1 <= days <= _LONGEST:
        findings.append(Finding("days", f"is from 1 to {_LONGEST}, not {days}"))
    if not 0 <= kill <= _MOST_KILLS:
        findings.append(Finding("kill", f"is from 0 to {_MOST_KILLS}, not {kill}"))
    if findings:
        raise ConfigError("The request", findings)
    setting = Setting(file, load(file), out, local_day("start", start), days, clock, kill, seed, database=database)
    with progress(quiet=json_path == "-") as report:
        played = play(setting, _log, report)
    result = played.result
    memory = played.memory.figures()
    figures = {**summary(result), "kills": played.kills, "killed": dict(played.killed), "memory": memory}
    if json_path:
        write_json(figures, json_path)
    if json_path != "-":
        from rich.console import Console

        Console(highlight=False).print(render(result, trace(result)))
        killed = ", ".join(f"{name} {count}" for name, count in sorted(played.killed.items()))
        print(played.homes)
        print(f"Killed on the way: {killed or 'nothing'}.")
    result.close()


def _log(line: str) -> None:
    print(plain(line), file=sys.stderr, flush=True)
