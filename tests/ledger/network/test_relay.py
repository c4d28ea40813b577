"""Relays: what goes through them, and what they leave behind when they end."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from ledger_cases import SOAK

from commonwatt.ledger.network.relay import Relays

LATE = 60.0
"""Seconds after which a test has failed; what it waits for comes much earlier."""


@contextmanager
def echo() -> Iterator[int]:
    """The port of somebody who says everything back."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=say_back, args=(listener.accept()[0],)).start()

    def say_back(client: socket.socket) -> None:
        with client, suppress(OSError):
            while part := client.recv(1 << 16):
                client.sendall(part)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), LATE)


def said_back(client: socket.socket) -> bytes:
    client.sendall(b"hello")
    return client.recv(5)


def test_wires_that_are_cut_carry_nothing_until_they_heal() -> None:
    with echo() as port, Relays([port]) as relays:
        with connected(relays.ports[0]) as client:
            assert said_back(client) == b"hello"
            relays.cut()
            with suppress(ConnectionResetError):
                assert client.recv(5) == b""
        with connected(relays.ports[0]) as client, suppress(ConnectionResetError, BrokenPipeError):
            assert said_back(client) == b""
        relays.heal()
        with connected(relays.ports[0]) as client:
            assert said_back(client) == b"hello"


def test_a_relay_ends_though_its_target_takes_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as stack:
        port = full.getsockname()[1]
        stack.enter_context(connected(port))  # as many as wait to be taken
        with Relays([port]) as relays:
            clients = [stack.enter_context(connected(relays.ports[0])) for _ in range(3)]
            time.sleep(0.2)  # the relay is about to connect
        for client in clients:
            with suppress(ConnectionResetError):
                assert client.recv(5) == b""
    gc.collect()  # whatever was not closed says so now, and fails the test


def test_a_connection_that_is_accepted_at_the_very_end_is_closed() -> None:
    with echo() as port, Relays([port]) as relays:
        held = threading.Event()
        relays._loop.call_soon_threadsafe(held.wait)
        with connected(relays.ports[0]):
            ended = asyncio.run_coroutine_threadsafe(relays._end(), relays._loop)
            held.set()  # now the loop finds the connection and the end at once
            ended.result()
    gc.collect()


@pytest.mark.parametrize("number", range(10 if SOAK else 2))
def test_nothing_is_left_open_when_others_connect_at_the_end(number: int) -> None:
    over = threading.Event()

    def connect(port: int) -> None:
        with ExitStack() as stack:
            for _ in range(200):
                if not over.is_set():
                    with suppress(OSError):
                        stack.enter_context(connected(port))

    with echo() as port:
        with Relays([port]) as relays:
            others = [threading.Thread(target=connect, args=(relays.ports[0],)) for _ in range(3)]
            for other in others:
                other.start()
            with connected(relays.ports[0]) as client:
                assert said_back(client) == b"hello"
        over.set()
        for other in others:
            other.join()
    gc.collect()
