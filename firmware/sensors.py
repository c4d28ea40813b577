"""What measures: a home's energy in both directions, and what flows through its relay.

A sensor has `sample(ms)`, given a clock that only goes up, which returns voltage [mV], current [mA] and active power
[mW] in the relay's circuit, positive through the relay, None for what it does not measure; and `counters()`, energy
from the grid into the home and back [mWh] since the sensor's start. Both raise OSError when it does not answer.
"""

# 1 mWh in mV · mA · ms, which are nJ.
_MWH = 3600000000


class Energy:
    """Two counters that power is added to: what is less than a mWh is kept for the next time."""

    def __init__(self):
        self._in = self._out = 0

    def add(self, amount):
        """Add energy [nJ], positive = into the home."""
        if amount > 0:
            self._in += amount
        else:
            self._out -= amount

    def counters(self):
        """Energy in and out [mWh]."""
        return self._in // _MWH, self._out // _MWH


class Simulated:
    """A home under the unix port: some current always flows, more of it when the relay is on.

    mv : voltage [mV], on which a ripple of up to 1 V lies, for a sensor whose figures stand still is at fault
    ma : currents of the home [mA], positive = into the home, that flow in turn, a second each
    switched_ma : current through the relay while it is on
    """

    def __init__(self, relay, mv=230000, ma=(4000,), switched_ma=10000):
        self._relay, self._mv, self._ma, self._switched = relay, mv, ma, switched_ma
        self._energy, self._last = Energy(), None

    def sample(self, ms):
        """Voltage and current through the relay; what flowed since the last sample is counted."""
        mv, switched = self._mv + ms % 997, self._switched if self._relay.on else 0
        if self._last is not None:
            home = self._ma[ms // 1000 % len(self._ma)] + switched
            self._energy.add(mv * home * (ms - self._last))
        self._last = ms
        return mv, switched, None

    def counters(self):
        """Energy in and out [mWh]."""
        return self._energy.counters()


class Ade7953:
    """Analog Devices' ADE7953 on I²C: a current transformer around the home's line, one around the relay's.

    bus : `machine.I2C`
    uv : microvolts for each count of VRMS; ua : microamperes for each count of IRMSB
    home_nj, relay_nj : nanojoules for each count of AENERGYA and AENERGYB, below 0 where a transformer points the other
    way. All four are found by calibration.
    Source: data sheet of the ADE7953, Analog Devices.
    """

    _ADDRESS = 0x38
    _VRMS, _IRMSB, _AENERGYA, _AENERGYB = 0x31C, 0x31B, 0x31E, 0x31F
    _UNLOCK, _TUNING = 0x0FE, 0x120

    def __init__(self, bus, uv, ua, home_nj, relay_nj):
        self._bus, self._uv, self._ua, self._home, self._through = bus, uv, ua, home_nj, relay_nj
        self._energy, self._last, self._power = Energy(), None, 0
        # Without this the chip does not measure as exactly as its data sheet says.
        bus.writeto_mem(self._ADDRESS, self._UNLOCK, b"\xad", addrsize=16)
        bus.writeto_mem(self._ADDRESS, self._TUNING, b"\x00\x30", addrsize=16)
        # Reading sets the chip's counters back, so what is read is counted at once, and these two are of before.
        self._read(self._AENERGYA)
        self._read(self._AENERGYB)

    def sample(self, ms):
        """Voltage, current and power through the relay: the mean since the last sample."""
        self._energy.add(_signed(self._read(self._AENERGYA)) * self._home)
        through = _signed(self._read(self._AENERGYB)) * self._through
        if self._last is not None and ms > self._last:
            self._power = through // (ms - self._last) // 1000
        self._last = ms
        return self._read(self._VRMS) * self._uv // 1000, self._read(self._IRMSB) * self._ua // 1000, self._power

    def counters(self):
        """Energy in and out [mWh]."""
        return self._energy.counters()

    def _read(self, register):
        return int.from_bytes(self._bus.readfrom_mem(self._ADDRESS, register, 4, addrsize=16), "big")


def _signed(count):
    return count - (1 << 32) if count & 0x80000000 else count
