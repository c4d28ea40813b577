"""Inverters and meters that are asked over Modbus TCP, as `meter.telegrams.sunspec` reads them.

An inverter without sun does not answer, or its gateway says so for it: that is night and no fault.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from commonwatt.errors import ConfigError, Finding, MeterError
from commonwatt.meter.telegrams.sunspec import Block, choose, span, survey
from commonwatt.plain import many

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusTcpClient

PORT: Final = 502
_ASLEEP: Final = (6, 10, 11)
"""Modbus exceptions of a device that is busy, or behind a gateway and silent."""


class _Silent(Exception):
    """Nobody answers."""


class SunSpecReader:
    """One device, asked again and again; an asynchronous context, which holds the connection.

    host, port, device : where it is, and its number there (1 for most inverters)
    channel : which of its models, as in the driver's settings; "" for the best there is
    patience : how long an answer may take [s]

    Raises ConfigError without pymodbus.
    """

    def __init__(self, host: str, port: int = PORT, device: int = 1, channel: str = "", patience: float = 3.0) -> None:
        self.place = f"{host}:{port}"
        self._device, self._channel = device, channel
        self._block: Block | None = None
        self._client = _client(host, port, patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    async def poll(self) -> bytes | None:
        """The words of the chosen model, as the SunSpec driver reads them; None while nobody answers.

        Raises MeterError where something answers that has no such model.
        """
        if not self._client.connected:
            # What answers next at this address may be another device, or the same with other models.
            self._block = None
        try:
            block = self._block or await self._found()
            words = await self._words(*span(block))
        except _Silent:
            self._client.close()
            return None
        if words is None or words[0] != block.model:
            self._block = None
            raise MeterError(self.place, f"The device at {self.place} no longer has model {block.model} where it was.")
        return struct.pack(f">{len(words)}H", *words)

    async def _found(self) -> Block:
        """The model to read, remembered for the next time."""
        blocks = await self._models()
        if not blocks:
            raise MeterError(self.place, f"The device at {self.place} answers, and does not speak SunSpec.")
        block = choose(blocks, self._channel)
        if block is None:
            models = ", ".join(str(each.model) for each in blocks)
            wanted = f"model {self._channel}" if self._channel else "model with energy"
            sentence = f"The device at {self.place} has no {wanted}; its {many(len(blocks), 'model')}: {models}."
            raise MeterError(self.place, sentence)
        self._block = block
        return block

    async def _models(self) -> tuple[Block, ...]:
        walk = survey()
        wanted = next(walk)
        while True:
            words = await self._words(*wanted)
            try:
                wanted = walk.send(words)
            except StopIteration as end:
                blocks: tuple[Block, ...] = end.value
                return blocks

    async def _words(self, address: int, count: int) -> Sequence[int] | None:
        """Words from an address on; None where the device has none. Raises _Silent."""
        from pymodbus.exceptions import ModbusException

        try:
            if not self._client.connected and not await self._client.connect():
                raise _Silent
            answer = await self._client.read_holding_registers(address, count=count, device_id=self._device)
        except (ModbusException, OSError) as error:
            raise _Silent from error
        if not answer.isError():
            return answer.registers if len(answer.registers) == count else None
        # Devices differ in the exception by which they say that they have no such words.
        if getattr(answer, "exception_code", 0) in _ASLEEP:
            raise _Silent
        return None


def _client(host: str, port: int, patience: float) -> AsyncModbusTcpClient:
    try:
        from pymodbus.client import AsyncModbusTcpClient
    except ImportError:
        findings = [Finding("driver", 'needs a further package; install it with: pip install "commonwatt[sunspec]"')]
        raise ConfigError("The meter's settings", findings) from None
    return AsyncModbusTcpClient(host, port=port, timeout=patience, retries=0, reconnect_delay=0)
