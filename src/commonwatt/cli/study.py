"""The commands `commonwatt study …`. Every heavy import happens inside the command that needs it."""

from __future__ import annotations

import sys
from pathlib import Path

from cyclopts import App

from commonwatt.cli.options import JsonPath, Whole, progress, seldom_collected, write_json

app = App(name="study", help="Published cases, reproduced and compared.")


@app.default
def published(*, json_path: JsonPath = None) -> None:
    """List the studies, with the papers that they come from.

    Example: commonwatt study
    """
    from dataclasses import asdict

    from commonwatt.study.published import STUDIES

    if json_path:
        write_json([asdict(each) for each in STUDIES], json_path)
    if json_path != "-":
        for each in STUDIES:
            print(f"commonwatt study {each.name}: {each.what}")
            if each.source:
                print(f"  {each.source}{f', https://doi.org/{each.doi}' if each.doi else ''}")


@app.command
@seldom_collected()
def saini(*, json_path: JsonPath = None) -> None:
    """Five homes in India (Energies 2023, 16, 1253): its tables beside ours, its chain checked hash by hash.

    Example: commonwatt study saini
    """
    from commonwatt.study.saini.study import as_json, run
    from commonwatt.study.saini.tables import render

    study = run()
    if json_path:
        write_json(as_json(study), json_path)
    if json_path != "-":
        from rich.console import Console

        Console(highlight=False).print(render(study))


@app.command
@seldom_collected()
def residential(*, days: Whole = 7, out: Path | None = None, json_path: JsonPath = None) -> None:
    """A neighbourhood in summer and winter: bilateral trading by surplus or by distance against the utility alone.

    Example: commonwatt study residential --out study

    Parameters
    ----------
    days
        Days of each season, from 1 to 28.
    out
        Folder for the page with the plots.
    """
    from commonwatt.study.residential.page import as_json, page, render
    from commonwatt.study.residential.study import run

    with progress(quiet=json_path == "-", task="weeks") as report:
        study = run(days, report)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "residential.html").write_text(page(study), encoding="utf-8")
    if json_path:
        write_json(as_json(study), json_path)
    if json_path != "-":
        from rich.console import Console

        console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        console.print(render(study))
        if out:
            console.print(f"Page: {out / 'residential.html'}")


@app.command
@seldom_collected()
def cheat(*, json_path: JsonPath = None) -> None:
    """A day with a dishonest operator: what a home finds, proves on the chain and is paid for; then all other attacks.

    Example: commonwatt study cheat
    """
    from dataclasses import asdict

    from commonwatt.study.cheat import Step, run, summary

    def tell(step: Step) -> None:
        if json_path != "-":
            print(f"{step.who:10} {step.says}" + (f" ({step.gas} gas)" if step.gas else ""))

    found = run(tell)
    if json_path:
        figures = {"settled_right": found.settled_right, "all_stopped": found.all_stopped}
        write_json({**asdict(found), **figures}, json_path)
    if json_path != "-":
        print(summary(found))


@app.command
@seldom_collected()
def coupling(*, runs: Whole = 24, seed: Whole = 7, json_path: JsonPath = None) -> None:
    """Two communities on two chains: one buys what the other has to spare, while posts are false and processes killed.

    Example: commonwatt study coupling --runs 24

    Parameters
    ----------
    runs
        Trades, each of another slot, from 1 to 200.
    seed
        Of the order in which things go wrong.
    """
    from commonwatt.study.coupling.study import run
    from commonwatt.study.coupling.told import as_json, render

    with progress(quiet=json_path == "-", task="trades") as report:
        study = run(runs, seed, report)
    if json_path:
        write_json(as_json(study), json_path)
    if json_path != "-":
        from rich.console import Console

        console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
        console.print(render(study))
    if study.halves:
        sys.exit(1)


@app.command
@seldom_collected()
def linkage(*, seeds: Whole = 5, json_path: JsonPath = None) -> None:
    """Pseudonyms on a ledger: how well the amounts of quarter hours betray whose they are, by how long keys are used.

    Example: commonwatt study linkage --seeds 5

    Parameters
    ----------
    seeds
        Villages, each with other weeks of its homes' load profiles, from 1 to 20.
    """
    from commonwatt.study.linkage.study import run
    from commonwatt.study.linkage.told import as_json, render

    with progress(quiet=json_path == "-", task="villages") as report:
        study = run(seeds, report)
    if json_path:
        write_json(as_json(study), json_path)
    if json_path != "-":
        from rich.console import Console

        console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
        console.print(render(study))
