"""A box from nothing: what `commonwatt init` makes is well, is served, and is changed by nobody."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from exchange_cases import SOURCE
from node_processes import free_port
from services import program
from shell import Shell

from commonwatt.errors import ConfigError, OutputError
from commonwatt.exchange.loading import load
from commonwatt.ledger.keyfile import read_key
from commonwatt.service.doctor import State, examine
from commonwatt.service.initial import Wanted, begin

NOW = datetime.now(UTC)
SECONDS = 180
WANTED = Wanted(
    "Møllevej 7", "DKK", "Europe/Copenhagen", "box.local", Path(shutil.which("true") or "/bin/true"), "commonwatt"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that Mosquitto, which gives up root, may enter."""
    program("mosquitto")
    home = Path(tempfile.mkdtemp(prefix="cw-"))
    home.chmod(0o755)
    yield home / "box"
    shutil.rmtree(home)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_made_is_whole_and_secret_where_it_must_be(folder: Path) -> None:
    begun = begin(folder, WANTED, NOW)
    names = {str(path.relative_to(folder)) for path in begun.made}
    assert names == {
        "community.toml", "operator.key", "commonwatt.service", "broker.secret", "broker/mosquitto.conf",
        "tls/authority.pem", "tls/authority.key", "tls/server.pem", "tls/server.key",
    }  # fmt: skip
    assert (begun.left, begun.without) == ((), ())
    for path in folder.rglob("*"):
        if path.suffix in (".key", ".secret", ".conf", ".json"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    community = load(folder / "community.toml")
    assert (community.name, community.currency, community.timezone) == ("Møllevej 7", "DKK", "Europe/Copenhagen")
    assert (community.live.names, community.members[0].wallet) == (("box.local",), begun.operator)
    assert read_key(folder / "operator.key").address == begun.operator
    assert begun.qr == f"https://box.local:8443/#authority=sha256:{begun.certificates.fingerprint.hex()}"
    states = {check.name: check.state for check in examine(folder, NOW, lambda: True)}
    assert set(states.values()) - {State.CARE} == {State.GOOD}


def test_the_second_time_nothing_is_changed_and_what_is_missing_is_made(folder: Path) -> None:
    begin(folder, WANTED, NOW)
    before = contents(folder)
    again = begin(folder, replace(WANTED, name="Other", host="other.local"), NOW)
    assert (again.made, len(again.left), contents(folder)) == ((), 9, before)
    (folder / "community.toml").unlink()
    (folder / "commonwatt.service").write_text("mine")
    third = begin(folder, WANTED, NOW)
    assert [path.name for path in third.made] == ["community.toml"]
    assert contents(folder) == {**before, "commonwatt.service": b"mine"}


def test_once_more_a_certificate_that_ends_soon_is_renewed_and_nothing_else(folder: Path) -> None:
    first = begin(folder, WANTED, NOW)
    before = contents(folder)
    again = begin(folder, WANTED, NOW + timedelta(days=300))
    changed = {name for name, content in contents(folder).items() if content != before[name]}
    assert changed == {"tls/server.pem", "tls/server.key"}
    assert (again.qr, again.certificates.renewed) == (first.qr, True)


def test_systemd_takes_the_unit_and_finds_it_hardened(folder: Path) -> None:
    begin(folder, WANTED, NOW)
    analyze, unit = program("systemd-analyze"), str(folder / "commonwatt.service")
    verified = subprocess.run([analyze, "verify", unit], capture_output=True, text=True)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    security = [analyze, "security", "--offline=true", "--threshold=25", unit]
    judged = subprocess.run(security, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize(
    ("key", "value"), [("name", 'a" = 1'), ("name", "100 %h"), ("host", "box\nUser=root"), ("currency", "")]
)
def test_what_would_break_a_file_is_refused_before_there_is_one(folder: Path, key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}: has letters"):
        begin(folder, Wanted(**{**vars(WANTED), key: value}), NOW)
    assert not folder.exists()


def test_what_cannot_be_is_said_in_a_sentence(folder: Path, said: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = said("init", folder, "--timezone", "Europe/Atlantis")
    assert (answer.code, "community.timezone" in answer.err) == (2, True)
    folder.joinpath("file").write_text("")
    with pytest.raises(OutputError, match="cannot be made"):
        begin(folder / "file" / "box", WANTED, NOW)
    monkeypatch.setattr("commonwatt.service.broker._PROGRAMS", ())
    monkeypatch.setenv("PATH", "")
    begun = begin(folder.parent / "other", WANTED, NOW)
    assert begun.without == ("live.broker is Mosquitto, which is not installed; on Debian: apt install mosquitto",)


def test_a_box_is_served_as_it_was_made(folder: Path, said: Shell) -> None:
    answer = said("init", folder, "--name", "Sun Street", "--host", "box.local", "--json", "-")
    assert (answer.code, answer.err) == (0, "")
    assert len(json.loads(answer.out)["made"]) == 9
    file, port = folder / "community.toml", free_port()
    text = file.read_text().replace("8443", str(port)).replace("8883", str(free_port()))
    file.write_text(text)
    trust = ssl.create_default_context(cafile=str(folder / "tls" / "authority.pem"))
    log = folder.with_name("log")
    command = [sys.executable, "-m", "commonwatt.cli", "serve", str(file), "--dir", str(folder), "--trust-clock"]
    with (
        log.open("wb") as said_there,
        subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": SOURCE}, stdout=said_there, stderr=said_there
        ) as process,
        httpx.Client(verify=trust, trust_env=False, timeout=SECONDS) as client,
    ):
        try:
            _wait(process, log, lambda: b"is served at" in log.read_bytes())
            assert client.get(f"https://localhost:{port}/healthz").is_success
            checks = list(examine(folder, NOW, lambda: True))
            assert [check for check in checks if check.state == State.BAD] == []
            assert checks[-1].said == f"It answers at 0.0.0.0:{port}."
            address = f"https://localhost:{port}/metrics"
            _wait(process, log, lambda: "commonwatt_loop_lag_seconds_count 0.0" not in client.get(address).text)
            figures = client.get(address).text
            for child in ("broker", "chain"):
                assert f'commonwatt_child_up{{child="{child}"}} 1.0' in figures
            assert "commonwatt_broker_connected 1.0" in figures
            saved = said("community", "backup", folder, "--to", folder.with_name("backup.tar.gz"))
            assert (saved.code, "with its chain up to block" in saved.out) == (0, True)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)
    lines = log.read_text().splitlines()
    assert process.returncode == 0, lines
    spoken = (f" is served at https://0.0.0.0:{port}", "Its chain is at http://127.0.0.1:")
    told = [json.loads(line) for line in lines if not any(each in line for each in spoken)]
    assert {line["room"] for line in told} >= {"service"}
    assert [line for line in told if "traceback" in line] == []
    secrets = [path.read_text().strip() for path in folder.rglob("*") if path.suffix in (".key", ".secret", ".token")]
    assert [secret for secret in secrets if secret in log.read_text()] == []


def _wait(process: subprocess.Popen[bytes], log: Path, true: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
