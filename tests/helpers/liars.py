"""Nodes that answer what a test tells them to, over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from at_once import AtOnce

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.rpc.service import Service

Answer = Callable[[bytes], bytes]
Lie = Callable[[dict[str, Any], Any], Any]
"""Of a call and its honest result, the result that is told."""


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """The URL of a server that answers each request with these bytes."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = answer(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def node_of(file: Path, lie: Lie = lambda _, honest: honest) -> Iterator[str]:
    """The URL of a node with this chain, which tells what `lie` makes of each result."""
    with EmbeddedChain(file, read_only=True) as chain:
        service, lock = Service(AtOnce(chain, lambda: 0)), threading.Lock()

        def answer(body: bytes) -> bytes:
            calls = json.loads(body)
            with lock:
                honest = json.loads(service.handle(body) or b"null")
            several = isinstance(calls, list)
            told = []
            for call, each in zip(calls if several else [calls], honest if several else [honest], strict=True):
                if "result" in each:
                    each["result"] = lie(call, each["result"])
                told.append(each)
            return json.dumps(told if several else told[0]).encode()

        with answering(answer) as url:
            yield url
