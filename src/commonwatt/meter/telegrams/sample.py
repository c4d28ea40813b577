"""What every driver hands on: the state of a home's registers at one instant."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from commonwatt.plain import plain

EARLIEST: Final = 1_577_836_800_000
"""2020-01-01 UTC [unix ms]: a device's clock before this one was never set."""
LATEST: Final = 4_102_444_800_000
"""2100-01-01 UTC [unix ms]."""
AHEAD: Final = 120_000
"""How far a device's clock may be ahead of this machine's [ms] before a person is told."""


@dataclass(frozen=True)
class Sample:
    """Registers and power at one instant, as a device gave them.

    at : when they were so [unix ms], by the device's own clock where it has one, else when the message arrived
    import_mwh, export_mwh : registers of energy into the home and out of it [mWh], since the meter was made; >= 0.
        None where the message says nothing of that register, which is not the same as zero
    power_mw : power [mW], positive = into the home
    arrived : when the message came [unix ms], by this machine's clock
    dated : whether `at` is the device's own
    """

    at: int
    import_mwh: int | None
    export_mwh: int | None
    power_mw: int | None = None
    arrived: int = 0
    dated: bool = False

    @property
    def counts(self) -> bool:
        """Whether it has a register at all; a sample of power alone shows, and settles nothing."""
        return self.import_mwh is not None or self.export_mwh is not None


def at_arrival(sample: Sample, arrived: int) -> Sample:
    """The sample dated by its arrival [unix ms], for devices without a clock."""
    return replace(sample, at=arrived, arrived=arrived, dated=False)


def at_own_time(sample: Sample, own: int | None, arrived: int) -> tuple[Sample, tuple[str, ...]]:
    """The sample dated by the device's own clock [unix ms], and what is to be said of that clock.

    A time before 2020 or after 2099 is that of a clock that nobody set; then, and without a time, arrival counts. A
    message may come late, since brokers keep them, but not before it was sent: a clock ahead is told, and still
    counts, because it may be this machine that woke up in the past.
    """
    if own is None or not EARLIEST <= own < LATEST:
        return at_arrival(sample, arrived), ()
    dated = replace(sample, at=own, arrived=arrived, dated=True)
    if own <= arrived + AHEAD:
        return dated, ()
    return dated, (f"The device's clock is {_span(own - arrived)} ahead of this machine's; set the one that is wrong.",)


def moment(at: int) -> str:
    """An instant [unix ms] as a person reads it.

    >>> moment(1_781_481_600_250)
    '2026-06-15 00:00:00 UTC'
    """
    return f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def quoted(text: object, longest: int = 40) -> str:
    """What a device wrote, fit for a sentence."""
    return plain(text, longest)


def _span(milliseconds: int) -> str:
    minutes = milliseconds // 60_000
    days, hours = minutes // 1440, minutes // 60
    return f"{days} d" if days >= 2 else f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
