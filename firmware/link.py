"""Between a device and its broker: what is published, what is listened to, and the next try after five seconds.

Topics below `cw/<address>/`: `reading`, `live` and `status` from the meter, `ack` and `demand` to it. `cw/time` is for
all.
"""

import asyncio
import json
from binascii import hexlify

from controller import reconnect_in
from mqtt import Client

# Readings in one message.
TOGETHER = 10
# 2100-01-01: a time [unix s] from there on is a mistake.
LATEST = 4102444800
OFFLINE = b'{"online": false}'


class Link:
    """Keeps a device in touch with its broker.

    config : host, port, user and password under "broker"
    live_ms : between two messages on `live`; resend_ms : until readings are sent again that nobody acknowledged
    tls : None, or the context and the name in the broker's certificate
    """

    def __init__(self, device, config, tls=None):
        broker = config["broker"]
        name = "0x" + hexlify(device.meter).decode()
        self._device, self._base = device, "cw/" + name + "/"
        self._live_ms, self._resend_ms = config.get("live_ms", 10000), config.get("resend_ms", 30000)
        self._client = Client(
            (broker["host"], broker["port"]),
            name,
            broker.get("user"),
            broker.get("password"),
            (self._base + "status", OFFLINE),
            self._heard,
            tls,
        )
        self._ready, self._sent, self._sent_at = False, [], None

    async def stay(self):
        """Connect, and again whenever the connection breaks."""
        clock, topics = self._device.clock, [("cw/time", 0), (self._base + "ack", 0), (self._base + "demand", 1)]
        tried = None
        while True:
            await asyncio.sleep_ms(reconnect_in(clock.ms(), tried))
            tried = clock.ms()
            try:
                await self._client.session(topics, self._begun)
            except OSError as error:
                print("Without the broker:", error)
            self._ready = False

    async def send(self):
        """Publish readings until they are acknowledged, and the status whenever it changed."""
        device = self._device
        while True:
            await asyncio.sleep_ms(50)
            if not self._ready:
                continue
            try:
                if device.changed:
                    await self._send_status()
                await self._send_readings()
            except OSError as error:
                print("Not sent:", error)

    async def show(self):
        """Publish what is measured now, for whoever looks."""
        while True:
            await asyncio.sleep_ms(self._live_ms)
            if self._ready:
                try:
                    await self._client.publish(self._base + "live", json.dumps(self._device.live()).encode())
                except OSError as error:
                    print("Not sent:", error)

    def _begun(self):
        """A new connection: the status is that of the will, and what was sent may be lost."""
        self._ready, self._device.changed, self._sent = True, True, []

    async def _send_status(self):
        status = self._device.status()
        self._device.changed = False
        try:
            await self._client.publish(self._base + "status", json.dumps(status).encode(), 1, retain=True)
        except OSError:
            self._device.changed = True
            raise
        self._device.told(status)

    async def _send_readings(self):
        """The oldest that wait; others only when these are acknowledged, so that a backlog floods nobody."""
        numbers = self._device.flash.oldest(TOGETHER)
        now = self._device.clock.ms()
        still = [number for number in self._sent if number in numbers]
        if not numbers or (still and now - self._sent_at < self._resend_ms):
            return
        numbers, text = self._device.waiting(TOGETHER)
        self._sent, self._sent_at = numbers, now
        await self._client.publish(self._base + "reading", text.encode(), 1)

    def _heard(self, topic, payload, retained):
        """A message of the broker; one that cannot be read changes nothing."""
        try:
            given = json.loads(payload)
            if topic == self._base + "demand":
                self._device.demanded(given)
                return
            # A time that was retained is of some time ago. What is no integer is no longer exact on the ESP32.
            if not retained and type(given["time"]) is int and 0 < given["time"] < LATEST:
                self._device.clock.set(given["time"])
            if topic == self._base + "ack":
                self._device.acknowledged(given)
        except (KeyError, TypeError, ValueError, AttributeError, MemoryError, RuntimeError) as error:
            # Brackets in brackets take more memory than there is, or more depth.
            print("A message on", topic, "cannot be read:", error)
