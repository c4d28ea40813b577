"""The study of Saini et al. 2023 on a terminal: printed beside ours beside the difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from commonwatt.study.saini.case import Bill, Deal, kwh_text
from commonwatt.units import decimal_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from commonwatt.study.saini.study import SainiStudy

PARTS = ("scenario1", "investment", "grid", "peers", "operating", "net")
"""The columns of Table 7."""


def render(study: SainiStudy) -> RenderableType:
    """Headlines, Tables 5 to 7, the rule, what is inconsistent, the chain."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.rule import Rule
    from rich.text import Text

    def section(title: str, *blocks: RenderableType) -> Iterator[RenderableType]:
        yield Text()
        yield Rule(Text(title, style="bold"), align="left", style="dim")
        yield from (Padding(block, (0, 0, 0, 1)) for block in blocks)

    return Group(
        Text("Saini et al. 2023, Energies 16, 1253: five homes, 11 May 2017", style="bold"),
        _list(headlines(study)),
        *section("Table 5: trades", _trades(study)),
        *section("Table 6: energy by pair, kWh", _pairs(study)),
        *section("Table 7: one day, Rs", _bills(study), _list(bill_notes(study))),
        *section("The rule", _list(rule_notes(study))),
        *section("What does not fit together in the paper", _findings(study)),
        *section("The published chain", _list(chain_notes(study))),
    )


def headlines(study: SainiStudy) -> tuple[str, ...]:
    """What was reproduced, in sentences."""
    rows, bills, chains = study.trades, study.bills, study.chains
    energies = sum(row.printed.wh == row.ours.wh for row in rows)
    pairs = sum(pair.printed == pair.ours for pair in study.pairs)
    before, printed, ours = (
        sum(row.printed.scenario1 for row in bills),
        sum(row.printed.net for row in bills),
        sum(row.ours.net for row in bills),
    )
    blocks, links = sum(chain.blocks for chain in chains), sum(chain.links for chain in chains)
    return (
        f"Table 5: {energies} of {len(rows)} energies and {study.truncated} of {len(rows)} prices as printed. Prices "
        f"are cut to 3 decimals, not rounded (rounding gives {study.rounded}). Hourly surplus and demand stand in "
        "figures only, so they are recovered from Table 5: what is checked is the rule, not the quantities.",
        f"Table 6: {pairs} of {len(study.pairs)} cells as printed.",
        f"Table 7: {_rs(before)} Rs for all homes without the market; with it {_rs(printed)} printed and "
        f"{_rs(ours)} ours.",
        f"Budget: ours closes, {_rs(study.paid, 4)} Rs paid and {_rs(study.received, 4)} received; the clearing proves "
        f"itself in {sum(proof.holds for proof in study.proofs)} of {len(study.proofs)} hours.",
        f"Chain: {links} of {blocks} hash links and {sum(chain.proofs_right for chain in chains)} of {blocks} proofs "
        f"verify. To rewrite history costs {study.forgery.attempts} hash attempts by the paper's rules, "
        f"{_big(study.repair.attempts_to_forge)} when each nonce belongs to its block's content.",
    )


def bill_notes(study: SainiStudy) -> tuple[str, ...]:
    """What users save, and what in our Table 7 is not computed from the paper's data."""
    gains = ", ".join(f"{row.user} {_gain(row.printed)} ({_gain(row.ours)})" for row in study.bills)
    store = study.storage
    stores = " and ".join(f"{i.energy_kwh:.2f} kWh ({i.user}, {i.capital_rs:.0f} Rs)" for i in study.investments)
    return (
        f"Saved against scenario 1, printed (ours): {gains}.",
        "Scenario 1 and grid, ours: from a synthetic day, chosen so that eq. 1 gives the printed figures (mean price "
        f"{_rs(study.mean_synthetic_price, 4)} Rs/kWh). It shows that the columns are possible, not "
        "that they are right.",
        "Investment: taken over as printed. Eq. 3 needs r, y, E and P, which are not stated; assuming "
        f"r = {store.rate * 100:g} %, y = {store.years} and P = E/{store.hours:g} h, the printed costs buy {stores}.",
    )


def rule_notes(study: SainiStudy) -> tuple[str, ...]:
    """What the rule leaves open, and what it keeps out."""
    reasons: dict[str, list[str]] = {}
    for refusal in study.refusals:
        reasons.setdefault(refusal.reason, []).append(f"{refusal.seller} {refusal.hour}")
    refused = "; ".join(f"{reason}: {', '.join(offers)}" for reason, offers in reasons.items())
    extra = study.extra_without_rules
    return (
        *(
            f"Fill {reading.fill}, if {reading.demand}: {reading.rows_as_printed} of {len(study.trades)} trades as "
            "printed" + (f", and {_deals(reading.others)}." if reading.others else ".")
            for reading in study.readings
        ),
        "The text does not say whether a demand may be served in part; only that hour tells the readings apart.",
        f"Of our probes {len(study.refusals)} are refused ({refused}). Without these two rules there would be "
        f"{len(extra)} trades more: {_deals(extra)}.",
    )


