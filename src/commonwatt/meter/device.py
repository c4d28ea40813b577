"""A device that cannot sign, as whoever signs for it hears it: messages become slots, and none is lost on the way.

What has to outlive a restart is `Kept`. A slot is due until whoever stores readings has it. After a silence, a device
that keeps records of its minutes is asked for them; what it says meanwhile waits, because registers are counted in the
order of time. No clock, connection or file: times are told [unix ms].
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from commonwatt.errors import DataError
from commonwatt.meter.slots import MOST_WAITING, REGISTERS, Metered, Quarantined, Rules, State, advance
from commonwatt.meter.telegrams.interface import Driver, Message
from commonwatt.meter.telegrams.minutes import SILENCE
from commonwatt.meter.telegrams.sample import Sample
from commonwatt.meter.telegrams.shelly import Shelly

LAST_ASIDE: Final = 20
"""Values in quarantine that are kept; of the others their number is."""
_TOGETHER_S: Final = 3600
"""Time whose records are asked for at once [s]."""
_MOST_MS: Final = 7 * 86_400_000
"""Records of longer ago correct nothing any more [ms]."""
_PATIENCE_MS: Final = 10_000
_TRIES: Final = 3

Ask = tuple[str, bytes]
"""Topic and payload."""


@dataclass(frozen=True)
class Kept:
    """All that has to be kept of a device over a restart.

    state : its registers so far
    anew : the operators' word that it counts anew from then on [unix s]; 0 = never
    heard : when its last sample came [unix ms]; 0 before the first
    due : slots that are counted and not stored yet
    aside : the last values that were not believed; refused : how many there were since `anew`
    """

    state: State
    anew: int = 0
    heard: int = 0
    due: tuple[Metered, ...] = ()
    aside: tuple[Quarantined, ...] = ()
    refused: int = 0

    def under(self, rules: Rules, anew: int) -> Kept:
        """The same, or begun anew where the operators say so since, or where the device has other registers now."""
        if anew == self.anew and len(self.state.series) == len(rules.registers):
            return self
        return Kept(State.of(rules), anew, self.heard, self.due)

    def without(self, stored: Collection[Metered]) -> Kept:
        """The same when these slots are stored."""
        return replace(self, due=tuple(slot for slot in self.due if slot not in stored))

    def as_text(self) -> str:
        """It as JSON."""
        return _kept().dump_json(self).decode()

    @classmethod
    def from_text(cls, text: str) -> Kept:
        """What `as_text` wrote. Raises DataError."""
        try:
            return _kept().validate_json(text, strict=True)
        except ValidationError:
            raise DataError("What was kept of a device cannot be read; let it begin anew.") from None


@cache
def _kept() -> TypeAdapter[Kept]:
    return TypeAdapter(Kept)


@dataclass(frozen=True)
class Filling:
    """A silence whose records are asked for.

    reached : the earliest sample that is known after it [unix ms]; 0 while no records came
    asked : when they were asked for last [unix ms]; tries : how often since the last ones came
    """

    reached: int
    asked: int
    tries: int


@dataclass(frozen=True)
class Watched:
    """A device that is listened to.

    said : the driver's state; waiting : samples that are counted once the silence before them is filled
    filled : the last sample before the last silence that was filled, or given up [unix ms]
    complaint : the last message that was not understood
    """

    kept: Kept
    said: Any
    waiting: tuple[Sample, ...] = ()
    filling: Filling | None = None
    filled: int = 0
    complaint: str = ""

    @classmethod
    def of(cls, kept: Kept, driver: Driver[Any]) -> Watched:
        """A device of which this was kept."""
        last = _last(kept.state)
        if isinstance(driver, Shelly) and driver.keeps_records and last is not None:
            return cls(kept, driver.resumed(last))
        return cls(kept, driver.begin())


def hear(
    watched: Watched, driver: Driver[Any], rules: Rules, messages: Sequence[Message], now: int
) -> tuple[Watched, tuple[Ask, ...]]:
    """Take messages, and count what is known by `now` [unix ms]: what is known of the device after that, and what to
    ask it."""
    said, samples, complaint, heard = watched.said, list(watched.waiting), watched.complaint, watched.kept.heard
    for message in messages:
        said, found, complaints = driver.read(said, *message)
        samples += (each for each in found if each.counts)
        complaint = complaints[-1] if complaints else complaint
        heard = message.at if found else heard
    watched = replace(
        watched, said=said, waiting=tuple(samples), complaint=complaint, kept=replace(watched.kept, heard=heard)
    )
    asks: tuple[Ask, ...] = ()
    if isinstance(driver, Shelly) and driver.keeps_records:
        watched, asks = _filled(watched, driver, now)
    return (watched if watched.filling else _counted(watched, rules, now)), asks


def _counted(watched: Watched, rules: Rules, now: int) -> Watched:
    """With all samples that wait."""
    kept = watched.kept
    state, made = advance(kept.state, watched.waiting, rules, now)
    kept = replace(
        kept,
        state=state,
        due=(*kept.due, *made.slots)[-MOST_WAITING:],
        aside=(*kept.aside, *made.quarantined)[-LAST_ASIDE:],
        refused=kept.refused + len(made.quarantined),
    )
    return replace(watched, kept=kept, waiting=())


def _filled(watched: Watched, driver: Shelly, now: int) -> tuple[Watched, tuple[Ask, ...]]:
    """Whether records are asked for still, backwards from the first sample after a silence to the last before it."""
    known, filling = watched.said.known, watched.filling
    if known.before is None or known.before.at == watched.filled:
        return watched, ()
    reached = known.earliest.at if known.earliest else 0
    until = reached or known.latest.at
    since = max(known.before.at, known.latest.at - _MOST_MS)
    if filling is None or filling.reached != reached:
        filling = Filling(reached, 0, 0)
    elif now - filling.asked < _PATIENCE_MS:
        return watched, ()
    if until - since <= SILENCE or filling.tries == _TRIES:
        return replace(watched, filling=None, filled=known.before.at), ()
    filling = Filling(reached, now, filling.tries + 1)
    first, last = max(since // 1000, until // 1000 - _TOGETHER_S), until // 1000
    return replace(watched, filling=filling), (driver.ask(last, first, last),)


def _last(state: State) -> Sample | None:
    """The last sample of both registers, where they were counted together."""
    found = {series.at for series in state.series}
    if len(state.series) != len(REGISTERS) or len(found) != 1 or None in found:
        return None
    brought, taken = (series.mwh for series in state.series)
    return Sample(next(iter(found)) or 0, brought, taken, dated=True)
