"""SunSpec devices asked over real Modbus TCP, in this process, by day and by night."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from telegram_cases import NOON, device, halves, meter_203, model

from commonwatt.errors import ConfigError, MeterError
from commonwatt.meter.telegrams import Settings, driver, preview
from commonwatt.service import listening
from commonwatt.service.devices import Device
from commonwatt.service.modbus import SunSpecReader
from commonwatt.service.previewing import listen

READER = driver("sunspec", Settings())
COMMON = model(1, 66, {})
INVERTER = model(103, 50, {12: 1500, 13: 0, 22: halves(4_000), 24: 0})
HOST = "127.0.0.1"


@asynccontextmanager
async def serving(words: Sequence[int], base: int = 40000, port: int = 0) -> AsyncIterator[int]:
    """A Modbus TCP device whose holding registers are these words; its port."""
    context = SimDevice(1, simdata=[SimData(base, values=list(words), datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(context=context, address=(HOST, port or free_port()))
    await server.serve_forever(background=True)
    try:
        assert server.transport is not None
        yield server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def reader(port: int, channel: str = "", patience: float = 0.5) -> SunSpecReader:
    return SunSpecReader(HOST, port, channel=channel, patience=patience)


async def read(port: int, channel: str = "") -> tuple[int | None, int | None, int | None]:
    async with reader(port, channel) as device:
        words = await device.poll()
    assert words is not None
    (sample,) = READER.read(None, "", words, NOON).samples
    return sample.import_mwh, sample.export_mwh, sample.power_mw


@pytest.mark.parametrize("base", [40000, 0, 50000])
def test_a_meter_is_found_and_read_wherever_its_models_begin(base: int) -> None:
    async def day() -> None:
        async with serving(device(COMMON, INVERTER, meter_203(70_000, 66_000, -500)), base) as port:
            assert await read(port) == (70_000_000, 66_000_000, -500_000)
            assert await read(port, "103") == (None, 4_000_000, -1_500_000)

    asyncio.run(day())


def test_one_connection_reads_again_and_again() -> None:
    async def day() -> None:
        async with serving(device(COMMON, meter_203(1, 2, 3))) as port, reader(port) as device_:
            first = await device_.poll()
            assert first is not None
            assert [await device_.poll() for _ in range(3)] == [first] * 3

    asyncio.run(day())


def test_a_device_that_does_not_speak_sunspec_is_told() -> None:
    async def day() -> None:
        async with serving([7] * 200) as port, reader(port) as device_:
            with pytest.raises(MeterError) as refused:
                await device_.poll()
            place = f"{HOST}:{port}"
            assert str(refused.value) == f"The device at {place} answers, and does not speak SunSpec."
            assert refused.value.place == place

    asyncio.run(day())


@pytest.mark.parametrize(("channel", "word"), [("", "no model with energy"), ("203:1", "no model 203:1")])
def test_a_model_that_a_device_does_not_have_is_told_with_those_it_has(channel: str, word: str) -> None:
    async def day() -> None:
        models = [COMMON, meter_203(1, 2, 3)] if channel else [COMMON, model(120, 26, {})]
        async with serving(device(*models)) as port, reader(port, channel) as device_:
            with pytest.raises(MeterError) as refused:
                await device_.poll()
            assert word in str(refused.value)
            assert "its 2 models: 1, 203." in str(refused.value) or "its 2 models: 1, 120." in str(refused.value)

    asyncio.run(day())


def test_at_night_nobody_answers_and_in_the_morning_the_same_reader_goes_on() -> None:
    async def night() -> None:
        port = free_port()
        async with reader(port) as device_:
            assert await device_.poll() is None
            async with serving(device(COMMON, meter_203(5, 0, 100)), port=port):
                assert await device_.poll() is not None
            # With other models than the evening before, and nobody looked at night.
            async with serving(device(COMMON, INVERTER, meter_203(6, 0, 100)), port=port):
                words = await device_.poll()
            assert words is not None
            assert READER.read(None, "", words, NOON).samples[0].import_mwh == 6_000

    asyncio.run(night())


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[int]:
    """Something that answers each request with the next of these behind its header, the last one for ever; its port."""
    left = list(answers)
    open_connections: set[asyncio.Task[None]] = set()

    async def serve(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        while request := await incoming.read(12):
            answer = left.pop(0) if len(left) > 1 else left[0]
            if answer:
                outgoing.write(request[:4] + (1 + len(answer)).to_bytes(2, "big") + request[6:7] + answer)
        outgoing.close()
        await outgoing.wait_closed()

    def connected(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        open_connections.add(asyncio.ensure_future(serve(incoming, outgoing)))

    async with await asyncio.start_server(connected, HOST, 0) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            await asyncio.gather(*open_connections)


def test_a_device_that_takes_the_connection_and_keeps_silent_is_asleep() -> None:
    async def night() -> None:
        async with answering(b"") as port, reader(port, patience=0.2) as device_:
            assert await device_.poll() is None

    asyncio.run(night())


@pytest.mark.parametrize("code", [6, 10, 11])
def test_a_gateway_that_cannot_reach_the_device_says_that_it_is_asleep(code: int) -> None:
    async def night() -> None:
        async with answering(bytes([0x83, code])) as port, reader(port) as device_:
            assert await device_.poll() is None

    asyncio.run(night())


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_a_device_that_has_no_such_registers_is_told(code: int) -> None:
    async def day() -> None:
        async with answering(bytes([0x83, code])) as port, reader(port) as device_:
            with pytest.raises(MeterError):
                await device_.poll()

    asyncio.run(day())


def test_a_device_that_changes_its_models_while_it_is_connected_is_told_and_looked_at_anew() -> None:
    def words(*values: int) -> bytes:
        return bytes([3, 2 * len(values)]) + b"".join(value.to_bytes(2, "big") for value in values)

    other = words(*([0] * 55))
    changed = [words(0x5375, 0x6E53), words(203, 105), words(0xFFFF, 0), other, words(0x5375, 0x6E53), words(0xFFFF, 0)]

    async def day() -> None:
        async with answering(*changed) as port, reader(port) as device_:
            with pytest.raises(MeterError, match="no longer has model 203"):
                await device_.poll()
            with pytest.raises(MeterError, match="does not speak SunSpec"):
                await device_.poll()

    asyncio.run(day())


async def polled(answer: bytes) -> bytes | None:
    async with answering(answer) as port, reader(port, patience=0.2) as device_:
        return await device_.poll()


@pytest.mark.parametrize("answer", [b"\x83", b"\x03\x04\x53", b"?" * 40])
def test_an_answer_that_is_no_modbus_is_silence(answer: bytes) -> None:
    assert asyncio.run(polled(answer)) is None


@pytest.mark.parametrize("answer", [b"\x03\x00", b"\x03\x02\x53\x75"])
def test_an_answer_of_fewer_words_than_asked_for_is_no_device(answer: bytes) -> None:
    with pytest.raises(MeterError):
        asyncio.run(polled(answer))


def test_without_pymodbus_the_person_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymodbus.client", None)
    with pytest.raises(ConfigError) as refused:
        SunSpecReader(HOST)
    assert 'pip install "commonwatt[sunspec]"' in str(refused.value)


def test_a_device_is_polled_and_what_it_said_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "_POLL_SECONDS", 0.02)

    async def day() -> None:
        async with serving(device(COMMON, meter_203(70_000, 66_000, -500))) as port:
            messages, trouble = await listen(Device(b"", "sunspec", place=f"{HOST}:{port}"), None, 2)
            assert trouble == ""
            assert len(messages) > 1
            last = preview(READER, messages).last
            assert last is not None
            assert (last.import_mwh, last.export_mwh, last.power_mw) == (70_000_000, 66_000_000, -500_000)
        async with serving([7] * 200) as port:
            messages, trouble = await listen(Device(b"", "sunspec", place=f"{HOST}:{port}"), None, 1)
            assert messages == []
            assert "does not speak SunSpec" in trouble

    asyncio.run(day())
