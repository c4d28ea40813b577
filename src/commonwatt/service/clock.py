"""The time that a living exchange goes by, and who vouches for it."""

from __future__ import annotations

import ctypes
import logging
import math
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Final

from commonwatt.errors import RecordError

AGREE: Final = 30.0
"""Two clocks that differ by no more say the same time [s]."""
JUMP: Final = 60.0
"""So much more or less than the time that has passed is no drift: somebody has set the clock [s]."""
UNVOUCHED: Final = (
    "Nothing vouches for the clock of this machine, so gates wait, and readings are taken all the same: let NTP keep "
    "it, or an operator say that it is right (POST /v1/operators/clock, or serve with --trust-clock)."
)
OPERATOR: Final = "an operator, at the start"
NTP: Final = "NTP"

_LOGGER: Final = logging.getLogger(__name__)
_WITNESSES: Final = 3
_HEARD: Final = 120.0
"""For so long a meter's word on the time is taken [s]."""
_SYNCHRONISED: Final = Path("/run/systemd/timesync/synchronized")
"""There since systemd-timesyncd has set the clock after the machine's start."""
_HARDWARE: Final = Path("/sys/class/rtc")
_UNSYNCHRONISED: Final = 5
"""What adjtimex(2) returns while the clock is not synchronised (TIME_ERROR)."""


class DemoClock:
    """A clock of a day that is played, faster than the one on the wall.

    begin : when it starts [unix s]; speed : how many of its seconds pass in one
    until : it stops there [unix s], and goes on from there when it is let
    monotonic : seconds that only go forward
    """

    def __init__(self, begin: float, speed: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._begin, self._speed, self._monotonic = begin, speed, monotonic
        self._since, self._until = monotonic(), math.inf

    def __call__(self) -> float:
        """The time [unix s]."""
        return min(self._begin + (self._monotonic() - self._since) * self._speed, self._until)

    def hold(self, until: float) -> None:
        """Go no further than this [unix s], nor back before the time that it is."""
        self._begin, self._since = self(), self._monotonic()
        self._until = max(until, self._begin)


class VouchedClock:
    """This machine's clock, from when somebody vouches for it until it jumps. Several threads may ask it.

    Who has vouched once need not do so again: a clock that does not jump drifts by seconds in a day, and a community
    may be without internet for weeks.

    word : who vouches for it from the start, "" = nobody
    machine : who in the machine vouches for a time [unix s], "" = nobody
    wall : the time [unix s]; monotonic : seconds that only go forward
    """

    def __init__(
        self,
        word: str,
        machine: Callable[[float], str],
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._word, self._machine, self._wall, self._monotonic = word, machine, wall, monotonic
        self._ahead = wall() - monotonic()
        self._heard = dict[bytes, tuple[float, float]]()
        self._lock = Lock()
        self._told: str | None = None
        self.doubt = UNVOUCHED
        """Why nobody vouches for it; empty while somebody does."""

    def __call__(self) -> float | None:
        """The time [unix s]; None while nobody vouches for it."""
        with self._lock:
            now = self._now()
            return None if self.doubt else now

    def look(self, past: Mapping[str, float], in_service: Collection[bytes]) -> None:
        """Ask whether somebody vouches for it.

        past : times before which it cannot be [unix s], by what they are of; in_service : meters [address]
        """
        with self._lock:
            now = self._now()
            if self.doubt:
                word = self._word or self._machine(now) or self._meters(now, in_service)
                self._settle(_behind(now, past) or ("" if word else UNVOUCHED), word)

    def doubted(self, why: str) -> None:
        """Nobody can vouch for it at present, and why."""
        with self._lock:
            self._settle(why, "")

    def vouch(self, said: int, who: str, past: Mapping[str, float]) -> None:
        """Take somebody's word that it is right; said : the time by another clock [unix s]; past : as of `look`.

        Raises RecordError, and takes no word, where the two clocks differ or this one is behind.
        """
        with self._lock:
            now = self._now()
            if abs(said - now) > AGREE:
                apart = f"The time that you say is {_utc(said)}, and this machine's is {_utc(now)}"
                raise RecordError(f"{apart}; set the one that is wrong.")
            if why := _behind(now, past):
                raise RecordError(why)
            self._word = who
            self._settle("", who)

    def heard(self, meter: bytes, said: int) -> None:
        """Note the time [unix s] that a meter says it is."""
        with self._lock:
            passed = self._monotonic()
            self._heard[meter] = said - passed, passed

    def _now(self) -> float:
        """The time [unix s]. Where it has jumped, no word counts any more that somebody gave before."""
        now, passed = self._wall(), self._monotonic()
        jump, self._ahead = now - passed - self._ahead, now - passed
        if abs(jump) > JUMP:
            _LOGGER.warning("The clock of this machine was set by %+.0f s.", jump)
            self._word = ""
            self._settle(UNVOUCHED, "")
        return now

    def _meters(self, now: float, in_service: Collection[bytes]) -> str:
        """Three meters that agree with it and with each other."""
        passed = self._monotonic()
        since = {meter: ahead for meter, (ahead, at) in self._heard.items() if passed - at <= _HEARD}
        said = sorted(since[meter] + passed for meter in since.keys() & set(in_service))
        said = [each for each in said if abs(each - now) <= AGREE]
        agree = any(last - first <= AGREE for first, last in zip(said, said[_WITNESSES - 1 :], strict=False))
        return "meters" if agree else ""

    def _settle(self, doubt: str, word: str) -> None:
        if doubt and doubt != self._told:
            _LOGGER.warning("%s", doubt)
        elif doubt != self._told:
            _LOGGER.info("The clock of this machine is vouched for by %s.", word)
        self.doubt = self._told = doubt


def _behind(now: float, past: Mapping[str, float]) -> str:
    """Why it cannot be so early, or ""."""
    for what, at in past.items():
        if now < at - AGREE:
            return f"The clock of this machine is behind {_utc(at)}, the time of {what}; set it right."
    return ""


def _utc(at: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):  # no calendar goes so far
        return f"{at:.0f}"


def word_at_start(*, trusted: bool) -> str:
    """Who vouches for the clock when the service starts: an operator, or who set it since the machine did."""
    return OPERATOR if trusted else NTP if _SYNCHRONISED.exists() else ""


def vouching(now: float) -> str:
    """What in this machine vouches for its time `now` [unix s]: NTP, or a hardware clock that says the same."""
    if ntp_synchronised():
        return NTP
    return "the hardware clock" if any(abs(each - now) <= AGREE for each in hardware_clocks()) else ""


def ntp_synchronised() -> bool | None:
    """Whether the system says that its clock is synchronised; None where it cannot be asked."""
    if sys.platform != "linux":
        return None
    try:
        # struct timex, with `modes` = 0: nothing is set.
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(1024))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else bool(state != _UNSYNCHRONISED)


def hardware_clocks(folder: Path = _HARDWARE) -> list[int]:
    """What the clocks say that go on while the machine is off [unix s].

    One whose battery is empty says nothing, or a time of long ago.
    """
    found = list[int]()
    for path in sorted(folder.glob("*/since_epoch")):
        with suppress(OSError, ValueError):
            found.append(int(path.read_text("ascii")))
    return found
