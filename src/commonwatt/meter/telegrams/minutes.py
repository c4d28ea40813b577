"""Shelly's minute records: what a device counted while nobody listened, made into registers again.

A record is the energy of one minute. From a register that is known at the end of a minute, the registers before it are
that one less the minutes between, exactly. While a device is without power it counts nothing, so gaps between its
records move no register.

Source: Shelly API documentation for Gen2 devices, pages EMData and EM1Data (GetData).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Final

from commonwatt.meter.telegrams.figures import Unreadable, listed, mapping
from commonwatt.meter.telegrams.sample import EARLIEST, LATEST, Sample, quoted

METHODS: Final[Mapping[str, str]] = {"emdata": "EMData.GetData", "em1data": "EM1Data.GetData"}
"""What asks each kind of component that keeps records."""
SILENCE: Final = 120_000
"""Time without a sample [ms] after which records of the past are worth asking for."""
ROUNDING: Final = 1000
"""What records and registers may differ by [mWh], as devices round both."""
_BROUGHT: Final = tuple(f"{phase}total_act_energy" for phase in ("", "a_", "b_", "c_"))
_TAKEN: Final = tuple(f"{phase}total_act_ret_energy" for phase in ("", "a_", "b_", "c_"))


@dataclass(frozen=True)
class Minute:
    """What one record counted: from `start` to `end` [unix ms], into the home and out of it [Wh]."""

    start: int
    end: int
    brought: Decimal
    taken: Decimal


def request(kind: str, number: int, caller: str, component: int, since: int, until: int) -> bytes:
    """The frame that asks for records from `since` to `until` [unix s]; its answer comes to `<caller>/rpc`."""
    params = {"id": component, "ts": since, "end_ts": until}
    return json.dumps({"id": number, "src": caller, "method": METHODS[kind], "params": params}).encode()


@dataclass(frozen=True)
class Known:
    """The samples that records are held against; all have both registers and the device's own time.

    latest : the last one that the device sent
    earliest : the first one that was made of records of the time before `latest`
    before : the last one before the device was not heard for some minutes
    """

    latest: Sample | None = None
    earliest: Sample | None = None
    before: Sample | None = None

    def after(self, sample: Sample) -> Known:
        """What is known after another sample of the device."""
        if not sample.dated or sample.import_mwh is None or sample.export_mwh is None:
            return self
        if self.latest is not None and sample.at - self.latest.at > SILENCE:
            return Known(sample, before=self.latest)
        return replace(self, latest=sample)


def registers(result: Mapping[str, object], known: Known, *, swapped: bool) -> tuple[Known, tuple[Sample, ...]]:
    """What is known afterwards, and samples at the beginning of each minute of an answer, in the order of time.

    They hang on a known sample that lies at the end of the records or less than one of them after it, and do not reach
    behind what was known before the silence. `swapped` says that the device counts the other way round than the home.
    Raises Unreadable where no sample is there to hang on, where records and registers contradict each other, or where
    the answer is none.
    """
    records = _records(result, swapped=swapped)
    if not records:
        return known, ()
    if known.latest is None:
        raise Unreadable("Records of the past came before a sample with both registers and the device's own time.")
    for anchor in (known.latest, known.earliest):
        before = [each for each in records if anchor is not None and each.end <= anchor.at]
        if anchor is not None and before and anchor.at - before[-1].end < before[-1].end - before[-1].start:
            samples = _back_from(anchor, before, known.before)
            return (replace(known, earliest=samples[0]) if samples else known), samples
    raise Unreadable("Records of the past do not reach up to a known sample; ask for fewer minutes, the latest first.")


def _back_from(anchor: Sample, records: Sequence[Minute], before: Sample | None) -> tuple[Sample, ...]:
    brought, taken = Decimal(anchor.import_mwh or 0), Decimal(anchor.export_mwh or 0)
    least = (0, 0) if before is None else (before.import_mwh or 0, before.export_mwh or 0)
    samples = []
    for record in reversed(records):
        if before is not None and record.start < before.at:
            break
        brought -= record.brought * 1000
        taken -= record.taken * 1000
        if brought < least[0] - ROUNDING or taken < least[1] - ROUNDING:
            raise Unreadable("Records of the past hold more energy than the registers; one was set back in between.")
        # Devices round records and registers each for itself, and no register may seem to go backwards.
        values = (max(int(brought), least[0]), max(int(taken), least[1]))
        samples.append(Sample(record.start, *values, dated=True))
    return tuple(reversed(samples))


def _records(result: Mapping[str, object], *, swapped: bool) -> list[Minute]:
    """All records of an answer, as the home counts, in the order of time and without overlap."""
    if "keys" not in result:
        raise Unreadable("The answer has no keys, without which its figures mean nothing; ask with add_keys.")
    keys = [str(each) for each in listed(result["keys"], "The answer's keys")]
    names = (_TAKEN, _BROUGHT) if swapped else (_BROUGHT, _TAKEN)
    brought, taken = (_places(keys, wanted) for wanted in names)
    records: list[Minute] = []
    for block in listed(result.get("data"), "The answer's data"):
        part = mapping(block, "A block of the answer")
        start, period = _whole(part.get("ts"), "ts"), _whole(part.get("period"), "period")
        if not (EARLIEST <= start * 1000 < LATEST and 1 <= period <= 3600):
            raise Unreadable(f"A block of the answer begins at {start} with records of {period} s, which cannot be.")
        for place, row in enumerate(listed(part.get("values"), "A block's values")):
            figures = listed(row, "A record")
            begin = (start + place * period) * 1000
            energies = (_energy(figures, brought), _energy(figures, taken))
            records.append(Minute(begin, begin + period * 1000, *energies))
    records.sort(key=lambda each: each.start)
    if any(later.start < earlier.end for earlier, later in pairwise(records)):
        raise Unreadable("The answer has two records of the same minute.")
    return records


def _places(keys: Sequence[str], wanted: Sequence[str]) -> list[int]:
    places = [place for place, key in enumerate(keys) if key in wanted]
    if not places:
        raise Unreadable(f"The answer has no {wanted[0]} among its keys.")
    return places


def _energy(figures: Sequence[object], places: Sequence[int]) -> Decimal:
    total = Decimal(0)
    for place in places:
        value = figures[place] if place < len(figures) else None
        if not isinstance(value, Decimal) or not 0 <= value < 10**9:
            raise Unreadable(f"A record has '{quoted(value)}' where an energy in Wh is due.")
        total += value
    return total


def _whole(value: object, name: str) -> int:
    if not isinstance(value, Decimal) or value != value.to_integral_value() or not 0 <= value < 10**11:
        raise Unreadable(f"A block's {name} is '{quoted(value)}' and no whole number of seconds.")
    return int(value)
