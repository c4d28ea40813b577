"""The delivery controller: a relay lets a demanded energy through and no more, whatever sensor, load and power do.

Algorithm 1 of https://doi.org/10.3390/electronics12020287 without its sockets: time, voltage and current come in as
arguments, what is to be done goes out as events. It knows no clock, no sensor and no relay.

The same file runs under CPython and MicroPython, so it imports nothing: a device's firmware takes it as it is.

Units: time in ms of a clock that does not jump, voltage in mV, current in mA, power in mW, energy in mWh, all integers.
Energy through the relay counts as positive. Events are tuples:

    ("relay", on)                       close it or open it, at once
    ("report", number, mwh, reason)     what demand `number` has delivered so far [mWh, rounded down], and what happened
    ("refused", number, why)            a demand is not taken; `why` is a sentence
"""

DELIVERED = "delivered"
EXPIRED = "expired"
REPLACED = "replaced"
SENSOR = "sensor fault"
STUCK = "sensor stuck"
LATE = "samples too far apart"
NO_LOAD = "no load"
OVER_VOLTAGE = "over-voltage"
OVER_CURRENT = "over-current"

ENDS = (DELIVERED, EXPIRED, REPLACED)
FAULTS = (SENSOR, STUCK, LATE, NO_LOAD, OVER_VOLTAGE, OVER_CURRENT)

RECONNECT_MS = 5000
MOST_MWH = 10**12
"""Largest demand [mWh]: the largest order, in thousandths."""
COUNTS_PER_MWH = 7_200_000_000
"""Energy is counted in halves of a nanojoule: (µW + µW) · ms is twice the trapezoid's area, without a remainder."""


class Limits:
    """What a box may carry, and how long it watches before it calls something a fault.

    over_mv, over_ma : above these the relay opens at the first sample
    range_mv, range_ma, range_mw : what the sensor can show; beyond it, it is at fault
    bad_samples : so many in a row without a figure are a sensor's fault; until then the last power is taken to go on
    gap_ms : samples further apart than this are a fault; signing a reading may take 3000
    idle_mw, idle_ms : less power than this for so long is a load that is not there
    stuck_ms : the same figures for so long while power flows are a sensor that stands still; 0 = never
    """

    def __init__(
        self,
        over_mv: int = 264_500,
        over_ma: int = 16_000,
        range_mv: int = 500_000,
        range_ma: int = 200_000,
        range_mw: int = 50_000_000,
        bad_samples: int = 3,
        gap_ms: int = 10_000,
        idle_mw: int = 500,
        idle_ms: int = 60_000,
        stuck_ms: int = 60_000,
    ) -> None:
        self.over_mv = over_mv
        self.over_ma = over_ma
        self.range_mv = range_mv
        self.range_ma = range_ma
        self.range_mw = range_mw
        self.bad_samples = bad_samples
        self.gap_ms = gap_ms
        self.idle_mw = idle_mw
        self.idle_ms = idle_ms
        self.stuck_ms = stuck_ms


