"""SunSpec: the maps of registers that inverters and their meters have over Modbus, decoded.

A device is a chain of models: its marker `SunS`, then number and length of each model before its words, until model
0xFFFF. Words are 16 bits, the higher ones first; a word's place here is counted behind number and length.

Source: SunSpec Device Information Model Specification 1.1 (types, not-implemented values, scale factors) and the model
definitions 101 to 103, 111 to 113, 201 to 204, 211 to 214 and 701 of the SunSpec Alliance.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from commonwatt.meter.telegrams.figures import Unreadable, power, register
from commonwatt.meter.telegrams.interface import Heard, Reads, Settings
from commonwatt.meter.telegrams.sample import Sample, at_arrival

BASES: Final = (40000, 0, 50000)
"""Where the marker is looked for."""
MARKER: Final = (0x5375, 0x6E53)
END: Final = 0xFFFF
_MOST_MODELS: Final = 100
_LAST_ADDRESS: Final = 0xFFFF


class Span(NamedTuple):
    """So many words from an address on."""

    address: int
    words: int


class Block(NamedTuple):
    """One model of a device: its number, where it begins (with number and length), and its words without these."""

    model: int
    address: int
    length: int


@dataclass(frozen=True)
class Layout:
    """Where a model has its figures, as places of words.

    kind : type of the energies: "acc32", "float32" or "uint64"
    power, power_scale : of the active power, an int16 or a float32; the scale is None for floats
    taken, brought : energies out of the home and into it; `brought` is None for inverters that only feed in
    energy_scale : of both energies
    sign : of power; -1 where positive is generation
    names : of the points `brought` and `taken`
    """

    kind: str
    power: int
    power_scale: int | None
    taken: int
    brought: int | None
    energy_scale: int | None
    sign: int
    names: tuple[str, str]

    @property
    def needed(self) -> int:
        """Words up to the last one that is read."""
        width = {"acc32": 2, "float32": 2, "uint64": 4}[self.kind]
        ends = [self.power + 2, self.taken + width, (self.brought or 0) + width]
        return max(*ends, (self.power_scale or 0) + 1, (self.energy_scale or 0) + 1)


_METER: Final = Layout("acc32", 16, 20, 36, 44, 52, 1, ("TotWhImp", "TotWhExp"))
_FLOAT_METER: Final = Layout("float32", 26, None, 58, 66, None, 1, ("TotWhImp", "TotWhExp"))
_INVERTER: Final = Layout("acc32", 12, 13, 22, None, 24, -1, ("", "WH"))
_FLOAT_INVERTER: Final = Layout("float32", 20, None, 30, None, None, -1, ("", "WH"))
LAYOUTS: Final[Mapping[int, Layout]] = {
    **dict.fromkeys((201, 202, 203, 204), _METER),
    **dict.fromkeys((211, 212, 213, 214), _FLOAT_METER),
    701: Layout("uint64", 8, 114, 17, 21, 118, -1, ("TotWhAbs", "TotWhInj")),
    **dict.fromkeys((101, 102, 103), _INVERTER),
    **dict.fromkeys((111, 112, 113), _FLOAT_INVERTER),
}
"""Models that are read, meters before inverters: where a device has both, the meter is what is settled."""


def survey() -> Generator[Span, Sequence[int] | None, tuple[Block, ...]]:
    """All models of a device: asks for spans of words and is sent them, or None where the device has no such address.

    Empty where no marker is found. A chain that does not end, or runs out of addresses, ends where it does.
    """
    for base in BASES:
        if tuple((yield Span(base, 2)) or ()) == MARKER:
            return (yield from _chain(base + 2))
    return ()


def _chain(address: int) -> Generator[Span, Sequence[int] | None, tuple[Block, ...]]:
    blocks: list[Block] = []
    while len(blocks) < _MOST_MODELS and address + 1 <= _LAST_ADDRESS:
        header = yield Span(address, 2)
        if header is None or len(header) != 2 or header[0] == END:
            break
        blocks.append(Block(header[0], address, header[1]))
        address += 2 + header[1]
    return tuple(blocks)


def choose(blocks: Sequence[Block], channel: str) -> Block | None:
    """The model to read: that of the channel, "203" or "203:1" for the second one, or else the best there is."""
    model, _, place = channel.partition(":")
    wanted = [int(model)] if model else list(LAYOUTS)
    found = [block for number in wanted for block in blocks if block.model == number]
    at = int(place or 0)
    return found[at] if at < len(found) else None


def span(block: Block) -> Span:
    """What of a model has to be read, in one request: energies that are read in two parts may not fit together."""
    return Span(block.address, 2 + min(block.length, LAYOUTS[block.model].needed))


@dataclass(frozen=True)
class SunSpec:
    """Reads one model's words, the higher byte first, beginning with its number and length; the topic says nothing.

    It has no time, so arrival counts. An inverter's energy is an export of the home. Meters of some makers, such as
    SolarEdge, count power as positive out of the home: `power_reversed`.
    """

    settings: Settings

    def __post_init__(self) -> None:
        model, colon, place = self.settings.channel.partition(":")
        right = model in map(str, LAYOUTS) and (not colon or (place.isascii() and place.isdigit() and len(place) <= 2))
        if self.settings.channel and not right:
            self.settings.refuse(
                "channel", f"is one of {', '.join(map(str, LAYOUTS))}, or such as 203:1 for the second"
            )

    def topics(self) -> tuple[str, ...]:
        """None: the device is asked."""
        return ()

    def begin(self) -> None:
        """There is nothing to remember."""

    def read(self, state: None, topic: str, payload: bytes, at: int) -> Heard[None]:  # noqa: ARG002
        """One sample of one model."""
        try:
            return Heard(None, (at_arrival(self.settings.oriented(self._sample(payload, at)), at),))
        except Unreadable as error:
            return Heard(None, (), (str(error),))

    def reads(self) -> Reads:
        """Points of the model definitions."""
        model = int(self.settings.channel.partition(":")[0] or 203)
        return Reads(*LAYOUTS[model].names, "W", "Wh", "ask it every 10 to 60 s")

    def _sample(self, payload: bytes, at: int) -> Sample:
        if len(payload) < 4 or len(payload) % 2:
            raise Unreadable(f"The device answered {len(payload)} bytes, which are no model.")
        model, _, *words = struct.unpack(f">{len(payload) // 2}H", payload)
        layout = LAYOUTS.get(model)
        if layout is None:
            raise Unreadable(f"Model {model} has no energy that is read here.")
        if len(words) < layout.needed:
            raise Unreadable(f"Model {model} has {len(words)} words where {layout.needed} are due.")
        taken = _energy(words, layout, layout.taken)
        brought = None if layout.brought is None else _energy(words, layout, layout.brought)
        if taken is None and brought is None:
            raise Unreadable(f"Model {model} has no energy: the device does not count it.")
        return Sample(at, brought, taken, _power(words, layout))


def _energy(words: Sequence[int], layout: Layout, place: int) -> int | None:
    """An energy [mWh]; None where the device does not have it."""
    if layout.kind == "float32":
        value = _float(words, place)
        return None if value is None else register(value, "An energy", "Wh")
    width = 4 if layout.kind == "uint64" else 2
    number = 0
    for word in words[place : place + width]:
        number = number << 16 | word
    scale = _scale(words, layout.energy_scale)
    if scale is None or (layout.kind == "uint64" and number == 2**64 - 1):
        return None
    return register(Decimal(number).scaleb(scale), "An energy", "Wh")


def _power(words: Sequence[int], layout: Layout) -> int | None:
    """Active power [mW], positive = into the home; None where the device does not have it."""
    if layout.power_scale is None:
        value = _float(words, layout.power)
        return None if value is None else layout.sign * power(value, "The power", "W")
    number, scale = _signed(words[layout.power]), _scale(words, layout.power_scale)
    if number == -0x8000 or scale is None:
        return None
    return layout.sign * power(Decimal(number).scaleb(scale), "The power", "W")


def _scale(words: Sequence[int], place: int | None) -> int | None:
    """A power of ten; None where the device does not have one."""
    scale = _signed(words[place or 0])
    if scale == -0x8000:
        return None
    if not -10 <= scale <= 10:
        raise Unreadable(f"A scale factor is {scale}, and those of SunSpec are from -10 to 10.")
    return scale


def _signed(word: int) -> int:
    return word - 0x10000 if word >= 0x8000 else word


def _float(words: Sequence[int], place: int) -> Decimal | None:
    """A float32, exactly; None for NaN, which stands for what a device does not have."""
    (value,) = struct.unpack(">f", struct.pack(">2H", *words[place : place + 2]))
    if value != value:
        return None
    if value in (float("inf"), float("-inf")):
        raise Unreadable("A figure is infinite.")
    return Decimal(value)
