"""The meter itself: samples become registers, registers signed readings, demands a relay that opens in time.

Nothing here waits: `tick` is called with each sample, also from within a signature, and `link.py` carries what comes
and goes. The controller is that of `commonwatt.meter`.
"""

import json
from binascii import hexlify, unhexlify

import readings
import secp256k1
from slots import Slots

# A power cut forgets what was counted since: seldom enough for the flash, and more often while the relay is on.
SAVE_MS, SAVE_ON_MS = 60000, 5000
# So many reports are in the status; older ones are in the readings.
REPORTS = 8


class Clock:
    """Milliseconds that only go up, and unix time once somebody told it: the device has no clock of its own.

    ticks, difference : `time.ticks_ms` and `time.ticks_diff`; the ESP32's wrap after twelve days
    """

    def __init__(self, ticks, difference):
        self._ticks, self._difference = ticks, difference
        self._last, self._ms, self._ahead = ticks(), 0, None

    def ms(self):
        """Milliseconds since the start."""
        now = self._ticks()
        self._ms += self._difference(now, self._last)
        self._last = now
        return self._ms

    def unix_ms(self):
        """Unix time [ms], None as long as nobody told it."""
        return None if self._ahead is None else self.ms() + self._ahead

    def set(self, unix):
        """It is now some instant of this second [unix s]; a clock that already says so is left alone."""
        now = self.unix_ms()
        if now is None or not -1000 <= now - unix * 1000 <= 2000:
            self._ahead = unix * 1000 - self.ms()

    def until(self, unix):
        """On the clock of `ms`, when unix time will be this [s]."""
        return unix * 1000 - self._ahead


