"""Wires that can be cut: TCP relays to ports of this machine, for demonstrations and tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

_HOST = "127.0.0.1"
_CHUNK = 1 << 16
_TICK = 0.05


class Relays:
    """One relay per target port, on a thread of their own; `ports` are where they listen, in the targets' order."""

    def __init__(self, targets: Sequence[int]) -> None:
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
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
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.add(writer)
            task = asyncio.create_task(self._carry(target, reader, writer))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

        return await asyncio.start_server(accept, _HOST, 0)

    async def _carry(self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            async with self._opened(writer):
                if self._cut:
                    return
                far_reader, far_writer = await asyncio.open_connection(_HOST, target)
                async with self._opened(far_writer):
                    if not self._cut:
                        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    @asynccontextmanager
    async def _opened(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        """A side of a connection; at the end its socket is closed."""
        self._open.add(writer)
        try:
            yield
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            self._open.discard(writer)

    def _break(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _end(self) -> None:
        """Close all there is, also what is accepted at this moment: a loop that ends leaves nothing half done."""
        self._cut = True
        for server in self._servers:
            for listening in server.sockets:
                self._loop.remove_reader(listening)
        # Who was accepted by now is begun with before this goes on: asyncio would not close a socket whose task is
        # cancelled before it begins, or begins when its server has closed.
        await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            self._break()
            for other in others:
                other.cancel()
            await asyncio.wait(others, timeout=_TICK)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await reader.read(_CHUNK):
            writer.write(part)
            await writer.drain()
    writer.close()
