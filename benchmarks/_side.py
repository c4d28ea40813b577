"""What `against.py` measures on each of two commits: `python -P benchmarks/_side.py MEASURE ARGUMENTS`; JSON on stdout.

It is run with the sources and the benchmarks of one commit on the path, and asks them only for what the older one has
too, under the names of either. Processor time counts child processes.
"""

from __future__ import annotations

import importlib
import inspect
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

START = "2026-06-15"
Figures = dict[str, float]


def main() -> None:
    """Measure and print."""
    if sys.argv[1] == "day":
        day(sys.argv[2])
    else:
        print(json.dumps(MEASURES[sys.argv[1]](*sys.argv[2:])))


def first(*names: str) -> ModuleType:
    """The first of some modules that is there."""
    for name in names[:-1]:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not name.startswith(error.name or name):
                raise
    return importlib.import_module(names[-1])


def of_chain(name: str) -> Any:
    """A module of the chain, by the name that it has in its room."""
    return first(f"commonwatt.ledger.chain.{name}", f"commonwatt.ledger.{name}")


def spent() -> float:
    """Processor time of this process and of its children that have ended [s]."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


# A day


def day(homes: str) -> None:
    """What `commonwatt bench day` prints, without the bills, which the older one does not write."""
    bench: Any = first("commonwatt.simulation.bench", "commonwatt.exchange.bench")
    asked = ["bench", "day", "--homes", homes, "--ledger", "embedded", "--json", "-"]
    asked += ["--no-bills"] * ("bills" in inspect.signature(bench.bench_day).parameters)
    subprocess.run([sys.executable, "-m", "commonwatt.cli", *asked], check=True)


def simulated(folder: str, homes: str) -> Any:
    """The run in a folder: begun and finished, or read when it is finished already."""
    from commonwatt.community.synthetic import village

    api: Any = first("commonwatt.simulation.api", "commonwatt.exchange.api")
    file = Path(folder) / "village.toml"
    file.write_text(village(int(homes)), encoding="utf-8")
    return api.simulate(file, START, 1, ledger="embedded", out=Path(folder) / "out")


def store(folder: str, homes: str) -> Figures:
    """A day, kept in a folder."""
    _close(simulated(folder, homes))
    return {}


def _close(result: Any) -> None:
    (result if hasattr(result, "close") else result.simulation).close()


def replay(folder: str) -> Figures:
    """All blocks of a stored day, executed on a chain in memory that begins with its block 0."""
    import rlp

    stores, evm, execution, reader = map(of_chain, ("store", "evm", "execution", "reader"))
    file = stores.Store(Path(folder) / "out" / "ledger.sqlite", read_only=True)
    kept = reader.Reader(file, "the day")
    headers = [kept.header(number) for number in range(kept.head.number + 1)]
    blocks = [
        (header, [evm.decode(each.encode()) for each in kept.transactions(header)], kept.withdrawals(header))
        for header in headers[1:]
    ]
    memory = stores.Store(None)
    chain = evm.chain_class(kept.chain_id).from_genesis_header(evm.Database(memory), headers[0])
    for hash_, node in state_of(file.get, headers[0].state_root):
        memory.put(hash_, node)
    memory.commit()
    begun, parent = spent(), headers[0]
    for header, transactions, withdrawals in blocks:
        run = execution.Execution(
            chain, parent, timestamp=header.timestamp, coinbase=header.coinbase, extra_data=header.extra_data
        )
        for each in transactions:
            run.apply(each)
        made = run.close(withdrawals).header
        if made.hash != header.hash:
            raise SystemExit(f"block {header.block_number} is another one")
        memory.put(header.hash, rlp.encode(header))
        memory.commit()
        parent = header
    return {"seconds": spent() - begun, "blocks": len(blocks)}


def state_of(read: Callable[[bytes], bytes | None], root: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The nodes of a state of accounts without contracts, by their hashes."""
    import rlp

    waiting: list[bytes] = [root]
    while waiting:
        hash_ = waiting.pop()
        raw = read(hash_)
        if raw is None:
            raise SystemExit(f"node 0x{hash_.hex()} is missing")
        yield hash_, raw
        node = rlp.decode(raw)
        if len(node) == 17:
            waiting += [child for child in node if len(child) == 32]
        elif node[0][0] < 0x20:  # an extension, and no leaf
            waiting.append(node[1])


