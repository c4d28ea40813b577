"""`commonwatt serve` with one operator's key and `commonwatt cosign` with another's, as people run them."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import httpx
import pytest
from exchange_cases import BILATERAL, HEAD, MEMBERS, START, TARIFF, written
from lived_cases import ENVIRONMENT, HILL, RUN
from node_processes import free_port

from commonwatt.errors import CommonwattError, ConfigError, NodeError, NotAdopted
from commonwatt.exchange.loading import load
from commonwatt.exchange.rules import Rules
from commonwatt.ledger.client.settlement import Addresses, LedgerClient
from commonwatt.ledger.keyfile import new_key, write_key
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.ledger.remote import RemoteNode
from commonwatt.proof import Key, checksum_address
from commonwatt.records.schema import to_bytes
from commonwatt.service.cosigning import Setting, cosign
from commonwatt.service.opening import Founders
from commonwatt.service.playable import require_cosignable
from commonwatt.service.ports import ports

COMMUNITY = (
    HILL
    + """
[market.day_ahead]
mechanism = "fixed"
gate = "2h"
price = "0.19"

[ledger]
operators = ["co-op", "grid", "town"]
threshold = 2
"""
)


@contextmanager
def running(log: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs meanwhile, and ends in order."""
    with log.open("ab") as said:
        command = [*RUN, *map(str, arguments)]
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=said, stderr=said)
        try:
            yield process
            assert process.poll() is None, log.read_text("utf-8")
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(120)
    assert code == 0, log.read_text("utf-8")


def until(true: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 400
    while not true():
        assert process.poll() is None, log.read_text("utf-8")
        assert time.monotonic() < deadline, log.read_text("utf-8")
        time.sleep(0.2)


@pytest.fixture
def keys(tmp_path: Path) -> list[Key]:
    """Of the operators; the first one's is on the box."""
    (tmp_path / "hill.toml").write_text(COMMUNITY, "utf-8")
    (tmp_path / "box").mkdir()
    found = [new_key() for _ in range(3)]
    for key, place in zip(found, ("box/operator.key", "grid.key", "town.key"), strict=True):
        write_key(tmp_path / place, key)
    return found


def test_the_ledger_is_told_what_an_operator_elsewhere_has_signed(tmp_path: Path, keys: list[Key]) -> None:
    file, box, port, log = tmp_path / "hill.toml", tmp_path / "box", free_port(), tmp_path / "served.log"
    url = f"http://127.0.0.1:{port}"
    elsewhere = [text for key in keys[1:] for text in ("--operator", checksum_address(key.address))]
    with running(log, "serve", file, "--dir", box, "--port", port, "--trust-clock", *elsewhere) as exchange:

        def answers() -> bool:
            try:
                return httpx.get(f"{url}/v1/community", trust_env=False, timeout=60).status_code == 200
            except httpx.TransportError:
                return False

        until(answers, exchange, log)
        told = httpx.get(f"{url}/v1/community", trust_env=False, timeout=60).json()
        slots = range(-(-told["now"] // 900) * 900 + 900, told["now"] + 6600, 900)
        node = f"http://127.0.0.1:{ports(box)['chain']}"
        with closing(RemoteNode(node)) as chain:
            settlement = to_bytes(told["settlement"], 20)
            ledger = LedgerClient(chain, keys[0], Addresses(ZERO_ADDRESS, settlement))
            assert not any(ledger.commitment(slot) for slot in slots)
            said = tmp_path / "signed.log"
            options = ["--key", tmp_path / "grid.key", "--community", file, "--dir", tmp_path / "grid"]
            with running(said, "cosign", url, *options) as operator:
                until(lambda: all(ledger.commitment(slot) for slot in slots), operator, said)
        assert f"Hill: signing for the contract {checksum_address(settlement)}" in said.read_text("utf-8")
        _whoever_may_not_sign_is_told_why(tmp_path, url, keys)


def _whoever_may_not_sign_is_told_why(folder: Path, url: str, keys: list[Key]) -> None:
    def refused(key: Key, file: Path, where: str, kind: type[CommonwattError], ledger: str | None = None) -> str:
        setting = Setting(url, None, key, file, load(file), folder / where, ledger)
        with pytest.raises(kind) as error:
            asyncio.run(cosign(setting, lambda _contract, _node: None))
        return str(error.value)

    hill, dearer = folder / "hill.toml", folder / "dearer.toml"
    dearer.write_text(COMMUNITY.replace('"0.19"', '"0.20"'), "utf-8")
    assert "Only an operator" in refused(new_key(), hill, "stranger", NodeError)
    assert "adopted the charter" in refused(keys[2], dearer, "town", NotAdopted)
    assert "cannot be asked" in refused(keys[2], hill, "nowhere", NodeError, f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    ("more", "given", "reason"),
    [
        ("", 1, "are 3, and 1 key files and 1 addresses are given"),
        ("", 0, "are 3, and 1 key files are given"),
        ('bond = "1"\n', 2, "ledger.bond: needs the keys of as many operators as must sign"),
    ],
)
def test_what_cannot_be_founded_with_one_key_is_told(
    tmp_path: Path, keys: list[Key], more: str, given: int, reason: str
) -> None:
    text = COMMUNITY.replace("threshold = 2\n", f"threshold = 2\n{more}")
    (tmp_path / "hill.toml").write_text(text, "utf-8")
    elsewhere = [key.address for key in keys[1:]][:given]
    with pytest.raises(ConfigError) as refused:
        Founders.named(load(tmp_path / "hill.toml"), (), tmp_path / "box", elsewhere)
    assert reason in str(refused.value)


def test_homes_that_agree_over_the_day_are_not_signed_for_elsewhere(tmp_path: Path) -> None:
    file = written(tmp_path, HEAD + TARIFF + BILATERAL + MEMBERS)
    rules = Rules.of(load(file), tmp_path, date.fromisoformat(START), 1)
    with pytest.raises(ConfigError, match="market: has a mechanism by which homes agree over the whole day"):
        require_cosignable(f"{file}", rules)
