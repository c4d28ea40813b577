"""What the name of a column says of its values.

* The unit of a meter, and whether it is a register: home1_kwh, home1 [kWh], Verbrauch (kWh), roof kW, Valeur (en kW).
* The unit of a price: price [EUR/MWh], ct/kWh, price_eur_per_kwh, price_ct_kwh, Germany [€/MWh] original resolution.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_PER_KILO: Final = {"w": 1e-3, "kw": 1.0, "mw": 1e3}
_UNIT: Final = r"(?:(?:en|in) )?((?i:[kM]?Wh?))"
# Without brackets a small w may be the west; with a small m before it, it is a thousandth.
_THOUSANDTHS: Final = ("mW", "mWh")
_ENDING: Final = re.compile(rf"\s*(?:\[{_UNIT}\]|\({_UNIT}\)|(?:^|[\s_/,]+)((?i:[kM]Wh?|Wh)|W))$")
_REGISTER: Final = re.compile(r"(?:^|[\W_])(?:register|counter|reading|zählerstand)(?:$|[\W_])", re.IGNORECASE)
REGISTER_WORDS: Final = "register, counter, reading or Zählerstand"

_TOKEN: Final = re.compile(r"c€|[^\W\d_]+|[€$£¢/]")
_SIGNS: Final = {"€": "EUR", "EURO": "EUR", "$": "USD", "£": "GBP"}
_CENTS: Final = frozenset({"ct", "cent", "cents", "c€", "¢"})
_MONEYS: Final = frozenset({"CHF", "CZK", "DKK", "EUR", "GBP", "HUF", "INR", "NOK", "PLN", "RON", "SEK", "USD"})
"""What a word of three letters is taken for wherever it stands; before "per" any such word is money."""
_ENERGIES: Final = {"kwh": 1.0, "mwh": 1e-3}


@dataclass(frozen=True)
class MeterName:
    """A column of a meter file.

    name : without the unit
    per_unit : kW or kWh in one of its values
    energy : it counts the energy of an interval, not the mean power
    register : it shows all energy since the meter began to count
    """

    name: str
    per_unit: float
    energy: bool
    register: bool


def meter_name(header: str, unit: str | None = None) -> MeterName | None:
    """What a header says, or None when it names no unit. unit : of headers that name none, such as "kWh".

    >>> meter_name("Verbrauch (kWh)")
    MeterName(name='Verbrauch', per_unit=1.0, energy=True, register=False)
    """
    ending = _ENDING.search(header)
    said = next(filter(None, ending.groups())) if ending else unit
    if said is None or said in _THOUSANDTHS:
        return None
    name = header[: ending.start()] if ending else header
    power = said.lower().removesuffix("h")
    energy = power != said.lower()
    return MeterName(name or header, _PER_KILO[power], energy, energy and _REGISTER.search(name) is not None)


def renamed(header: str) -> tuple[str, ...]:
    """Names that a column without a unit could have.

    >>> renamed("home1 [kVA]"), renamed("home1_w")
    (('home1 [kWh]', 'home1 [kW]'), ('home1 [W]',))
    """
    stem, watts = re.subn(r"[\s_/,]w$", "", header)
    stem = re.sub(r"\s*(\[[^]]*\]|\([^)]*\))$", "", stem)
    return tuple(f"{stem} [{unit}]".lstrip() for unit in (["W"] if watts else ["kWh", "kW"]))


def price_unit(header: str, currency: str) -> float | str | None:
    """Currency per kWh in one unit of a price column; None when its header names no unit.

    A text is the unit that it names, when that is not known or in another money than `currency`.

    >>> price_unit("Day-ahead Price [EUR/MWh]", "EUR"), price_unit("price", "EUR"), price_unit("ct/kWh", "EUR")
    (0.001, None, 0.01)
    >>> price_unit("USD/kWh", "EUR")
    'USD/kWh'
    """
    tokens = _TOKEN.findall(header)
    for money, per, energy in zip(["", *tokens], tokens, tokens[1:], strict=False):
        if per.lower() not in ("/", "per"):
            continue
        share, kwh = _share(money, currency, named=per == "/"), _ENERGIES.get(energy.lower())
        if share and kwh:
            return share * kwh
        if kwh or (share and money):
            return f"{money}/{energy}"
    for money, energy in pairwise(tokens):
        share, kwh = _own(money, currency), _ENERGIES.get(energy.lower())
        if share and kwh:
            return share * kwh
    for word in tokens:
        if _code(word) in _MONEYS - {currency}:
            return str(word)
    bracket = re.search(r"[\[(](.*)[\])]", header)
    if bracket or meter_name(header):
        return bracket[1] if bracket else header
    return None


def _code(money: str) -> str:
    return _SIGNS.get(money.upper(), money.upper())


def _own(money: str, currency: str) -> float | None:
    """Part of the currency that the word names; None when it names no part of it."""
    if money.lower() in _CENTS:
        return 0.01
    return 1.0 if _code(money) == currency else None


def _share(money: str, currency: str, *, named: bool) -> float | None:
    """Part of the currency that the word before "per" means; None when it means another money.

    named : such a word can only be money
    """
    if own := _own(money, currency):
        return own
    other_money = named or money in _SIGNS or len(money) == 3
    return None if money and other_money else 1.0