class Controller:
    """One relay. Whoever holds it calls `step` with every sample, also from within the signing of a reading.

    number, mwh : the newest demand; 0 before the first
    ended : one of ENDS once it is over, "" while it is open
    fault : one of FAULTS until it is acknowledged, else ""
    relay : whether the relay is to be closed
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.number = 0
        self.mwh = 0
        self.ended = DELIVERED
        self.fault = ""
        self._counted = 0
        self._start()

    def _start(self) -> None:
        """The relay is open, and the clock of before is gone, so a demand waits until it comes again."""
        self.relay = False
        self._until: int | None = None
        self._at: int | None = None
        # Power of the sample before; None where it was measured before the relay closed.
        self._uw: int | None = None
        self._counted_to = 0
        self._bad = 0
        self._figures: tuple[int | None, ...] = ()
        self._flowed_at = 0
        self._changed_at = 0

    @property
    def delivered_mwh(self) -> int:
        """What the newest demand has delivered [mWh], rounded down."""
        return self._counted // COUNTS_PER_MWH

    @property
    def power_mw(self) -> int:
        """The power of the last sample [mW], rounded down."""
        return (self._uw or 0) // 1000

    def demand(self, number: int, mwh: int, until_ms: int) -> list[tuple[object, ...]]:
        """Deliver `mwh` until `until_ms`; call `step` with a sample right away. The signature is checked before.

        number : >= 1; of the demands of a device, a newer one has a higher number and takes the place of the one before
        mwh : 0 ends the one before and delivers nothing
        until_ms : on the clock of `step`

        The same demand again delivers nothing twice: it is reported again when it is over, and goes on after a restart.
        """
        why = self._objection(number, mwh, until_ms)
        if why:
            return [("refused", number, why)]
        events: list[tuple[object, ...]] = []
        if number != self.number:
            if not self.ended:
                events.append(self._report(REPLACED))
            self.number, self.mwh, self.ended, self._counted = number, mwh, "", 0
            if mwh == 0:
                events += self._end(DELIVERED)
        elif self.ended:
            events.append(self._report(self.ended))
        self._until = until_ms
        return events

    def step(self, t_ms: int, mv: int | None, ma: int | None, mw: int | None = None) -> list[tuple[object, ...]]:
        """Take one sample and say what is to be done.

        Energy since the sample before is the mean of both powers times the time between them, and right after the relay
        closed this power alone. The relay opens at the first sample at which the demand is fulfilled: never short of
        it, and over it by less than that sample counted.

        mv, ma : None where the sensor gave no figure. Their product is apparent power on AC
        mw : real power, from sensors that measure it; voltage and current may then be None
        """
        elapsed = 0 if self._at is None else t_ms - self._at
        uw = self._power(mv, ma, mw)
        self._bad = self._bad + 1 if uw is None or elapsed < 0 else 0
        self._at = t_ms
        self._count(t_ms, uw)
        if self.ended or self._until is None:
            return []
        events: list[tuple[object, ...]] = []
        if not self.fault:
            self.fault = self._judge(elapsed, (mv, ma, mw))
            if self.fault:
                events = self._open_relay()
                events.append(self._report(self.fault))
        if self._counted >= self.mwh * COUNTS_PER_MWH:
            return events + self._end(DELIVERED)
        if t_ms >= self._until:
            return events + self._end(EXPIRED)
        if not (self.fault or self.relay or self._bad):
            self.relay, self._uw = True, None
            self._flowed_at = self._changed_at = t_ms
            events.append(("relay", True))
        return events

    def acknowledge(self) -> None:
        """Somebody has seen the fault: an open demand goes on with the next good sample."""
        self.fault = ""
        self._bad = 0

    def state(self) -> dict[str, object]:
        """What has to outlive a restart, in integers and text. What is delivered after the last one that was kept is
        delivered again.
        """
        return {
            "number": self.number,
            "mwh": self.mwh,
            "counted": self._counted,
            "ended": self.ended,
            "fault": self.fault,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from what `state` gave. The relay is open, and stays so until the same demand or a newer one comes.

        Raises ValueError for what is no such state; the controller is then as it was.
        """
        names = ("number", "mwh", "counted", "ended", "fault")
        if type(state) is not dict or sorted(state) != sorted(names):
            raise ValueError("What was kept is not the state of a delivery controller.")
        number, mwh, counted, ended, fault = [state[name] for name in names]
        # Each by itself: whoever checks types sees the integers only so.
        if type(number) is not int or type(mwh) is not int or type(counted) is not int:
            raise ValueError("The kept state of a delivery controller has something else in the place of an integer.")
        if min(number, mwh, counted) < 0 or mwh > MOST_MWH:
            raise ValueError("The kept state of a delivery controller has an impossible number.")
        if type(ended) is not str or type(fault) is not str or (ended and ended not in ENDS):
            raise ValueError("The kept state of a delivery controller has an unknown end.")
        if fault and fault not in FAULTS:
            raise ValueError("The kept state of a delivery controller has an unknown fault.")
        self._start()
        self.number, self.mwh, self._counted = number, mwh, counted
        self.ended, self.fault = ended, fault

    def _objection(self, number: int, mwh: int, until_ms: int) -> str:
        """Why a demand is not taken, or ""."""
        if type(number) is not int or type(mwh) is not int or type(until_ms) is not int or number < 1:
            return "A demand has a number from 1 on, an energy and an end, all of them integers."
        if not 0 <= mwh <= MOST_MWH:
            return f"A demand is for 0 to {MOST_MWH} mWh, not {mwh}."
        if number < self.number:
            return f"Demand {number} is older than demand {self.number}, which has taken its place."
        if number == self.number and mwh != self.mwh:
            return f"Demand {number} was for {self.mwh} mWh and cannot become one for {mwh} mWh."
        return ""

    def _power(self, mv: int | None, ma: int | None, mw: int | None) -> int | None:
        """Power [µW] >= 0, or None where the sample has no figure that can be."""
        limits = self.limits
        for figure, most in ((mv, limits.range_mv), (ma, limits.range_ma), (mw, limits.range_mw)):
            # NaN and the like are no int, and neither is a bool.
            if figure is not None and (type(figure) is not int or abs(figure) > most):
                return None
        if mv is not None and mv < 0:
            return None
        if mw is not None:
            uw = mw * 1000
        elif mv is None or ma is None:
            return None
        else:
            uw = mv * ma
        if uw < 0:
            # A sensor's noise around zero is no energy that comes back.
            return 0 if uw >= -limits.idle_mw * 1000 else None
        return uw

    def _count(self, t_ms: int, uw: int | None) -> None:
        """Add what went through a closed relay since it was last counted; without a figure the last power went on."""
        if uw is None:
            uw = self._uw
        if uw is None:
            # No figure since the relay closed: the first one will say what flowed.
            return
        if self.relay and t_ms > self._counted_to:
            self._counted += ((uw if self._uw is None else self._uw) + uw) * (t_ms - self._counted_to)
        self._counted_to, self._uw = t_ms, uw

    def _judge(self, elapsed: int, figures: tuple[int | None, ...]) -> str:
        """The fault that the sample of now shows, or ""."""
        limits = self.limits
        if self._bad >= limits.bad_samples:
            return SENSOR
        if not self._bad and (figures[0] or 0) > limits.over_mv:
            return OVER_VOLTAGE
        if not self._bad and (figures[1] or 0) > limits.over_ma:
            return OVER_CURRENT
        if not self.relay:
            return ""
        if elapsed > limits.gap_ms:
            return LATE
        return "" if self._bad else self._judge_load(figures)

    def _judge_load(self, figures: tuple[int | None, ...]) -> str:
        """The fault that shows only over a while: no power flows, or power that never changes."""
        limits, now = self.limits, self._at or 0
        flows = (self._uw or 0) >= limits.idle_mw * 1000
        if flows:
            self._flowed_at = now
        elif now - self._flowed_at >= limits.idle_ms:
            return NO_LOAD
        if not flows or figures != self._figures:
            self._figures, self._changed_at = figures, now
        elif limits.stuck_ms and now - self._changed_at >= limits.stuck_ms:
            return STUCK
        return ""

    def _open_relay(self) -> list[tuple[object, ...]]:
        events: list[tuple[object, ...]] = [("relay", False)] if self.relay else []
        self.relay = False
        return events

    def _end(self, reason: str) -> list[tuple[object, ...]]:
        self.ended = reason
        events = self._open_relay()
        events.append(self._report(reason))
        return events

    def _report(self, reason: str) -> tuple[object, ...]:
        return ("report", self.number, self.delivered_mwh, reason)


def reconnect_in(now_ms: int, tried_ms: int | None, every_ms: int = RECONNECT_MS) -> int:
    """How long to wait before the next attempt to connect [ms]; 0 = try now.

    tried_ms : when the last attempt began, None before the first; one that lies ahead is of a clock that was set back

    >>> reconnect_in(12_000, None), reconnect_in(12_000, 10_000), reconnect_in(15_000, 10_000)
    (0, 3000, 0)
    """
    if tried_ms is None or tried_ms > now_ms:
        return 0
    return max(0, tried_ms + every_ms - now_ms)
