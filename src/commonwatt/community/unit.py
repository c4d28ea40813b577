"""What one integer of money is worth in a community, and all money of its file in such integers.

A settlement holds each member's change of balance in 32 bits, so what a member may turn over in one slot bounds how
finely its community can count. Euros are counted in millionths; a currency whose kWh costs thousands is counted in
larger steps. The step is a power of ten, given in the file or derived from the tariff and the mandates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from commonwatt.community.model import Community, Member
from commonwatt.community.tariff import Band, Flat, Levy, PriceFile, Rate, Tariff, TimeOfUse
from commonwatt.errors import Finding
from commonwatt.records.deltas import DELTA_MAX
from commonwatt.units import UNITS, WH_PER_KWH, in_units, price_text

SOMEBODY: Final = Member(0, "whoever joins", None)
"""Of a community whose members are on the ledger alone."""


def counted(community: Community, wanted: int | None, dearest: Tariff) -> tuple[Community, list[Finding]]:
    """The community in the unit that its file wants, or else in the smallest that fits; and what does not fit.

    community : with money in micro-currency; wanted : [micro-currency], None = to be derived
    dearest : its tariff, with the highest price of each file in the place of the file
    """
    trader = max(community.members, key=_most_wh, default=SOMEBODY)
    highest = _highest_price(dearest)
    fitting = next((unit for unit in UNITS if _turnover(highest, trader, unit) <= DELTA_MAX), None)
    unit = wanted or fitting
    if unit is None or fitting is None or unit < fitting:
        if wanted is None:
            return community, [_too_much(community, trader, highest, UNITS[-1])]
        return community, [_too_small(community, trader, highest, wanted, fitting)]
    if unit == 1:
        return community, []
    divide = _Divide(unit)
    in_unit, findings = divide.community(community), divide.findings
    if findings and wanted is None:
        findings.append(_too_much(community, trader, highest, unit // 10))
    return in_unit, findings


def _most_wh(member: Member) -> int:
    return max(member.terms.buy_wh, member.terms.sell_wh)


def _turnover(price: int, member: Member, unit: int) -> int:
    """The most that a member's balance can change in one slot, at a price per kWh [micro-currency], in units."""
    return -(-price // unit) * _most_wh(member) // WH_PER_KWH


def _highest_price(tariff: Tariff) -> int:
    """The most that a local kWh may cost: what one from the utility does with everything, or what the utility pays."""
    gross = tariff.with_vat(max(_prices(tariff.retail), default=0) + tariff.grid_levies)
    return max(gross, *_prices(tariff.feed_in), 0)


def _prices(rate: Rate) -> Iterator[int]:
    if isinstance(rate, Flat):
        yield rate.price
    elif isinstance(rate, TimeOfUse):
        yield from (band.price for band in rate.bands)


def _too_small(community: Community, trader: Member, price: int, unit: int, fitting: int | None) -> Finding:
    """Why money cannot be counted in the unit of the file. fitting : the one to write instead, if there is any"""
    currency = community.currency
    larger = f'write "{price_text(fitting)}", or ' if fitting else ""
    return Finding(
        "community.unit",
        f"cannot be {price_text(unit)} {currency}: a member could turn over {_most(unit)} {currency} in a slot at "
        f"most, and {trader.id} {_may(community, trader, price, unit)}; {larger}lower the buy_wh and sell_wh of its "
        "mandate",
    )


def _too_much(community: Community, trader: Member, price: int, unit: int) -> Finding:
    """Why money cannot be counted in this unit, to somebody whose file names none."""
    currency = community.currency
    largest = ", the most that there is" if unit == UNITS[-1] else ""
    return Finding(
        trader.path,
        f"{_may(community, trader, price, unit)}, but where money is counted in steps of {price_text(unit)} {currency}"
        f"{largest}, {_most(unit)} {currency} is the limit; lower the buy_wh and sell_wh of its mandate",
    )


def _may(community: Community, trader: Member, price: int, unit: int) -> str:
    currency, turnover = community.currency, price_text(_turnover(price, trader, unit) * unit)
    return f"may turn over {turnover} {currency} in a slot, {_most_wh(trader)} Wh at {price_text(price)} {currency}/kWh"


def _most(unit: int) -> str:
    return price_text(DELTA_MAX * unit)


@dataclass
class _Divide:
    """Money of a community from micro-currency into units; findings : amounts that are no whole number of units"""

    unit: int
    findings: list[Finding] = field(default_factory=list)

    def community(self, given: Community) -> Community:
        return replace(
            given,
            unit=self.unit,
            tariff=self._tariff(given.tariff),
            members=tuple(map(self._member, given.members)),
            ledger=replace(given.ledger, bond=self._amount("ledger.bond", given.ledger.bond)),
        )

    def _amount(self, path: str, micro: int) -> int:
        try:
            return in_units(micro, self.unit)
        except ValueError as error:
            self.findings.append(Finding(path, str(error)))
            return 0

    def _limit(self, path: str, micro: int | None) -> int | None:
        return None if micro is None else self._amount(path, micro)

    def _tariff(self, tariff: Tariff) -> Tariff:
        return replace(
            tariff,
            retail=self._rate("tariff.retail", tariff.retail),
            feed_in=self._rate("tariff.feed_in", tariff.feed_in),
            network_fee=self._amount("tariff.network_fee", tariff.network_fee),
            levies=tuple(self._levy(f"tariff.levies.{levy.name}.price", levy) for levy in tariff.levies),
        )

    def _levy(self, path: str, levy: Levy) -> Levy:
        return replace(levy, price=self._amount(path, levy.price))

    def _rate(self, path: str, rate: Rate) -> Rate:
        if isinstance(rate, PriceFile):
            return rate
        if isinstance(rate, Flat):
            return Flat(self._amount(path, rate.price))
        return TimeOfUse(tuple(self._band(f"{path}[{place}].price", band) for place, band in enumerate(rate.bands, 1)))

    def _band(self, path: str, band: Band) -> Band:
        return replace(band, price=self._amount(path, band.price))

    def _member(self, member: Member) -> Member:
        path, terms = member.path, member.terms
        limits = replace(
            terms,
            max_buy=self._limit(f"{path}.mandate.max_buy", terms.max_buy),
            min_sell=self._limit(f"{path}.mandate.min_sell", terms.min_sell),
        )
        return replace(member, terms=limits, collateral=self._amount(f"{path}.collateral", member.collateral))