def chain_notes(study: SainiStudy) -> tuple[str, ...]:
    """What the published chain proves, how it is forged, and the repair."""
    forgery, repair = study.forgery, study.repair
    checked = "; ".join(
        f"{chain.figure}: {chain.links} of {chain.blocks} links, {chain.proofs_right} of {chain.blocks} proofs "
        f"({', '.join(map(str, chain.proofs))})"
        for chain in study.chains
    )
    return (
        f"{checked}. Two chains with different content carry the same proofs: nothing of a block enters its proof.",
        f"Forged: in figure {forgery.figure}, block {forgery.block}, {forgery.before} Rs becomes {forgery.after}. The "
        f"paper's rules find {_faults(forgery.faults_at_once)}. With {forgery.relinked} links recomputed and "
        f"{forgery.attempts} hash attempts on proofs they find {_faults(forgery.faults)}.",
        'Repaired: the proof is the smallest n for which SHA-256 of "hash of the block without its proof:n" starts '
        f"with 0000. The chain takes {_big(repair.attempts)} attempts (published rule: "
        f"{_big(repair.attempts_published)}). The same forgery shows {_faults(repair.faults)}; to hide it takes "
        f"{_big(repair.attempts_to_forge)} attempts.",
        "That is a price, not a protection: whoever can mine the chain can mine it again. A community's history is "
        "safe by signatures and by others who hold a copy.",
    )


def _trades(study: SainiStudy) -> Table:
    table = _table("Time", "Trade", "kWh printed", "ours", "diff.", "Rs printed", "ours", "diff.", left=2)
    hour = ""
    for row in study.trades:
        printed, ours = row.printed, row.ours
        energy, money = ours.wh - printed.wh, ours.money - printed.money
        if printed.hour != hour and hour:
            table.add_section()
        table.add_row(
            printed.hour if printed.hour != hour else "",
            f"{printed.seller} → {printed.buyer}",
            kwh_text(printed.wh),
            kwh_text(ours.wh),
            _difference(energy * 1000, 3),
            _rs(printed.money),
            _rs(ours.money),
            _difference(money, 3),
        )
        hour = printed.hour
    return table


def _pairs(study: SainiStudy) -> Table:
    table = _table("Trade", "printed", "ours", "diff.", left=1)
    for pair in study.pairs:
        difference = _difference((pair.ours - pair.printed) * 1000, 3)
        table.add_row(f"{pair.seller} → {pair.buyer}", kwh_text(pair.printed), kwh_text(pair.ours), difference)
    return table


def _bills(study: SainiStudy) -> Table:
    titles = ("scenario 1", "investment", "grid", "peers", "operating", "net")
    table = _table("User", "", *titles, left=2)
    for row in study.bills:
        printed, ours = _cells(row.printed), _cells(row.ours)
        table.add_row(row.user, "printed", *map(_cell, printed))
        table.add_row("", "ours", *map(_cell, ours))
        table.add_row("", "diff.", *(_difference(b - a, 4) for a, b in zip(printed, ours, strict=True)))
        table.add_section()
    return table


def _findings(study: SainiStudy) -> Table:
    table = _grid()
    for finding in study.inconsistencies:
        mark = "" if finding.confirmed else " (not confirmed)"
        table.add_row(f"[bold]{finding.where}[/]{mark}", finding.sentence)
    return table


def _table(*titles: str, left: int) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, title in enumerate(titles):
        table.add_column(title, justify="left" if number < left else "right", no_wrap=True)
    return table


def _grid() -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column()
    return table


def _list(lines: Iterable[str]) -> Table:
    from rich.text import Text

    table = _grid()
    for line in lines:
        table.add_row("•", Text(line))
    return table


def _cells(bill: Bill) -> tuple[int, ...]:
    return tuple(getattr(bill, part) for part in PARTS)


def _cell(money: int) -> str:
    return _rs(money, 4) if money else "–"


def _difference(amount: int, places: int) -> str:
    text = decimal_text(amount, places)
    if not text.strip("-0."):
        return "0"
    return text if amount < 0 else f"+{text}"


def _gain(bill: Bill) -> str:
    """Share of the scenario-1 bill that is saved; an absolute figure where the bill turns into income."""
    saved = bill.scenario1 - bill.net
    return f"{_rs(saved, 2)} Rs" if bill.net < 0 else f"{100 * saved / bill.scenario1:.1f} %"


def _deals(deals: Sequence[Deal]) -> str:
    return ", ".join(f"{deal.hour} {deal.seller} → {deal.buyer} {kwh_text(deal.wh)} kWh" for deal in deals)


def _faults(faults: Sequence[str]) -> str:
    if not faults:
        return "no fault"
    return f"{len(faults)} fault{'s' if len(faults) > 1 else ''} (first: {faults[0]})"


def _rs(money: int, places: int = 3) -> str:
    return decimal_text(money, places)


def _big(number: int) -> str:
    return f"{number:,}"
