"""Wires that can be cut: TCP relays to ports of this machine, for demonstrations and tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress

_HOST = "127.0.0.1"
_CHUNK = 1 << 16


class Relays:
    """One relay per target port, on a thread of their own; `ports` are where they listen, in the targets' order."""

    def __init__(self, targets: Sequence[int]) -> None:
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._cut = False
        self._servers = [self._loop.run_until_complete(self._listen(target)) for target in targets]
        self.ports = [server.sockets[0].getsockname()[1] for server in self._servers]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Break every connection, and each new one until `heal`."""
        self._cut = True
        self._loop.call_soon_threadsafe(self._break)

    def heal(self) -> None:
        """Carry everything again."""
        self._cut = False

    def __enter__(self) -> Relays:
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self, target: int) -> asyncio.Server:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.add(writer)
            with suppress(OSError):
                if not self._cut:
                    far_reader, far_writer = await asyncio.open_connection(_HOST, target)
                    self._open.add(far_writer)
                    await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
            self._close(writer)

        return await asyncio.start_server(carry, _HOST, 0)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await reader.read(_CHUNK):
                writer.write(part)
                await writer.drain()
        self._close(writer)

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.close()

    def _break(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()
        self._open.clear()

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        self._break()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