class Device:
    """One meter and its relay.

    config : what the installer wrote; `docs/firmware.md` has every key
    flash : its files; secret : 32 bytes
    sensor, relay : `sample` and `counters` of the one, `set` of the other
    controller : the delivery controller, before it is restored
    clock : a `Clock`
    """

    def __init__(self, config, flash, secret, sensor, relay, controller, clock):
        self.clock, self.flash, self.controller = clock, flash, controller
        self.meter = secp256k1.address(secret)
        self._secret, self._sensor, self._relay = secret, sensor, relay
        self._separator = unhexlify(config["separator"])
        self._operators = [unhexlify(operator) for operator in config["operators"]]
        self._sample_ms = config.get("sample_ms", 200)
        kept = flash.state()
        self._slots = Slots(config["slot_seconds"], config.get("slot_offset", 0), kept.get("slots"))
        self._registers, self._counted = kept.get("registers", [0, 0]), (0, 0)
        self._sequence = max(kept.get("sequence", 0), flash.newest)
        self._demand, self.reports = kept.get("demand"), kept.get("reports", [])
        self._resumed, self._told_of = self._demand is None, ""
        self._due, self._arrived = kept.get("due", []), []
        # The highest number that somebody was handed since the start.
        self._handed = 0
        self._sampled = self._saved = clock.ms()
        self._shown = clock.ms(), self._registers[0] - self._registers[1]
        self.figures = None, None, None
        self.changed = True
        if flash.newest:
            # The power may have gone between keeping the reading and saving that it was made.
            newest = json.loads(flash.get(flash.newest))["slot"]
            self._slots.made(newest)
            self._due = [due for due in self._due if due[0] != newest]
        if "controller" in kept:
            controller.restore(kept["controller"])
        relay.set(False)

    def tick(self):
        """Take a sample and do what it asks for."""
        now = self._sampled = self.clock.ms()
        try:
            self.figures = self._sensor.sample(now)
            self._count(self._sensor.counters())
        except OSError:
            self.figures = None, None, None
        self._obey(self.controller.step(now, *self.figures))
        unix = self.clock.unix_ms()
        if unix is not None:
            self._due += self._slots.take(unix, *self._registers)
        if now - self._saved >= (SAVE_ON_MS if self.controller.relay else SAVE_MS):
            self.save()

    def pause(self):
        """What a signature calls between its windows: a sample, where one is due."""
        if self.clock.ms() - self._sampled >= self._sample_ms:
            self.tick()

    def work(self):
        """Sign the oldest slot that is due, and see to the oldest demand that arrived."""
        if self._due:
            self._sign(*self._due[0])
        if self.clock.unix_ms() is None:
            return
        if not self._resumed:
            self._resumed = True
            self._take_up(*self._demand)
        if self._arrived:
            self._judge(self._arrived.pop(0))

    def demanded(self, given):
        """Keep a demand [dict] until `work`, which judges it: that takes longer than a broker should wait."""
        if len(self._arrived) < REPORTS:
            self._arrived.append(given)

    def acknowledged(self, given):
        """Forget the readings that the exchange's acknowledgement [dict] names, of those that were sent to it."""
        refused = [each["sequence"] for each in given["refused"]]
        self.flash.drop(min(given["upto"], self._handed), [each for each in refused if each <= self._handed])

    def waiting(self, count):
        """Up to so many readings that wait to be acknowledged: their numbers, and the text of their list."""
        numbers = self.flash.oldest(count)
        self._handed = max(self._handed, numbers[-1] if numbers else 0)
        return numbers, "[" + ",".join(self.flash.get(number) for number in numbers) + "]"

    def live(self):
        """What is measured now, unsigned: V, I and W of the home, its power the mean since the last time; Wh.

        Power and current are positive into the home; time is unix [s]; what the sensor does not give is None.
        """
        now, mv, unix = self.clock.ms(), self.figures[0], self.clock.unix_ms()
        (before, old), net = self._shown, self._registers[0] - self._registers[1]
        self._shown = now, net
        watts = (net - old) * 3600 // (now - before) if now > before else 0
        return {
            "V": None if mv is None else mv / 1000,
            "I": None if not mv else watts * 1000000 // mv / 1000,
            "W": watts,
            "whIn": self._registers[0] // 1000,
            "whOut": self._registers[1] // 1000,
            "time": None if unix is None else unix // 1000,
        }

    def status(self):
        """What the operators see of the device: relay, fault, the newest demand, and what the last ones delivered."""
        controller = self.controller
        return {
            "online": True,
            "relay": controller.relay,
            "fault": controller.fault,
            "demand": controller.number,
            "mwh": controller.delivered_mwh,
            "reports": self.reports,
            "waiting": self.flash.waiting,
        }

    def told(self, status):
        """The broker has this status, and with it the fault that it names."""
        self._told_of = status["fault"]

    def save(self):
        """Keep what must outlive a power cut."""
        self._saved = self.clock.ms()
        self.flash.save({
            "sequence": self._sequence,
            "registers": self._registers,
            "slots": self._slots.state(),
            "due": self._due,
            "controller": self.controller.state(),
            "demand": self._demand,
            "reports": self.reports,
        })  # fmt: skip

    def _count(self, counters):
        """Add to the registers what the sensor's counters gained; they begin at 0 with the sensor."""
        self._registers = [register + new - old for register, new, old in zip(self._registers, counters, self._counted)]
        self._counted = counters

    def _sign(self, slot, wh_in, wh_out):
        """A slot's reading, kept before anybody hears of it."""
        number = self._sequence = self._sequence + 1
        signature = readings.sign_reading(
            self._secret, self._separator, self.meter, slot, wh_in, wh_out, number, self.pause
        )
        self.flash.put(number, json.dumps({
            "meter": _hex(self.meter),
            "slot": slot,
            "whIn": wh_in,
            "whOut": wh_out,
            "sequence": number,
            "signature": _hex(signature),
        }))  # fmt: skip
        self._due.pop(0)
        self.save()

    def _judge(self, given):
        """Obey a demand if one of the operators signed it for this meter."""
        try:
            if _bytes(given["meter"]) != self.meter:
                raise ValueError("it is for another meter")
            number, mwh, until = (given[name] for name in ("number", "mwh", "until"))
            by = readings.demanded_by(
                self._separator, self.meter, number, mwh, until, _bytes(given["signature"]), self.pause
            )
            if by not in self._operators:
                raise ValueError("no operator signed it")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            print("A demand is refused:", error)
            return
        if self.controller.fault and self._told_of == self.controller.fault and number > self.controller.number:
            # Whoever demands anew knows what the status says.
            self.controller.acknowledge()
        self._take_up(number, mwh, until)

    def _take_up(self, number, mwh, until):
        events = self.controller.demand(number, mwh, self.clock.until(until))
        self._demand = [number, mwh, until] if self.controller.number == number else self._demand
        self._obey(events)
        self.tick()
        self.save()

    def _obey(self, events):
        for event in events:
            if event[0] == "relay":
                self._relay.set(event[1])
            elif event[0] == "report":
                report = dict(zip(("number", "mwh", "reason"), event[1:]))
                self.reports = [each for each in self.reports if each != report][1 - REPORTS :]
                self.reports.append(report)
            else:
                print("Demand", event[1], "is refused:", event[2])
            self.changed = True
        if events:
            self.save()


def _hex(data):
    return "0x" + hexlify(data).decode()


def _bytes(text):
    if not text.startswith("0x"):
        raise ValueError("bytes are written as 0x and hexadecimal digits")
    return unhexlify(text[2:])
