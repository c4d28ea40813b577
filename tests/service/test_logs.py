"""What a service logs: lines that a machine reads, and no secret in any of them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import pty
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from operated_cases import Box, operated

from commonwatt.service.logs import hidden, set_up

LOGGER = logging.getLogger("commonwatt.service.running")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    yield
    logging.captureWarnings(capture=False)
    root.level, root.handlers[:] = before


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    # A server of another test, in the same process, may keep what it says to itself.
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)
    stream = io.StringIO()
    set_up(stream, logging.DEBUG)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line_with_its_fields(said: io.StringIO) -> None:
    LOGGER.warning("Meter %s says\nnothing.", "0x12", extra={"slot": 900, "member": "møen"})
    (line,) = lines(said)
    assert list(line)[:4] == ["time", "level", "room", "message"]
    assert line["time"].endswith("+00:00")
    del line["time"]
    told = {"level": "warning", "room": "service.running", "message": "Meter 0x12 says\nnothing."}
    assert line == {**told, "slot": 900, "member": "møen"}


def test_a_traceback_is_a_field(said: io.StringIO) -> None:
    try:
        raise ValueError("postgresql://cw:hush@db/cw is away")
    except ValueError:
        LOGGER.exception("What was due could not be done.")
    (line,) = lines(said)
    assert line["traceback"].splitlines()[0] == "Traceback (most recent call last):"
    assert line["traceback"].splitlines()[-1] == "ValueError: postgresql://cw:***@db/cw is away"


def test_warnings_and_what_libraries_say_are_lines_too(said: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    logging.getLogger("uvicorn.access").info("GET /")
    assert [line["room"] for line in lines(said)] == ["py.warnings", "uvicorn.error"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgresql://cw:hush@db/cw is away", "postgresql://cw:***@db/cw is away"),
        ("Authorization: Bearer hush", "Authorization: ***"),
        ("GET /v1/events?token=hush&after=3", "GET /v1/events?token=***&after=3"),
        ("{'operator_token': 'hush hush', 'x': 1}", "{'operator_token': ***, 'x': 1}"),
        ('{"password":"hush"}', '{"password":***}'),
        ("set-cookie: cw=hush; HttpOnly; other=hush", "set-cookie: ***"),
        ("broker_secret=hush", "broker_secret=***"),
        ("private key: hush", "private key: ***"),
        ("block 0x12 has its hash", "block 0x12 has its hash"),
        ("three passes: ok", "three passes: ok"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, left: str) -> None:
    assert hidden(text) == left


def test_a_field_with_the_name_of_a_secret_is_hidden(said: io.StringIO) -> None:
    LOGGER.info("joined", extra={"token": "hush", "sign_in": {"password": "hush"}})
    assert "hush" not in said.getvalue()


@given(st.text(), st.text())
def test_whatever_is_said_stays_one_line(text: str, name: str) -> None:
    stream = io.StringIO()
    set_up(stream)
    LOGGER.warning("%s", text, extra={f"field {name}": text})
    stream.seek(0)
    assert len(stream.getvalue().encode("utf-8").split(b"\n")) == 2
    json.loads(stream.getvalue())


def test_a_terminal_is_written_text() -> None:
    here, there = pty.openpty()
    program = (
        "import logging; from commonwatt.service.logs import set_up; set_up()\n"
        "logger = logging.getLogger('commonwatt.service.mqtt')\n"
        "try: 1 / 0\nexcept ZeroDivisionError: logger.exception('It \\x1b[2J broke.')"
    )
    subprocess.run([sys.executable, "-c", program], stderr=there, check=True)
    os.close(there)
    said = os.read(here, 10_000).decode()
    os.close(here)
    assert "error   service.mqtt: It \\x1b[2J broke.\r\n" in said
    assert "ZeroDivisionError: division by zero\r\n" in said


def test_a_run_with_faults_tells_no_secret(tmp_path: Path, said: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(tmp_path)
    monkeypatch.setattr("commonwatt.service.mqtt._RECONNECT_SECONDS", 0.1)

    async def scene() -> None:
        async with operated(box) as port, httpx.AsyncClient(trust_env=False) as client:
            url = f"http://127.0.0.1:{port}"
            await box.running.readings(box.readings(0))
            headers = {"authorization": "Bearer hush-token", "cookie": "session=hush-cookie"}
            await client.post(f"{url}/v1/readings?token=hush-query", content=b"{", headers=headers)
            monkeypatch.setattr(box.live, "advance", lambda _: 1 / 0)
            while "ZeroDivisionError" not in said.getvalue():
                await asyncio.sleep(0.05)

    asyncio.run(scene())
    box.close()
    secrets = [*box.secrets, "hush-token", "hush-cookie", "hush-query"]
    assert len(secrets) > 8
    assert [each for each in secrets if each in said.getvalue()] == []
    assert all(line["message"] for line in lines(said))
