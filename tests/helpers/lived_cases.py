"""Days that are lived by processes, all of which are killed, and whether what comes of them is the simulation's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from exchange_cases import SOURCE, START
from services import program

RUN = [sys.executable, "-W", "error", "-m", "commonwatt.cli"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": SOURCE}
KINDS = {"exchange", "chain", "broker", "homes", "database"}
"""What is killed."""
MONEY = ("balances", "deposits", "trades")
HILL = """
[community]
name = "Hill"
currency = "EUR"
timezone = "Europe/Berlin"

[tariff]
retail = "0.27"
feed_in = "0.08"

[live]
broker = "none"
"""
"""Nobody's yet; each test has its market."""


def ran(*arguments: object, seconds: float = 1_500) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, timeout=seconds, check=False
    )


@pytest.fixture
def entered() -> Iterator[Path]:
    """A folder that users without rights can enter, as those of the services."""
    with TemporaryDirectory(prefix="cw-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def require_lived_as_simulated(
    file: Path, folder: Path, clock: float, kills: int, seconds: float = 1_500
) -> dict[str, Any]:
    """The day ends as the simulation of it to the micro-unit, though so many processes were killed. Returns what each
    process held of memory, by its name."""
    program("mosquitto")
    program("postgres", sorted(Path("/usr/lib/postgresql").glob("*/bin")))
    lived, simulated = folder / "lived.json", folder / "simulated.json"
    told = ran(
        "live", "demo", file, "--start", START, "--clock", clock, "--kill", kills, "--seed", 7, "--database", "--dir",
        folder / "lived", "--json", lived, seconds=seconds,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "Traceback" not in told.stderr, told.stderr
    wanted = ran("simulate", file, "--start", START, "--json", simulated, seconds=seconds)
    assert wanted.returncode == 0, wanted.stderr
    found, expected = (json.loads(each.read_text("utf-8")) for each in (lived, simulated))
    return _require_equal(found, expected, kills)


def _require_equal(found: dict[str, Any], wanted: dict[str, Any], kills: int) -> dict[str, Any]:
    killed, memory = found.pop("killed"), found.pop("memory")
    assert killed.keys() == KINDS
    assert found.pop("kills") == sum(killed.values()) == kills
    same = [name for name in wanted if name not in ("cpu_seconds", "ledger")]
    assert {name: found[name] for name in same} == {name: wanted[name] for name in same}
    assert {name: found["ledger"][name] for name in MONEY} == {name: wanted["ledger"][name] for name in MONEY}
    assert found.keys() == wanted.keys()
    assert memory.keys() == KINDS
    return dict(memory)
