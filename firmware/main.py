"""Starts the meter: on an ESP32-S3 at power-on, under the unix port in the folder that is its flash.

`config.json` there says what is connected and whom to speak to; `docs/firmware.md` has every key.
"""

import asyncio
import json
import os
import sys
import time
from binascii import hexlify

import sensors
from controller import Controller, Limits
from device import Clock, Device
from flash import Flash
from link import Link
from secp256k1 import nothing

BOARD = sys.platform == "esp32"
if BOARD:
    import board


def main():
    """Run until the power goes."""
    with open("config.json") as file:
        config = json.load(file)
    if BOARD:
        relay = board.Relay(**config["relay"])
        board.start(config)
        sensor = board.sensor(config["sensor"])
    else:
        relay = Unwired()
        sensor = sensors.Simulated(relay, **config.get("simulated", {}))
    flash = Flash(os.getcwd().rstrip("/"), config.get("keep", 672))
    controller = Controller(Limits(**config.get("limits", {})))
    clock = Clock(time.ticks_ms, time.ticks_diff)
    device = Device(config, flash, flash.secret(os.urandom), sensor, relay, controller, clock)
    print("Meter 0x" + hexlify(device.meter).decode())
    link = Link(device, config, security(config["broker"]))
    try:
        asyncio.run(run(device, link, board.watchdog() if BOARD else nothing))
    finally:
        # Whatever ended this, a relay that nobody watches is open, and the watchdog starts the board anew.
        relay.set(False)
        device.save()


async def run(device, link, alive):
    """Sample, sign and speak to the broker, each beside the others; the first that fails ends all."""
    await asyncio.gather(link.stay(), link.send(), link.show(), measure(device, alive))


async def measure(device, alive):
    """What must never wait for the broker."""
    while True:
        device.pause()
        device.work()
        alive()
        await asyncio.sleep_ms(20)


def security(broker):
    """The TLS context and the name to look for in the certificate; None where no certificate is configured."""
    if "ca" not in broker:
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    with open(broker["ca"], "rb") as file:
        context.load_verify_locations(cadata=file.read())
    return context, broker.get("name", broker["host"])


class Unwired:
    """The relay of a simulated home."""

    on = False

    def set(self, on):
        """Close it or open it."""
        self.on = on


main()
