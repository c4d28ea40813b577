"""`commonwatt serve` and `commonwatt live demo` as people run them: processes, some of which are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from exchange_cases import START, written
from hypothesis import settings
from live_cases import RICH
from lived_cases import ENVIRONMENT, HILL, KINDS, RUN, ran, require_lived_as_simulated
from lived_cases import entered as entered
from node_processes import free_port
from visitor_cases import signed

from commonwatt.exchange.folder import EXCHANGE_FILE
from commonwatt.exchange.store import Store
from commonwatt.ledger.keyfile import new_key, read_key, write_key
from commonwatt.proof import Key, checksum_address
from commonwatt.proof.siwe import SignIn
from commonwatt.service.ports import ports

_NOTHING = """
from pathlib import Path
from commonwatt.cli import main
from commonwatt.service import clock, serving
serving.vouching = lambda now: ""
clock._SYNCHRONISED = Path("nowhere")
main()
"""
UNSURE = [sys.executable, "-W", "error", "-c", _NOTHING]
"""The same on a machine whose time nothing vouches for."""
COMMUNITY = (
    HILL
    + """
[market.day_ahead]
mechanism = "fixed"
gate = "15min"
price = "0.19"

[market.real_time]
mechanism = "sdr"
"""
)


@contextmanager
def served(
    log: Path, *arguments: object, end: int = signal.SIGTERM, run: Sequence[str] = RUN, clock: str = "--trust-clock"
) -> Iterator[httpx.Client]:
    """A client of an exchange that is served meanwhile."""
    port = free_port()
    command = [*run, "serve", *map(str, arguments), "--port", str(port), *clock.split()]
    with log.open("ab") as said, subprocess.Popen(command, env=ENVIRONMENT, stdout=said, stderr=said) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as client:
                _wait(client, process, log)
                yield client
        finally:
            process.send_signal(end)
            code = process.wait(120)
    assert code == (0 if end == signal.SIGTERM else -end), log.read_text("utf-8")


def _wait(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 240
    while True:
        assert process.poll() is None, log.read_text("utf-8")
        assert time.monotonic() < deadline
        try:
            assert client.get("/healthz").json()["status"] in ("starting", "ok", 503)
            assert client.get("/v1/community").status_code == 200  # answered once it has begun
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            return


def test_a_day_that_is_lived_by_processes_is_that_of_the_simulation_whoever_is_killed(entered: Path) -> None:
    kills = len(KINDS) if settings.get_current_profile_name() == "plain" else 20
    memory = require_lived_as_simulated(written(entered, RICH), entered, 10_000, kills)
    assert all(each["peak"] > 1 << 20 for each in memory.values())


@pytest.fixture
def hill(tmp_path: Path) -> Path:
    (tmp_path / "hill.toml").write_text(COMMUNITY, "utf-8")
    (tmp_path / "box").mkdir()
    write_key(tmp_path / "box" / "operator.key", new_key())
    return tmp_path


def test_a_community_without_members_is_served_and_somebody_joins_it_whatever_is_killed(hill: Path) -> None:
    arguments = hill / "hill.toml", "--dir", hill / "box"
    with served(hill / "log", *arguments, end=signal.SIGKILL) as client:
        first: dict[str, Any] = client.get("/v1/community").json()
        assert (first["community"], first["behind"], first["speed"]) == ("Hill", "", 1.0)
        assert first["nextGate"]["slots"] == 1
        assert 0 <= time.time() - first["now"] < 240
    with served(hill / "log", *arguments) as client:
        told = client.get("/v1/community").json()
        assert {name: told[name] for name in ("chainId", "settlement")} == {
            name: first[name] for name in ("chainId", "settlement")
        }
        node = f"http://127.0.0.1:{ports(hill / 'box')['chain']}"
        member, meter = (checksum_address(new_key().address) for _ in range(2))
        joined = ran(
            "community", "register", member, "--role", "prosumer", "--meter", meter, "--ledger", node,
            "--contract", told["settlement"], "--key", hill / "box" / "operator.key",
        )  # fmt: skip
        assert joined.returncode == 0, joined.stderr
        _until(lambda: _standing(hill / "box"))
    assert (hill / "log").read_text("utf-8").count("Hill is served at") == 2


def _standing(box: Path) -> int:
    from commonwatt.exchange import tables

    with closing(Store(box / EXCHANGE_FILE, read_only=True)) as store:
        return len(store.rows(tables.standing))


def _until(true: Any) -> None:
    deadline = time.monotonic() + 240
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_on_a_machine_whose_time_nothing_vouches_for_an_operator_does(hill: Path) -> None:
    arguments = hill / "hill.toml", "--dir", hill / "box"
    told = subprocess.run(
        [*UNSURE, "serve", *map(str, arguments), "--port", "0"], env=ENVIRONMENT, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert told.returncode == 2
    assert "clock: is vouched for by nothing" in told.stderr
    with served(hill / "log", *arguments, run=UNSURE):
        pass
    with served(hill / "log", *arguments, run=UNSURE, clock="") as client:
        waits = client.get("/healthz")
        assert waits.status_code == 503
        assert "Nothing vouches for the clock" in waits.json()["detail"]
        assert client.get("/v1/community").json()["behind"] == waits.json()["detail"]
        token = _signed_in(client, read_key(hill / "box" / "operator.key"))
        said = client.post(
            "/v1/operators/clock", json={"time": int(time.time())}, headers={"Authorization": f"Bearer {token}"}
        )
        assert said.status_code == 204, said.text
        _until(lambda: client.get("/healthz").is_success)
    assert "vouched for by operator 0x" in (hill / "log").read_text("utf-8")


def _signed_in(client: httpx.Client, key: Key) -> str:
    told = client.post("/v1/session/nonce").json()
    place = client.base_url.netloc.decode()
    message = SignIn(
        place, key.address, f"http://{place}", told["chainId"], told["nonce"], told["issuedAt"],
        statement="Sign in to Commonwatt.", expiration_time=told["expirationTime"],
    )  # fmt: skip
    answer = client.post(
        "/v1/session", json={"message": str(message), "signature": signed(message, key), "use": "token"}
    )
    return str(answer.json()["token"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--demo-clock", "60"], "start: is needed by a demo"),
        (["--demo-clock", "0.5", "--start", "2026-06-15"], "demo-clock: is from 1 to 10000"),
        (["--days", "1"], "are for a demo alone"),
        (["--port", "70000"], "port: is from 0 to 65535"),
        (["--key", "nowhere.key"], "The key file nowhere.key cannot be used"),
        (["--host", "192.0.2.7"], "cannot listen at 192.0.2.7"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(hill: Path, arguments: list[str], reason: str) -> None:
    given = arguments if "--port" in arguments else [*arguments, "--port", "0"]
    told = ran("serve", hill / "hill.toml", "--dir", hill / "box", "--trust-clock", *given)
    assert told.returncode not in (0, 1)
    assert reason in told.stderr
    assert "Traceback" not in told.stderr


def test_a_folder_that_another_process_serves_is_left_alone(hill: Path) -> None:
    arguments = hill / "hill.toml", "--dir", hill / "box"
    with served(hill / "log", *arguments) as client:
        told = ran("serve", *arguments, "--port", "0")
        assert told.returncode != 0
        assert "is open in another process" in told.stderr
        assert client.get("/healthz").is_success


def test_members_need_a_wallet_where_no_simulation_signs_for_them(hill: Path) -> None:
    (hill / "hill.toml").write_text(COMMUNITY + '\n[members]\nanna = { load = "simbench:H0-A" }\n', "utf-8")
    told = ran("serve", hill / "hill.toml", "--dir", hill / "box", "--trust-clock", "--port", "0")
    assert "members.anna: needs its wallet" in told.stderr


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('gate = "12:00"', 'gate = "1min"', "market: needs a gate 120 s or more before its slot"),
        ("[members]", "[ledger]\ngenerator_meters = true\n\n[members]", "ledger.generator_meters: gives generators"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "live demo"])
def test_what_a_living_exchange_cannot_do_is_told_before_anything_begins(
    tmp_path: Path, command: str, old: str, new: str, reason: str
) -> None:
    assert RICH.count(old) == 1
    file = written(tmp_path, RICH.replace(old, new))
    of_serve = ["--demo-clock", "60", "--port", "0"] if command == "serve" else []
    told = ran(*command.split(), file, "--start", START, "--dir", tmp_path / "box", *of_serve)
    assert told.returncode == 2
    assert reason in told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "box" / "chain").exists()
