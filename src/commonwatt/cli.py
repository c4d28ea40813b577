"""The shell's door. Every heavy import happens inside the command that needs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from commonwatt.errors import CommonwattError

if TYPE_CHECKING:
    from commonwatt.exchange.result import Result

app = App(
    name="commonwatt",
    help="Local electricity markets: neighbours trade surplus power, a community chain settles, every bill carries "
    "its proof.\n\nStart with: commonwatt demo",
    version_flags=["--version"],
)
study_app = App(name="study", help="Published cases, reproduced and compared.")
bench_app = App(name="bench", help="Measure this machine.")
app.command(study_app)
app.command(bench_app)

JsonPath = Annotated[
    str | None,
    Parameter(name="--json", allow_leading_hyphen=True, help="Write the figures as JSON to this file; - for stdout."),
]
DEMO_START = "2026-06-15"


@app.command
def check(file: Path) -> None:
    """Check a community file and print every finding.

    Example: commonwatt check examples/village.toml
    """
    from commonwatt.exchange.checking import load

    community = load(file)
    pv = sum(member.pv is not None for member in community.members)
    batteries = sum(member.battery is not None for member in community.members)
    stages = ", ".join(f"{stage.name} = {stage.mechanism}" for stage in community.market) or "utility only"
    print(
        f"{file} is fine: {community.name}, {len(community.members)} members ({pv} with PV, "
        f"{batteries} with a battery), market {stages}, ledger {community.ledger.kind}."
    )


@app.command
def data(*, json_path: JsonPath = None) -> None:
    """List the load, PV and price profiles and the grids that come with the package.

    Example: commonwatt data
    """
    from commonwatt.data import catalogue, grid_names

    sets = [
        {
            "name": each.name,
            "what": each.what,
            "licence": each.licence,
            "from": each.year.first.isoformat(),
            "until": each.year.last.isoformat(),
            "resolution_minutes": each.year.seconds // 60,
            "profiles": {kind: [p.name for p in each.profiles if p.kind == kind] for kind in _kinds(each.profiles)},
        }
        for each in catalogue()
    ]
    if json_path:
        _write_json({"sets": sets, "grids": list(grid_names())}, json_path)
        return
    from rich.console import Console

    console = Console(highlight=False)
    for each in sets:
        console.print(f"[bold]{each['name']}[/bold]  {each['what']}", soft_wrap=True)
        period = f"{each['from']} to {each['until']}, every {each['resolution_minutes']} min"
        console.print(f"  {period}; licence {each['licence']}", soft_wrap=True)
        for kind, names in each["profiles"].items():  # type: ignore[attr-defined]
            console.print(f"  {kind}: {', '.join(names)}")
    console.print(f"[bold]grids[/bold]  {', '.join(grid_names())}")


@app.command
def simulate(
    file: Path,
    *,
    start: str = DEMO_START,
    days: int = 1,
    ledger: str | None = None,
    out: Path | None = None,
    fresh: bool = False,
    json_path: JsonPath = None,
) -> None:
    """Simulate a community: forecast, trade, deliver, settle, bill.

    Example: commonwatt simulate examples/village.toml --start 2026-06-15 --days 2 --out my-village

    Parameters
    ----------
    file
        The community file.
    start
        First local day.
    days
        Number of local days.
    ledger
        embedded or none; the default is what the file says.
    out
        Folder for report, tables, bills, store and ledger. An interrupted run goes on there.
    fresh
        Begin anew in --out instead of going on.
    """
    from commonwatt.exchange.api import simulate as run

    with _progress(quiet=json_path == "-") as report:
        result = run(file, start, days, ledger=ledger, out=out, fresh=fresh, progress=report)
    _show(result, out, json_path)


@app.command
def demo(*, out: Path = Path("commonwatt-demo"), json_path: JsonPath = None) -> None:
    """Run one summer day of a village of 44 homes, with every step, and show what happened.

    Example: commonwatt demo

    Parameters
    ----------
    out
        Folder for report, tables, bills, store and ledger; an earlier demo there is replaced.
    """
    from importlib.resources import as_file, files

    from commonwatt.exchange.api import simulate as run

    with (
        as_file(files("commonwatt.study") / "cases" / "village.toml") as file,
        _progress(quiet=json_path == "-") as report,
    ):
        result = run(file, DEMO_START, 1, ledger="embedded", out=out, fresh=True, progress=report)
    _show(result, out, json_path)


@app.command
def verify(bill: Path, *, ledger: Path | None = None) -> None:
    """Check a bill against the chain alone; fails when a single digit was changed.

    Example: commonwatt verify commonwatt-demo/bills/home-05.json

    Parameters
    ----------
    bill
        The bill, as written by simulate --out.
    ledger
        The chain's file; the default is ledger.sqlite in the folder above the bill's.
    """
    from commonwatt.exchange.verify import open_and_verify
    from commonwatt.units import decimal_text

    found = open_and_verify(bill, ledger or bill.resolve().parent.parent / "ledger.sqlite")
    owes = "owes" if found.total >= 0 else "receives"
    print(
        f"{bill.name} is proved by the chain: {found.member} {owes} {decimal_text(abs(found.total), 2)} "
        f"{found.currency}; {found.lines} lines in {found.slots} slots lead to settled posts."
    )


@study_app.command
def saini(*, json_path: JsonPath = None) -> None:
    """Five homes in India (Energies 2023, 16, 1253): its tables beside ours, its chain checked hash by hash.

    Example: commonwatt study saini
    """
    from commonwatt.study.saini import as_json, render, run

    study = run()
    if json_path:
        _write_json(as_json(study), json_path)
    if json_path != "-":
        from rich.console import Console

        Console(highlight=False).print(render(study))


@bench_app.command
def day(*, homes: int = 100, ledger: str = "embedded", json_path: JsonPath = None) -> None:
    """One day of a synthetic village, every step: CPU seconds and memory, step by step.

    Example: commonwatt bench day --homes 100 --json -

    Parameters
    ----------
    homes
        Number of homes.
    ledger
        embedded: signatures and chain included; none: devices, forecast, clearing and bills alone.
    """
    from commonwatt.exchange.bench import bench_day

    with _progress(quiet=json_path == "-") as report:
        figures = bench_day(homes, DEMO_START, ledger, report)
    if json_path:
        _write_json(figures, json_path)
    if json_path != "-":
        print(
            f"{homes} homes, one day, ledger {ledger}: {figures['cpu_seconds']:.1f} s CPU, {figures['rss_mb']:.0f} MB"
        )
        for step, seconds in figures["steps"].items():
            print(f"  {step:28} {seconds:8.2f} s")


def main() -> None:
    """Run the command line. A user's mistake ends in one sentence and its exit code, never in a traceback."""
    try:
        app(sys.argv[1:])
    except CommonwattError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except KeyboardInterrupt:
        print("Interrupted; a run with --out goes on from here.", file=sys.stderr)
        sys.exit(130)


def _show(result: Result, out: Path | None, json_path: str | None) -> None:
    """Files first, then the screen, so that the last thing that a person sees is the result."""
    from commonwatt.exchange.trace import trace
    from commonwatt.study.outputs import write_outputs
    from commonwatt.study.screen import render, summary

    if out:
        write_outputs(result, out)
    if json_path:
        _write_json(summary(result), json_path)
    if json_path != "-":
        from rich.console import Console

        console = Console(highlight=False)
        console.print(render(result, trace(result)))
        if out:
            console.print(f"Report: {out / 'report.html'}   Bills: {out / 'bills'}   Tables: {out / 'tables'}")
    result.simulation.close()


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr."""
    if quiet:
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("market day", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _write_json(value: Any, path: str) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        Path(path).write_text(text, encoding="utf-8")


def _kinds(profiles: Any) -> list[str]:
    return list(dict.fromkeys(profile.kind for profile in profiles))


if __name__ == "__main__":
    main()
