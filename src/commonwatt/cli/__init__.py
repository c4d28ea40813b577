"""The shell's door. Every heavy import happens inside the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from commonwatt.cli.agent import app as agent_app
from commonwatt.cli.box import doctor, init
from commonwatt.cli.card import card, forget, key
from commonwatt.cli.chain import app as chain_app
from commonwatt.cli.checking import check
from commonwatt.cli.community import app as community_app
from commonwatt.cli.cosigning import cosign
from commonwatt.cli.data import fill
from commonwatt.cli.dealing import buy, fetch, offer
from commonwatt.cli.live import app as live_app
from commonwatt.cli.live import serve
from commonwatt.cli.member import challenge, deposit, verify, withdraw
from commonwatt.cli.meter import app as meter_app
from commonwatt.cli.options import JsonPath, Whole, named_values, progress, seldom_collected, write_json
from commonwatt.cli.rights import accept_meter, access, grant, propose, resign, vote
from commonwatt.cli.settle import settle
from commonwatt.cli.show import show
from commonwatt.cli.study import app as study_app
from commonwatt.errors import CommonwattError, ConfigError, Finding, OutputError
from commonwatt.plain import plain

if TYPE_CHECKING:
    from commonwatt.simulation.result import Result

app = App(
    name="commonwatt",
    help="Local electricity markets: neighbours trade surplus power, a community chain settles, every bill carries "
    "its proof.\n\nStart with: commonwatt demo",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,  # `main` says what stands
)
bench_app = App(name="bench", help="Measure this machine.")
app.command(study_app)
app.command(live_app)
app.command(bench_app)
app.command(chain_app)
app.command(community_app)
app.command(meter_app)
app.command(agent_app)
for own in (
    *(show, verify, card, forget, key),
    *(challenge, deposit, withdraw, grant, access, propose, vote, resign, offer, buy, fetch),
):
    app.command(own)
app.command(accept_meter, name="accept-meter")
app.command(settle)
app.command(serve)
app.command(cosign)


DEMO_START = "2026-06-15"


app.command(check)
app.command(init)
app.command(doctor)


@app.command
def data(grid: str | None = None, *, json_path: JsonPath = None) -> None:
    """List the load, PV and price profiles and the grids that come with the package, or the buses of a grid.

    Example: commonwatt data simbench:rural2

    Parameters
    ----------
    grid
        Name of a grid: lists its buses with their voltages, and the loads, plants and batteries that SimBench has at
        each.
    """
    from commonwatt.cli.catalogue import buses_of, everything

    if grid is None:
        everything(json_path)
    else:
        buses_of(grid, json_path)


app["data"].command(fill)


@app.command
@seldom_collected()
def simulate(
    file: Path,
    *,
    start: str = DEMO_START,
    days: Whole = 1,
    ledger: str | None = None,
    out: Path | None = None,
    fresh: bool = False,
    then: Annotated[list[str] | None, Parameter(negative="")] = None,
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
        embedded, none, or the URL of a node; the default is what the file says.
    out
        Folder for report, tables, bills, store and ledger. An interrupted run goes on there.
    fresh
        Begin anew in --out instead of going on.
    then
        A file that holds from a later local day on, as DATE=FILE; repeatable. The members of a new run vote on it; in a
        run that goes on it must have been adopted.
    """
    from commonwatt.simulation.api import simulate as run

    later: dict[str, str | Path] = {**named_values("--then", then or [])}
    with progress(quiet=json_path == "-") as report:
        result = run(file, start, days, ledger=ledger, out=out, fresh=fresh, then=later, progress=report)
    _show(result, out, json_path)


@app.command
@seldom_collected()
def demo(*, out: Path = Path("commonwatt-demo"), json_path: JsonPath = None) -> None:
    """Run one summer day of a village of 44 homes, with every step, and show what happened.

    Example: commonwatt demo

    Parameters
    ----------
    out
        Folder for report, tables, bills, store and ledger; an earlier demo there is replaced.
    """
    from importlib.resources import as_file, files

    from commonwatt.simulation.api import simulate as run

    with (
        as_file(files("commonwatt.study") / "cases" / "village.toml") as file,
        progress(quiet=json_path == "-") as report,
    ):
        result = run(file, DEMO_START, 1, ledger="embedded", out=out, fresh=True, progress=report)
    _show(result, out, json_path)


