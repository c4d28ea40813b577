"""The same day on networks of three nodes, by authority, work and stake: the balances of the embedded chain."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from exchange_cases import COMMUNITY, START, exchange_of, short_days, written
from network_cases import MEMBERS, Network

from commonwatt.errors import LedgerError
from commonwatt.exchange import founding
from commonwatt.ledger.chain.evm import Genesis
from commonwatt.ledger.client.abi import contract
from commonwatt.ledger.network.consensus.hash_chain import HashChain
from commonwatt.ledger.network.consensus.poa import Poa
from commonwatt.ledger.network.consensus.pos import Pos, Rules
from commonwatt.ledger.network.consensus.pow import MAX_TARGET, Pow
from commonwatt.ledger.network.consensus.stake import Entry
from commonwatt.ledger.node import Receipt
from commonwatt.simulation.api import simulate
from commonwatt.simulation.result import Result

PATIENCE = 2000
CHAINS = {key.address: HashChain.derive(key, length=2000) for key in MEMBERS[:3]}
RULES = Rules(b"\x01" * 32, {address: Entry(chain.tip, 100) for address, chain in CHAINS.items()}, period=5)
ENGINES: dict[str, dict[str, Any]] = {
    "poa": {"engine": lambda _: Poa([key.address for key in MEMBERS[:3]], period=5)},
    "pow": {"engine": Pow(period=10, first_target=MAX_TARGET // 300), "hashes": 30},
    "pos": {"engine": lambda key: Pos(RULES, [CHAINS[key.address]])},
}


class OneOfThree:
    """A node of a network on simulated time, as the exchange sees it; waiting for a block lets time pass."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.address, self.machine = next(iter(network.machines.items()))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.machine.tree, name)

    def submit(self, raw: bytes) -> bytes:
        hash_ = self.machine.submit(raw, self.network.now)
        self.network.post(self.address, self.machine.sent())
        self.network.settle()
        return hash_

    def confirm(self, transactions: Sequence[bytes], timestamp: int) -> tuple[Receipt, ...]:
        self.network.now = max(self.network.now, timestamp - 1)
        for _ in range(PATIENCE):
            self.network.run(1)
            found = [self.machine.tree.receipt(hash_) for hash_ in transactions]
            if all(found):
                return tuple(receipt for receipt in found if receipt)
        raise LedgerError("no block holds the transactions")

    def close(self) -> None:
        for key in MEMBERS[:3]:
            self.network.stop(key)


@pytest.fixture(scope="module", autouse=True)
def _short() -> Iterator[None]:
    with short_days():
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("day"), COMMUNITY)


@pytest.fixture(scope="module")
def embedded(file: Path) -> Iterator[Result]:
    result = simulate(file, START, 1)
    yield result
    result.close()


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Network]]:
    """Lets the next run settle on a new network; returns where that network will be."""

    def choose(kind: str) -> list[Network]:
        made: list[Network] = []

        def open_node(
            _ledger: str, _path: Path | None, _community: object, operator: bytes, at: int, _held: object, **_: bool
        ) -> Any:
            genesis = Genesis(77, {operator: 10**24}, at, gas_limit=100_000_000, extra_data=b"day")
            made.append(Network(**ENGINES[kind], genesis=genesis, now=at))
            return OneOfThree(made[0])

        monkeypatch.setattr(founding, "open_node", open_node)
        return made

    return choose


@pytest.mark.parametrize("kind", ENGINES if os.environ.get("COMMONWATT_SOAK") else ["poa"])
def test_a_network_ends_with_the_same_balances(
    file: Path, embedded: Result, on: Callable[[str], list[Network]], kind: str
) -> None:
    made = on(kind)
    result = simulate(file, START, 1)
    mine, theirs = (exchange_of(each).outbox for each in (embedded, result))
    assert mine
    assert theirs
    assert theirs.client.balances().tolist() == mine.client.balances().tolist()
    assert result.bills.tree.root != embedded.bills.tree.root
    (network,) = made
    network.run(60)
    place = contract("Settlement").storage["_book"]
    settled = {machine.tree.storage(theirs.client.addresses.settlement, [place])[0] for machine in network}
    assert len(settled) == 1
    result.close()
