"""The small community nine days after its day, as its members and operators find it: in a file, and at a node's URL."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from at_once import AtOnce
from rpc_cases import served
from shell import Said, Shell

from commonwatt.exchange.checking import load
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.abi import SETTLEMENT
from commonwatt.ledger.client.offers import OffersClient
from commonwatt.ledger.client.quorum import mint
from commonwatt.ledger.client.settlement import Addresses, LedgerClient
from commonwatt.ledger.keyfile import write_key
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.ledger.rpc.service import Service
from commonwatt.proof import Key, checksum_address, sign
from commonwatt.records import Mint
from commonwatt.simulation.keys import Keys, simulated_keys

LATER = 9 * 86_400
"""Longer than members must have been registered to vote."""
PATIENCE = 86_400
MONEY = 5_000_000
"""What member 2 holds outside the settlement, in units."""


def client_of(folder: Path, chain: EmbeddedChain, key: Key) -> LedgerClient:
    """The contracts that the folder's bills name."""
    named = json.loads((folder / "bills" / "0.json").read_text("utf-8"))["content"]["ledger"]
    community, settlement = (bytes.fromhex(named[name][2:]) for name in ("community", "settlement"))
    token = bytes(LedgerClient(chain, key, Addresses(community, settlement)).view(SETTLEMENT, "asset")[0])
    assert token != ZERO_ADDRESS
    return LedgerClient(chain, key, Addresses(community, settlement, token))


@dataclass
class Place:
    """Where the community is, and how its people speak to it."""

    folder: Path
    ledger: str
    keys: Keys
    contract: str
    offers: str
    shell: Shell

    def bill(self, member: int) -> Path:
        return self.folder / "bills" / f"{member}.json"

    def key(self, key: Key) -> Path:
        """The key in a file."""
        file = self.folder / f"{key.address.hex()}.key"
        return file if file.exists() else write_key(file, key)

    def account(self, member: int) -> str:
        return checksum_address(self.keys.members[member].address)

    def ask(self, command: str, member: int, *options: object) -> Said:
        """A member's command without its key."""
        return self.shell(command, self.bill(member), *options, "--ledger", self.ledger)

    def act(self, command: str, member: int, *options: object) -> Said:
        """A member's command with its key and pin."""
        own = ("--key", self.key(self.keys.members[member]), "--contract", self.contract)
        return self.ask(command, member, *options, *own)

    def deal(self, command: str, member: int, *options: object) -> Said:
        """The same for direct trade."""
        return self.act(command, member, *options, "--offers", self.offers)

    def run(self, *words: object, key: Key | None = None) -> Said:
        """A command for operators, with the operator's key or another one."""
        own = ("--key", self.key(key or self.keys.operator), "--contract", self.contract, "--ledger", self.ledger)
        return self.shell("community", *words, *own)

    def wait(self, seconds: int) -> None:
        """Let time pass on the chain's file."""
        with EmbeddedChain(Path(self.ledger)) as chain:
            chain.seal(chain.head.timestamp + seconds)

    def told(self) -> str:
        """What `community show` says."""
        found = self.shell("community", "show", "--contract", self.contract, "--ledger", self.ledger)
        assert found.code == 0, found.err
        return found.out

    def shown(self) -> dict[str, Any]:
        """What `community show` gives to programs."""
        found = self.shell("community", "show", "--contract", self.contract, "--ledger", self.ledger, "--json", "-")
        assert found.code == 0, found.err
        return dict(json.loads(found.out))


def json_of(said: Said) -> Any:
    """What a command that must succeed gave to programs."""
    assert said.code == 0, said.err
    return json.loads(said.out)


@pytest.fixture(scope="session")
def later(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the finished day, nine days later, with a contract `Offers`, whose address is in offers.txt."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("later") / "out"))
    keys = simulated_keys(load(finished.parent / "community.toml"))
    with EmbeddedChain(folder / "ledger.sqlite") as chain:
        client, at = client_of(folder, chain, keys.operator), chain.head.timestamp + 1
        offers = OffersClient.deploy(client, PATIENCE, at=at)
        issue = Mint(keys.members[2].address, MONEY, client.issue(0).nonce)
        data = mint(client.token_domain, issue, [sign(client.token_domain, issue, keys.operator).signature])
        client.send(keys.operator, client.addresses.token, data, "the mint", at=at + 1)
        chain.seal(at + LATER)
    (folder / "offers.txt").write_text(checksum_address(offers.address), "utf-8")
    return folder


@pytest.fixture(params=["file", "node"])
def place(request: pytest.FixtureRequest, later: Path, finished: Path, tmp_path: Path, said: Shell) -> Iterator[Place]:
    """The community in a file of its own, or at a node that serves that file."""
    folder = Path(shutil.copytree(later, tmp_path / "out"))
    file = folder / "ledger.sqlite"
    contract = json.loads((folder / "bills" / "0.json").read_text("utf-8"))["content"]["ledger"]["settlement"]
    keys = simulated_keys(load(finished.parent / "community.toml"))
    offers = (folder / "offers.txt").read_text("utf-8")
    place = Place(folder, str(file), keys, checksum_address(bytes.fromhex(contract[2:])), offers, said)
    if request.param == "file":
        yield place
        return
    with closing(EmbeddedChain(file)) as chain, served(Service(AtOnce(chain, lambda: 0))) as address:
        place.ledger = f"http://{address}"
        yield place
