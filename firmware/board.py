"""What only the ESP32-S3 has: pins, Wi-Fi, a clock of its own, a watchdog."""

import time

import machine
import network
import sensors

# The ESP32 counts from 2000-01-01, other ports from 1970-01-01.
_EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0


class Relay:
    """A relay on a pin: open from the first moment, and closed by a high level unless `low` says by a low one."""

    def __init__(self, pin, low=False):
        self._closed = 0 if low else 1
        self._pin = machine.Pin(pin, machine.Pin.OUT, value=1 - self._closed)

    def set(self, on):
        """Close it or open it."""
        self._pin.value(self._closed if on else 1 - self._closed)


def start(config):
    """Begin with Wi-Fi, which then stays connected by itself, and put the clock where certificates are valid.

    The radio's noise is also what makes the board's random numbers random.
    """
    machine.RTC().datetime(_date(config["written"]))
    wifi = network.WLAN(network.STA_IF)
    wifi.active(True)  # noqa: FBT003
    wifi.connect(config["wifi"]["network"], config["wifi"]["password"])


def sensor(wired):
    """The ADE7953 as it is wired and calibrated: pins `sda` and `scl`, `uv`, `ua`, `home_nj` and `relay_nj`."""
    bus = machine.I2C(0, sda=machine.Pin(wired["sda"]), scl=machine.Pin(wired["scl"]), freq=400000)
    return sensors.Ade7953(bus, wired["uv"], wired["ua"], wired["home_nj"], wired["relay_nj"])


def watchdog():
    """What must be called once a minute, or the board starts anew."""
    return machine.WDT(timeout=60000).feed


def _date(unix):
    year, month, day, hour, minute, second, weekday = time.gmtime(unix - _EPOCH)[:7]
    return year, month, day, weekday, hour, minute, second, 0