@app.command
def clear(
    mechanism: str,
    file: Path,
    *,
    retail: str | None = None,
    feed_in: str | None = None,
    param: Annotated[
        list[str] | None, Parameter(help="A parameter of the mechanism, as key=value; repeatable.")
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Clear one slot from a file by any mechanism.

    Example: commonwatt clear uniform orders.csv --retail 0.32 --feed-in 0.08

    Parameters
    ----------
    mechanism
        Name of a mechanism, such as uniform or sdr.
    file
        CSV with the columns member,net_wh (positive buys) or order,member,side,wh,limit; for bilateral JSON with
        agents and links.
    retail
        The utility's selling price per kWh; without it nobody buys from a utility. Positions and pools need it. It may
        be below zero.
    feed_in
        The utility's buying price per kWh; without it nobody sells to a utility. Positions and pools need it. It may be
        below zero, such as -0.067; here, where no ledger moves money, local prices may be, too.
    """
    from commonwatt.simulation.oneslot import clear_file, in_words, insist_on_plan

    found = clear_file(mechanism, file, retail, feed_in, named_values("--param", param or []))
    if json_path:
        write_json(found, json_path)
    if json_path != "-":
        for line in in_words(found):
            print(plain(line))
    insist_on_plan(found)


@app.command
@seldom_collected()
def compare(
    file: Path,
    *,
    mechanisms: str = "all",
    start: str = DEMO_START,
    days: Whole = 1,
    table2: bool = False,
    agents: str | None = None,
    out: Path | None = None,
    json_path: JsonPath = None,
) -> None:
    """Run the same days under every market design and compare what comes of it.

    Example: commonwatt compare examples/village.toml --mechanisms sdr,uniform+sdr,my_market.py:MINE --out compared

    With --agents: what each strategy earns under these designs, among the others and among its like.

    Example: commonwatt compare examples/village.toml --mechanisms uniform --agents truthful,zip,my.py:MINE --days 7

    Parameters
    ----------
    file
        The community file.
    mechanisms
        all, or designs separated by commas: a name, file.py:NAME, name:parameter=value, or several joined by +. The
        values of a list have commas too: fixed:price=0.2:window=07:00,15:00.
    start
        First local day.
    days
        Number of local days.
    table2
        Put a review's claims about auctions and schedules to the test too; some minutes.
    agents
        Strategies separated by commas, of the package or file.py:NAME, to compare under designs that take orders.
    out
        Folder for the report with its plots, and for the table as CSV.
    """
    if agents is not None:
        if table2:
            raise ConfigError("The request", [Finding("table2", "compares designs, not agents; ask for one of both")])
        _compare_agents(file, start, days, mechanisms, agents, out, json_path)
        return
    from commonwatt.study.compare.comparison import as_json
    from commonwatt.study.compare.comparison import compare as run
    from commonwatt.study.compare.table import WIDEST, Screen

    with progress(quiet=json_path == "-", task="designs") as report:
        found = run(file, start, days, mechanisms, report)
    if table2:
        from commonwatt.study.compare.table2 import put_to_the_test

        with progress(quiet=json_path == "-", task="claims") as report:
            found = put_to_the_test(file, found, report)
    if out:
        from commonwatt.study.compare.report import write_comparison

        page = write_comparison(found, out)
    if json_path:
        write_json(as_json(found), json_path)
    if json_path != "-":
        from rich.console import Console

        # What is not a terminal has no width; the table has one.
        Console(highlight=False, width=None if sys.stdout.isatty() else WIDEST).print(Screen(found))
        if out:
            print(f"Report: {page}")


@bench_app.command
@seldom_collected()
def day(*, homes: Whole = 100, ledger: str = "embedded", bills: bool = True, json_path: JsonPath = None) -> None:
    """One day of a synthetic village, every step: CPU seconds and memory, step by step.

    Example: commonwatt bench day --homes 100 --json -

    Parameters
    ----------
    homes
        Number of homes.
    ledger
        embedded: signatures and chain included; none: devices, forecast, clearing and bills alone.
    bills
        Write the bills with their proofs, where there is a ledger.
    """
    from commonwatt.simulation.bench import bench_day

    with progress(quiet=json_path == "-") as report:
        figures = bench_day(homes, DEMO_START, ledger, report, bills=bills)
    if json_path:
        write_json(figures, json_path)
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
    except OSError as error:
        print(plain(f"{error.filename or 'A file'} cannot be used: {error.strerror or error}."), file=sys.stderr)
        sys.exit(OutputError.exit_code)
    except KeyboardInterrupt:
        print("Interrupted; a run with --out goes on from here.", file=sys.stderr)
        sys.exit(130)


def _show(result: Result, out: Path | None, json_path: str | None) -> None:
    """Files first, then the screen, so that the last thing that a person sees is the result."""
    from commonwatt.report.outputs import write_outputs
    from commonwatt.report.screen import render, summary
    from commonwatt.report.trace import trace

    traced = write_outputs(result, out) if out else None
    if json_path:
        write_json(summary(result), json_path)
    if json_path != "-":
        from rich.console import Console

        console = Console(highlight=False)
        console.print(render(result, trace(result) if traced is None else traced))
        if out:
            bills = f"Bills: {out / 'bills'}   " if result.books.client else ""
            files = f"Report: {out / 'report.html'}   {bills}Tables: {out / 'tables'}"
            console.print(plain(files), markup=False)
    result.close()


def _compare_agents(
    file: Path, start: str, days: int, mechanisms: str, agents: str, out: Path | None, json_path: str | None
) -> None:
    from commonwatt.study.compare.strategies import as_json, compare, table, write_csv

    with progress(quiet=json_path == "-", task="strategies") as report:
        found = compare(file, start, days, mechanisms, agents, report)
    path = write_csv(found, out) if out else None
    if json_path:
        write_json(as_json(found), json_path)
    if json_path != "-":
        from rich.console import Console

        console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        console.print(table(found))
        for line in found.notes:
            console.print(plain(line), markup=False)
        if path:
            print(f"Table: {path}")


if __name__ == "__main__":
    main()
