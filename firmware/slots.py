"""Registers become energy of slots: their values at both boundaries, and nothing where a boundary was not seen."""

# Samples further apart say nothing about a boundary between them.
GAP_MS = 120000


class Slots:
    """Cuts two registers at the boundaries of slots.

    seconds, offset : a slot begins whenever unix time less offset is a multiple of seconds
    state : what `state` gave before a reboot, or None
    """

    def __init__(self, seconds, offset, state=None):
        self._step, self._offset = seconds * 1000, offset * 1000
        self._last, self._mark, self._next = state or (None, None, 0)

    def state(self):
        """What a reboot must not forget, for JSON: last sample, values at the last boundary, next slot to make."""
        return self._last, self._mark, self._next

    def made(self, slot):
        """A slot [unix s] has been made, so neither it nor one before it is made again by a clock that goes on."""
        self._next = max(self._next, slot * 1000 + self._step)

    def take(self, at, energy_in, energy_out):
        """The slots that end between the last sample and this one: start [unix s], energy in and out [Wh].

        at : unix ms; energy_in, energy_out : registers [mWh], which never fall
        Energy at a boundary lies on the straight line between the samples around it, rounded down to Wh, so that slots
        add up to the register. Where samples are too far apart, or the clock was put back, the slots between are left
        out: their energy is in the register and in no slot.
        """
        last = self._last
        if last is not None and last[0] - GAP_MS < at <= last[0]:
            return []
        self._last = at, energy_in, energy_out
        if last is None or not 0 < at - last[0] <= GAP_MS:
            self._mark = None
            if last is not None and at < last[0]:
                # The clock was wrong, and so were the slots made by it: those that come again correct them.
                self._next = 0
            return []
        found = []
        boundary = last[0] + self._step - (last[0] - self._offset) % self._step
        while boundary <= at:
            done = boundary - last[0], at - last[0]
            mark = boundary, _between(last[1], energy_in, done) // 1000, _between(last[2], energy_out, done) // 1000
            start = boundary - self._step
            if self._mark is not None and self._mark[0] == start and start >= self._next:
                found.append((start // 1000, mark[1] - self._mark[1], mark[2] - self._mark[2]))
                self._next = boundary
            self._mark = mark
            boundary += self._step
        return found


def _between(one, two, done):
    return one + (two - one) * done[0] // done[1]
