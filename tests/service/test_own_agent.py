"""`commonwatt agent`: a member has an agent on the box from its own shell, where its key stays."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from asking_cases import HOUR
from exchange_cases import until
from hosted_cases import Hosts
from node_processes import free_port

from commonwatt.cli import app
from commonwatt.errors import ConfigError, NodeError, RecordError
from commonwatt.ledger.keyfile import write_key
from commonwatt.proof import Key, checksum_address

HOME = 1
LIMITS = ("--buy", "2", "--max-buy", "0.25", "--sell", "3.5", "--min-sell", "0.09")


class Box:
    """A box at a port, with a member's key file."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url, self.folder = f"http://127.0.0.1:{port}", folder
        self.hosts = Hosts(folder, domains=(f"127.0.0.1:{port}",))
        self.key = write_key(folder / "anna.key", self.hosts.members[HOME])
        self.server = uvicorn.Server(uvicorn.Config(self.hosts.app, port=port, log_level="error", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        until(lambda: self.server.started, 120)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.hosts.close()

    def run(self, command: str, *more: str, key: Path | None = None) -> None:
        file = ["--community", str(self.folder / "community.toml")] if command == "begin" else []
        app(["agent", command, self.url, "--key", str(key or self.key), *file, *more], result_action="return_value")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    found = Box(tmp_path_factory.mktemp("box"))
    yield found
    found.close()


def test_a_member_begins_looks_and_ends(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    hosts, file = box.hosts, box.folder / "agent.json"
    contract = checksum_address(hosts.exchange.domain.contract)
    box.run("begin", *LIMITS, "--contract", contract, "--json", str(file))
    told: dict[str, Any] = json.loads(file.read_text("utf-8"))
    said = capsys.readouterr().out
    assert said.startswith(
        "You signed: Buy at most 2 000 Wh per 60 minutes at up to 0.25 EUR/kWh. Sell at most 3 500 Wh"
    )
    assert (
        f"The agent {told['agent']} orders at each gate, but not yet. The meter's last eight days have 0 read" in said
    )
    mandate = hosts.live.roster.at(hosts.starts[0]).mandates[HOME].record
    assert mandate.agent.hex() == told["agent"][2:]
    assert (mandate.buy_wh, mandate.sell_wh, mandate.max_buy, mandate.min_sell) == (2_000, 3_500, 250_000, 90_000)
    assert mandate.valid_until - mandate.valid_from == 365 * 24 * HOUR
    assert mandate.text == told["text"]
    # The same agent goes on under another mandate.
    box.run("begin", "--sell", "1", "--min-sell", "0.1", "--json", str(file))
    again = json.loads(file.read_text("utf-8"))
    assert again["agent"] == told["agent"]
    assert "Buy nothing. Sell at most 1 000 Wh" in capsys.readouterr().out
    box.run("show")
    assert f"The agent {told['agent']} orders" in capsys.readouterr().out
    box.run("end")
    assert "no agent for you any more" in capsys.readouterr().out
    box.run("show", "--json", "-")
    assert json.loads(capsys.readouterr().out)["agent"] is None


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ((), "buy: or --sell says what the agent may do"),
        (("--buy", "2"), "max-buy: goes with --buy: give both or none"),
        (("--min-sell", "0.1"), "min-sell: goes with --sell"),
        (("--buy", "2.0001", "--max-buy", "0.2"), "buy: is 2.0001, but energy is counted in whole Wh"),
        (("--buy", "2", "--max-buy", "-0.2"), "max-buy: "),
        (("--buy", "2", "--max-buy", "nan"), "max-buy: "),
        ((*LIMITS, "--valid", "for ever"), "valid: is a span"),
    ],
)
def test_what_makes_no_mandate_is_told_before_anything_is_asked(box: Box, more: tuple[str, ...], why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        box.run("begin", *more)
    assert why in str(caught.value)


def test_nothing_is_signed_for_another_contract_and_a_stranger_has_no_agent(box: Box) -> None:
    before = box.hosts.live.roster.at(box.hosts.starts[0]).mandates[HOME]
    with pytest.raises(RecordError, match=r"is of another contract, 0x.*; nothing was signed"):
        box.run("begin", *LIMITS, "--contract", "0x" + "11" * 20)
    assert box.hosts.live.roster.at(box.hosts.starts[0]).mandates[HOME] == before
    stranger = write_key(box.folder / "stranger.key", Key.derive(b"own agent", "stranger"))
    for command in ("show", "end"):
        with pytest.raises(NodeError, match="This account is no member's"):
            box.run(command, key=stranger)
