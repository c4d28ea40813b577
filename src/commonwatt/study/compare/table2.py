"""Four of the five properties by which a review compares auctions with schedules, put to the test.

Salian, Shah, Shah and Samdani, "Review of Blockchain Enabled Decentralized Energy Trading Mechanisms", table 2 and
section X: throughput, impact of power failure, addition of nodes, margin of error. The review measures nothing: it
argues, from an auction after Sabounchi and Wei (EI2 2017) and a schedule after Münsing, Mather and Moura (CCTA 2017).
The fifth property, competition or cooperation, is not for measurement.

`coalition` is that auction; other auctions, offers at a posted price and pools stand beside it. A schedule is here what
plans a whole day with its batteries by iteration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

from commonwatt.exchange.checking import load
from commonwatt.exchange.plugins import resolve
from commonwatt.market import MECHANISMS
from commonwatt.study.compare.claims import Cell, Claim
from commonwatt.study.compare.comparison import Comparison, Progress
from commonwatt.study.compare.designs import designs
from commonwatt.study.compare.table2_day import Day
from commonwatt.study.compare.table2_error import ERRORS, SEEDS, Margin, margins
from commonwatt.study.compare.table2_outage import EXCHANGE, HOMES, Outage, crashes, outages
from commonwatt.study.compare.table2_size import AUCTION, POOL, SCHEDULE, SIZES, TIMES, Taken, kind, taken

CRASHED: Final = ("uniform", "sdr", "bilateral")
Sizes = dict[str, tuple[Taken, ...]]


def put_to_the_test(file: str | Path, comparison: Comparison, progress: Progress | None = None) -> Comparison:
    """The comparison of the community in `file`, with the review's claims and what came of them.

    The margin of error is measured on the community's own homes and the first of its days, for the designs that were
    compared; the other three on villages whose size is said.
    """
    community, folder = load(file), Path(file).parent
    chosen = designs(community, folder, [row.design for row in comparison.rows[1:]]) if comparison.rows[1:] else ()
    count, steps = 0, 2 + len(chosen)

    def done() -> None:
        nonlocal count
        count += 1
        if progress:
            progress(count, steps)

    sizes = measure_sizes()
    done()
    fallen = [*outages(Day.of(HOMES)), *crashes(CRASHED)]
    done()
    first = date.fromisoformat(comparison.start)
    found = list(margins(community, folder, first, chosen, done))
    kinds = {
        design.name: " + ".join(kind(resolve(stage.mechanism, folder)) for stage in design.stages) for design in chosen
    }
    claims = (throughput(sizes), power_failure(fallen), more_nodes(sizes), margin_of_error(found, kinds, comparison))
    return replace(comparison, claims=claims)


def measure_sizes() -> Sizes:
    """What each mechanism of the package takes for villages of all `SIZES`."""
    days = [Day.of(homes) for homes in SIZES]
    found: Sizes = {}
    for name, mechanism in MECHANISMS.items():
        each = [took for day in days if (took := taken(mechanism, day))]
        found |= {name: tuple(each)} if len(each) == len(days) else {}
    return found


def throughput(sizes: Sizes) -> Claim:
    """Orders cleared per second."""
    largest = {name: each[-1] for name, each in sizes.items()}
    rows = tuple(
        (name, kind(MECHANISMS[name]), each.cleared, round(each.seconds, 4), round(each.rate), each.rounds)
        for name, each in largest.items()
    )
    slow, fast = (min(_of(largest, AUCTION), key=lambda n: largest[n].rate),
                  max(_of(largest, SCHEDULE), key=lambda n: largest[n].rate))  # fmt: skip
    factor = largest[slow].rate / largest[fast].rate
    verdict = "The table is not confirmed" if factor > 1 else "The table is confirmed"
    return Claim(
        title="Throughput",
        auction="low",
        scheduling="high",
        reason="the time each algorithm takes to compute the final trading; the system lies idle while an auction "
        "takes bids, a schedule lets energy flow at once",
        test=f"A day of 24 slots of {SIZES[-1]} homes, the same for all, cleared and proved on this machine, one "
        f"process, median of {TIMES}. A round is one time that members send something and wait.",
        heads=("design", "kind", "orders", "CPU s", "orders/s", "rounds"),
        rows=rows,
        finding=f"{verdict}: the slowest auction, {slow}, clears {_times(factor)} the orders per second of the fastest "
        f"schedule, {fast}. They do not do the same: a schedule also plans batteries. As for lying idle: a day-ahead "
        f"auction waits once for all slots of a day, twice with sealed bids, and {fast} {largest[fast].rounds} times.",
    )


def power_failure(fallen: Sequence[Outage]) -> Claim:
    """Outage in mid-round."""
    kept = {
        which: [100 * each.left / each.undisturbed for each in fallen if each.kind == which and each.undisturbed]
        for which in (AUCTION, SCHEDULE, EXCHANGE)
    }
    whole = sum(share == 100 for share in kept[EXCHANGE])
    verdict = "not confirmed" if min(kept[AUCTION]) > max(kept[SCHEDULE]) else "confirmed"
    return Claim(
        title="Impact of power failure",
        auction="high",
        scheduling="low",
        reason="an auction loses bids and data that are not yet in the ledger; a schedule is fixed before and stored "
        "in the ledger",
        test=f"A day of {HOMES} homes. Every second member falls silent in the middle of a round; the exchange is "
        "stopped and started again on its file.",
        heads=("design", "who fails, when", "kWh without", "kWh with it", "what happens"),
        rows=tuple(
            (each.design, each.who, round(each.undisturbed, 1), round(each.left, 1), each.outcome) for each in fallen
        ),
        finding=f"For a failure in mid-round the table is {verdict}: with half of the parties silent the auctions keep "
        f"{_range(kept[AUCTION])} % of their energy and the schedules {_range(kept[SCHEDULE])} %, as these need "
        f"everyone's answer in every round. Of {len(kept[EXCHANGE])} stops of the exchange, {whole} change nothing, "
        "whichever the design: what counts is whether the end of a round is stored, and an auction of the day before "
        "stores it as a schedule does.",
    )


def more_nodes(sizes: Sizes) -> Claim:
    """How messages and time grow with members."""
    rows: list[tuple[Cell, ...]] = []
    for name, (small, *_, large) in sizes.items():
        per_home = (round(each.messages / each.homes) for each in (small, large))
        times = (round(1000 * each.seconds, 1) for each in (small, large))
        rows.append((name, kind(MECHANISMS[name]), *per_home, *times, round(large.partners)))
    few, many = sizes["coalition"][0], sizes["coalition"][-1]
    plans = {name: each for name, each in sizes.items() if kind(MECHANISMS[name]) == SCHEDULE}
    grows = {name: _per_home(each[-1]) > 2 * _per_home(each[0]) for name, each in plans.items()}
    said = "; ".join(
        f"in {name} {_per_home(each[0]):.0f}, then {_per_home(each[-1]):.0f}, with {each[0].partners:.0f} other homes, "
        f"then with {each[-1].partners:.0f}"
        for name, each in plans.items()
    )
    return Claim(
        title="Addition of nodes",
        auction="easy",
        scheduling="complex",
        reason="an auction has no fixed number of participants; a schedule is configured for its number of nodes, and "
        "one more needs the algorithm to be changed",
        test=f"The same day with {SIZES[0]} and with {SIZES[-1]} homes. Messages are those of a home in a day; "
        "partners are other homes with which a home exchanges messages, which a new home has to find.",
        heads=("design", "kind", f"messages, {SIZES[0]} homes", f"messages, {SIZES[-1]} homes",
               f"CPU ms, {SIZES[0]} homes", f"CPU ms, {SIZES[-1]} homes", "partners"),
        rows=tuple(rows),
        finding="No design had to be changed or set up anew for more homes. In the auctions a home does not notice "
        f"them: it exchanges {_per_home(few):.0f} messages a day, then {_per_home(many):.0f} in coalition; {said}. As "
        f"to messages, the table is confirmed for {', '.join(n for n in grows if grows[n]) or 'none'} and not for "
        f"{', '.join(n for n in grows if not grows[n]) or 'none'}.",
    )  # fmt: skip


def margin_of_error(found: Sequence[Margin], kinds: dict[str, str], comparison: Comparison) -> Claim:
    """What a forecast error does to the bills."""
    rise = {margin.design.name: margin.more[-1] / abs(margin.bill or 1.0) for margin in found}
    worst = {which: max(share for name, share in rise.items() if kinds[name] == which) for which in kinds.values()}
    said = ", ".join(f"{which} {100 * share:.1f} %" for which, share in worst.items() if not which.endswith(POOL))
    pooled = max((share for which, share in worst.items() if which.endswith(POOL)), default=None)
    return Claim(
        title="Margin of error",
        auction="low",
        scheduling="high",
        reason="the text says the opposite of the table: an auction, being dynamic, has a high potential margin of "
        "error, and a schedule made a day ahead leaves time to correct it",
        test=f"{comparison.community} on {comparison.start}. Each home's forecast of load and of generation is the "
        f"truth times one factor for the day, drawn from a normal distribution around 1; mean of {len(SEEDS)} draws. "
        f"Bills of all homes in {comparison.currency}.",
        heads=("design", "kind", "bill, no error", *(f"more at {100 * error:.0f} %" for error in ERRORS), "spread"),
        rows=tuple(
            (margin.design.name, kinds[margin.design.name], round(margin.bill, 2), *(round(m, 2) for m in margin.more),
             round(margin.spread, 2))
            for margin in found
        ),
        finding=f"With errors of {100 * ERRORS[-1]:.0f} % bills rise, in the worst design of each kind, by: "
        f"{said or 'nothing'}. "
        + _table_or_text(worst)
        + ("" if pooled is None else "Where a pool after delivery takes what was not foreseen, alone or as a second "
           f"stage, they rise by {100 * pooled:.1f} % at most, whatever stands before it."),
    )  # fmt: skip


def _table_or_text(worst: dict[str, float]) -> str:
    if not {AUCTION, SCHEDULE} <= worst.keys():
        return ""
    right, wrong = ("table", "text") if worst[SCHEDULE] > worst[AUCTION] else ("text", "table")
    return f"Between auctions and schedules that speaks for the {right} and against the {wrong}. "


def _per_home(each: Taken) -> float:
    return each.messages / each.homes


def _of(largest: dict[str, Taken], which: str) -> list[str]:
    return [name for name in largest if kind(MECHANISMS[name]) == which]


def _range(values: Sequence[float]) -> str:
    low, high = (f"{value:.0f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _times(factor: float) -> str:
    return f"{factor:.0f} times" if factor >= 2 else f"{factor:.2f} times"
