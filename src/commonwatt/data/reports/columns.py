"""What headers, codes and flags of grid companies mean.

Sources of the Austrian form: ebutilities.at, process CR_MSG, meter codes and the method of measurement (L1, L2, L3);
the Anwenderportal of EDA and eegfaktura write the German words in their place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import polars as pl

from commonwatt.data.headers import MeterName, meter_name
from commonwatt.data.reports.report import Quality, Quantity

POINT: Final = re.compile(r"\b(?:AT|CH|DE)[0-9A-Z]{31}\b")
"""Ids of metering points in Austria, Switzerland and Germany."""

_QUALITIES: Final = {
    Quality.NONE: "l0 fehlt fehlend missing",
    Quality.MEASURED: "l1 220 w gemessen messwert wahr wahrer_wert gültig measured actual valid",
    Quality.SUBSTITUTED: "l2 67 e ersatzwert ersetzt substituted substitute replaced adjusted",
    Quality.ESTIMATED: "l3 v geschätzt schätzwert vorläufig vorläufiger_wert estimated estimate provisional",
    Quality.FILLED: "filled",
}
QUALITIES: Final = {word.replace("_", " "): quality for quality, words in _QUALITIES.items() for word in words.split()}
"""What flags of values mean, in small letters."""
_FLAGS: Final = re.compile(
    r"\bmm\b|\bqov\b|\w*status|\w*qualit(?:y|ät)|\bflags?\b|\bgüte\b|ersatzwert|\bvalidi", re.IGNORECASE
)

LONGEST: Final = 300
"""Characters of a name that are looked at."""
_CODE: Final = re.compile(r"\b([GP])\.0?([0-9])\s?([TR]?)\b")
_OBIS: Final = re.compile(r"(?:\b[0-9]-[0-9]{1,2}:)?\b([12])\.(?:8|9|29|5|25)\.0(?![0-9])(?:\*[0-9]{1,3})?")
"""Of all tariffs together: 1.8.1 and 1.8.2 are parts of what a point took."""
_COUNTER: Final = re.compile(r"\b[12]\.8\.0(?![0-9])")
_UNIT: Final = re.compile(r"\s*[\[(]((?:in )?[kM]?Wh?)[\])]\s*", re.IGNORECASE)


def _words(*parts: str) -> re.Pattern[str]:
    """Any of the words that hold one of the parts; what underscores and hyphens join are words apart."""
    return re.compile(rf"(?<![^\W_])[^\W_]*(?:{'|'.join(parts)})[^\W_]*", re.IGNORECASE)


_NOT_OURS: Final = _words(
    "restnetz", "restbezug", "eigenverbrauch", "erneuerb", "self.consum", "blind", "reactive", "saldo", "balance"
)
_QUANTITIES: Final[tuple[tuple[Quantity, re.Pattern[str]], ...]] = (
    ("P.01", _words("überschuss(?!einspeis)", "surplus")),
    ("G.03", _words("eigendeckung", "coverage")),
    ("G.02", _words("anteil", "share")),
    (
        "export",
        _words(
            "einspeis",
            "rückliefer",
            "lieferung",
            "abgabe",
            "export",
            "erzeug",
            "produ[ck]t",
            "generat",
            "feed.?in",
            "injection",
        ),
    ),
    ("import", _words("bezug", "verbrauch", "import", "consum", "entnahme", "usage")),
)
_FILLERS: Final = re.compile(
    r"\b(?:wirk\w*|energie|energy|strom|zählpunkt|zählerst\w+|register|counter|reading|messwerte?|werte?|values?"
    r"|lastgang|gemessene\w?|ideeller|obis|a[+-])(?!\w)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Meaning:
    """What a column counts.

    reduced : by the part of a point that takes part in this community
    """

    quantity: Quantity
    reduced: bool = False


@dataclass(frozen=True, eq=False)
class Column:
    """A column of values that is understood.

    place : counted from 0; quality : the cells that say how its values were obtained, or None
    """

    header: str
    place: int
    point: str
    meaning: Meaning
    meter: MeterName
    values: pl.Series
    quality: tuple[object, ...] | None

    @property
    def title(self) -> str:
        """The header with the point, for messages."""
        return self.header if self.point in self.header else f"{self.point} {self.header}"

    @property
    def unit(self) -> str:
        """Of its values."""
        return {1e-3: "W", 1.0: "kW", 1e3: "MW"}[self.meter.per_unit] + "h" * self.meter.energy


def coded(text: str, direction: str) -> Meaning | None:
    """What a Metercode means, however it is dressed; None for what no bill needs.

    direction : of the metering point, as the form has it

    >>> coded("1-1:2.9.0 G.03", "CONSUMPTION"), coded("1-1:2.9.0 G.01T", "")
    (Meaning(quantity='G.03', reduced=False), Meaning(quantity='export', reduced=True))
    >>> coded("Gesamt/Überschusserzeugung, Gemeinschaftsüberschuss [KWH]", "GENERATION")
    Meaning(quantity='P.01', reduced=False)
    """
    generates = _generates(direction)
    if found := _CODE.search(text.upper()):
        letter, number, suffix = found.groups()
        obis = _OBIS.search(text)
        if generates is None and letter + number in ("G1", "P1") and obis:
            generates = obis[1] == "2"
        meanings: dict[tuple[str, bool | None], Quantity] = {
            ("G1", False): "import",
            ("G1", True): "export",
            ("G2", False): "G.02",
            ("G2", None): "G.02",
            ("G3", False): "G.03",
            ("G3", None): "G.03",
            ("P1", True): "P.01",
            ("P1", None): "P.01",
        }
        quantity = meanings.get((letter + number, generates))
        return Meaning(quantity, suffix == "T") if quantity and suffix != "R" else None
    quantity = _said(text)
    if quantity is None:
        return None
    consumes = quantity in ("import", "G.02", "G.03")
    reduced = "teilnahmefaktor" in text.casefold() or "restüberschuss" in text.casefold()
    return Meaning(quantity, reduced) if generates in (None, not consumes) else None


def worded(header: str) -> tuple[Meaning | None, MeterName | None, str]:
    """What the header of a portal's column means, its unit, and what is left of it, the name of a point or nothing.

    >>> worded("huber Einspeisung [kWh]")
    (Meaning(quantity='export', reduced=False), MeterName(name='huber Einspeisung', per_unit=1.0, energy=True, \
register=False), 'huber')
    """
    meter = meter_name(header)
    if meter is None and (unit := _UNIT.search(header)):
        meter = meter_name(f"{header[: unit.start()]} {header[unit.end() :]} [{unit[1]}]")
    if meter is None:
        return None, None, header
    name = "" if meter.name == header else meter.name
    meaning = coded(name, "") if _CODE.search(name.upper()) else None
    if meaning is None and (quantity := _said(name)):
        meaning = Meaning(quantity)
    if meaning is None and (direction := directed(name)):
        meaning = Meaning(direction)
    for pattern in (_CODE, _OBIS, *(pattern for _, pattern in _QUANTITIES), _FILLERS):
        name = pattern.sub(" ", name)
    return meaning, meter, re.sub(r"[\s_]+", " ", name).strip(" -–:;,/|()[]*+.")


def directed(text: str) -> Quantity | None:
    """The register that a text says, in words or as an OBIS code."""
    obis = _OBIS.search(text)
    if obis is None or _NOT_OURS.search(text):
        return _said(text)
    return "import" if obis[1] == "1" else "export"


def point_id(text: str) -> str:
    """The id of a metering point without the spaces and points that make it easy to read.

    >>> point_id("AT 009990 00000 00000000000000000001"), point_id("huber ")
    ('AT0099900000000000000000000000001', 'huber')
    """
    bare = re.sub(r"[\s.]", "", text).upper()
    return bare if POINT.fullmatch(bare) else text.strip()


def left_alone(header: str) -> bool:
    """Whether the column says something of a point that no bill needs, such as what its own supplier delivered."""
    other_code = _CODE.search(header.upper()) is not None and coded(header, "") is None
    return other_code or _NOT_OURS.search(header) is not None


def says_quality(header: str) -> bool:
    """Whether a column of this name says how values were obtained."""
    return meter_name(header) is None and _FLAGS.search(header) is not None


def counts_on(header: str) -> bool:
    """Whether the header's OBIS code is that of a register; portals write it over the energy of intervals as well."""
    return _COUNTER.search(header) is not None


def quality(cell: object) -> Quality | None:
    """What a flag means, None when it is not known."""
    if cell is None:
        return Quality.UNSTATED
    text = f"{cell:g}" if isinstance(cell, float) else str(cell)
    return QUALITIES.get(text.casefold())


def _generates(direction: str) -> bool | None:
    words = {"consumption": False, "verbrauch": False, "bezug": False, "generation": True, "erzeugung": True}
    return words.get(direction.strip().casefold())


def _said(text: str) -> Quantity | None:
    if left_alone(text):
        return None
    found = [(match.start(), quantity) for quantity, pattern in _QUANTITIES if (match := pattern.search(text))]
    # The first word says it: "Gesamtverbrauch … gem. Erzeugung" is consumption.
    return min(found, key=lambda each: each[0])[1] if found else None
