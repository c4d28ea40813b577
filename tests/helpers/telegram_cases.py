"""Messages that devices send, and devices that send them, as tests of drivers need them."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from commonwatt.meter.telegrams import Driver, Sample
from commonwatt.meter.telegrams.dsmr import crc16

NOON = 1_781_524_800_000
"""2026-06-15 12:00 UTC [unix ms]."""
ID = "shellypro3em-0123456789ab"
KEYS = [f"{phase}_total_act{way}_energy" for phase in "abc" for way in ("", "_ret")]


def heard(driver: Driver[Any], messages: Iterable[tuple[str, bytes, int]]) -> tuple[Any, list[Sample], list[str]]:
    """The state after all messages, the samples and the complaints."""
    state = driver.begin()
    samples: list[Sample] = []
    complaints: list[str] = []
    for topic, payload, at in messages:
        state, more, said = driver.read(state, topic, payload, at)
        samples += more
        complaints += said
    return state, samples, complaints


def telegram(lines: Sequence[str], check: str | None = None) -> bytes:
    """A P1 telegram of these objects, with its right checksum or another."""
    body = "".join(f"{line}\r\n" for line in ("/XMX5LGBBFG1009394887", "", *lines)).encode() + b"!"
    return body + f"{check if check is not None else f'{crc16(body):04X}'}\r\n".encode()


def p1(brought: str = "000010.500", taken: str = "000001.250", time: str = "260615140000S") -> bytes:
    """A P1 telegram of one tariff that counts and one that does not; without a time where it is empty."""
    clock = [f"0-0:1.0.0({time})"] if time else []
    figures = (("1.8.1", brought), ("1.8.2", "000000.000"), ("2.8.1", taken), ("2.8.2", "000000.000"))
    registers = [f"1-0:{name}({figure}*kWh)" for name, figure in figures]
    return telegram([*clock, *registers, "1-0:1.7.0(00.500*kW)", "1-0:2.7.0(00.000*kW)"])


def notified(params: Mapping[str, object], method: str = "NotifyStatus") -> bytes:
    """A Shelly's notification."""
    return json.dumps({"src": ID, "dst": f"{ID}/events", "method": method, "params": params}).encode()


def answered(result: Mapping[str, object]) -> bytes:
    """A Shelly's answer to a request."""
    return json.dumps({"id": 1, "src": ID, "dst": f"commonwatt/{ID}", "result": result}).encode()


def minutes(start: int, brought: list[float], taken: list[float]) -> dict[str, object]:
    """Records of one block from `start` [unix s], shared among the phases."""
    rows = [[come, out, 0, 0, 0, 0] for come, out in zip(brought, taken, strict=True)]
    return {"keys": KEYS, "data": [{"ts": start, "period": 60, "values": rows}]}


def model(number: int, length: int, words: Mapping[int, int | Sequence[int]]) -> list[int]:
    """The words of a SunSpec model with its number and length; those that are not given are zero."""
    data = [0] * length
    for place, given in words.items():
        several = [given] if isinstance(given, int) else list(given)
        data[place : place + len(several)] = [word & 0xFFFF for word in several]
    return [number, length, *data]


def meter_203(brought: int, taken: int, power: int, energy_scale: int = 0) -> list[int]:
    """A three-phase meter: energies [Wh, times ten to the power of the scale] and power [W]."""
    words: dict[int, int | Sequence[int]] = {16: power, 20: 0, 36: halves(taken), 44: halves(brought), 52: energy_scale}
    return model(203, 105, words)


def halves(number: int) -> list[int]:
    """A number of 32 bits in two words."""
    return [number >> 16, number & 0xFFFF]


def floats(value: float) -> list[int]:
    """A float32 in two words."""
    return list(struct.unpack(">2H", struct.pack(">f", value)))


def device(*models: Sequence[int]) -> list[int]:
    """A SunSpec device of these models, from its marker to its end."""
    return [0x5375, 0x6E53, *(word for each in models for word in each), 0xFFFF, 0]


def payload(words: Sequence[int]) -> bytes:
    """Words as they come over Modbus."""
    return struct.pack(f">{len(words)}H", *words)