# Bills


def bills(folder: str, homes: str) -> Figures:
    """Writing the bills of a stored day, their size, and verifying one."""
    result = simulated(folder, homes)
    result.bills  # noqa: B018 (a run has them when it writes them)
    written = Path(folder) / "bills"
    begun = spent()
    write_bills(result, written)
    figures = {"seconds": spent() - begun}
    files = sorted(written.iterdir())
    verify: Any = first("commonwatt.member.verify", "commonwatt.exchange.verify")
    client, bill = client_of(result), json.loads(files[0].read_text("utf-8"))
    taken = []
    for _ in range(5):
        begun = spent()
        verify.verify_bill(bill, client)
        taken.append(spent() - begun)
    _close(result)
    size = statistics.mean(file.stat().st_size for file in files)
    return {**figures, "bytes": size, "verifying": statistics.median(taken)}


def write_bills(result: Any, folder: Path) -> None:
    """As a run with `--out` writes them."""
    files: Any = first("commonwatt.exchange.bill_files", "commonwatt.study.outputs", "commonwatt.report.outputs")
    if hasattr(files, "write_bills"):
        files.write_bills(result.books, result.bills, folder)
        return
    if hasattr(files, "_write_bills"):
        files._write_bills(result, folder)
        return
    from commonwatt.exchange.bills import proven

    folder.mkdir(parents=True, exist_ok=True)
    for bill in proven(result, result.bills):
        member: Any = bill["content"]["member"]
        (folder / files.bill_name(member["index"], member["id"])).write_text(
            json.dumps(bill, indent=1) + "\n", encoding="utf-8"
        )


def client_of(result: Any) -> Any:
    """The contracts of a run."""
    return result.books.client if hasattr(result, "books") else result.simulation.outbox.client


# Nodes


@contextmanager
def network(part: str) -> Iterator[tuple[Any, Path]]:
    """The commit's own benchmark of nodes, as much of it as is told, and a folder for it."""
    module: Any = importlib.import_module("network")
    for name in ("SINGLE", "FULL", "TOKENS", "LONG"):
        setattr(module, name, max(getattr(module, name) // int(part), 10))
    with tempfile.TemporaryDirectory() as folder:
        yield module, Path(folder)


def nodes(part: str) -> Figures:
    """Blocks made by one node and validated by another, per second."""
    with network(part) as (module, folder):
        found = module.blocks(folder)
    names = {
        "token": "token_transfers_per_second_in_full_blocks",
        "ether": "transfers_per_second_in_full_blocks",
        "single": "single_transaction_blocks_per_second",
    }
    return {f"{name} {way}": found[key][way]["cpu"] for name, key in names.items() for way in ("made", "validated")}


def latecomer(part: str) -> Figures:
    """A node that catches up: seconds, and its most memory on the way [MB]."""
    with network(part) as (module, folder):
        found = module.catching_up(folder)
    memory = found["memory_mb_every_1000_blocks"] or [module._memory()]
    return {"seconds": found["seconds"]["cpu"], "memory": max(memory), "blocks": found["blocks"]}


def settlement(members: str) -> Figures:
    """Post and finalise of a slot, by the commit's own benchmark of the ledger."""
    ledger: Any = importlib.import_module("ledger")
    with tempfile.TemporaryDirectory() as folder:
        found = ledger.settlement(Path(folder), int(members))
    return {"seconds": found["settlement_seconds"]["cpu"], "gas": found["settlement_gas"]}


MEASURES: dict[str, Callable[..., Figures]] = {
    each.__name__: each for each in (store, replay, bills, nodes, latecomer, settlement)
}

if __name__ == "__main__":
    main()
