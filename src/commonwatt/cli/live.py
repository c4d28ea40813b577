"""The command that serves a living exchange. Every heavy import happens inside it."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from commonwatt.cli.options import Whole, local_day
from commonwatt.cli.solo import LAST_PORT, needs_http
from commonwatt.errors import ConfigError, Finding
from commonwatt.plain import plain

_FASTEST = 10_000.0


def serve(
    file: Path,
    *,
    out: Annotated[Path, Parameter(name="--dir")],
    host: str | None = None,
    port: Whole | None = None,
    key: Annotated[list[Path] | None, Parameter(negative="")] = None,
    start: str | None = None,
    demo_clock: float | None = None,
    days: Whole | None = None,
    wait_for_homes: bool = False,
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
    start
        First local day that is traded; tomorrow unless told.
    demo_clock
        Play the days from --start on with a simulation's keys, so many seconds of the market in one.
    days
        Of a demo: how many local days.
    wait_for_homes
        Of a demo: time stands until all homes have said what they have to.
    """
    needs_http()
    import asyncio

    from commonwatt.community.living import endpoint
    from commonwatt.exchange.loading import load
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
    if days is not None and not 1 <= days <= 366:
        findings.append(Finding("days", f"is from 1 to 366, not {days}"))
    if findings:
        raise ConfigError("The request", findings)
    first: date | None = local_day("start", start) if start else None
    demo = Demo(first, demo_clock, days, wait_for_homes) if demo_clock is not None and first else None
    loaded = load(file)
    usual_host, usual_port = endpoint(loaded.live.address)
    setting = Setting(
        file, loaded, out, host or usual_host, usual_port if port is None else port, tuple(key or ()), first, demo
    )

    def log(line: str) -> None:
        print(plain(line), file=sys.stderr, flush=True)

    asyncio.run(serve(setting, log, lambda url: print(f"{plain(loaded.name)} is served at {url}", flush=True)))
