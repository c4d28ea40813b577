"""`commonwatt live demo`: a simulated period lived by an exchange, its chain, its broker and homes as processes, and by
a database where one is wanted.

Some of them are killed on the way, and started again. What comes of it is read from their stores, as from those of a
simulation.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from commonwatt.errors import ChildError, StoreError
from commonwatt.exchange import rows
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.folder import CHAIN, EXCHANGE_FILE
from commonwatt.exchange.loading import Loaded
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.store import Store
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import Addresses, LedgerClient
from commonwatt.ledger.opening import LEDGER_FILE
from commonwatt.plain import plain
from commonwatt.service.broker import SECRET
from commonwatt.service.children import Child, Program, free_port, healthy
from commonwatt.service.database import Database, short_place
from commonwatt.service.emulating import HOMES_FILE, first_of
from commonwatt.service.health import Patience
from commonwatt.service.memory import Memory
from commonwatt.service.playable import require_playable
from commonwatt.service.ports import ports
from commonwatt.simulation import world
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.keys import simulated_keys
from commonwatt.simulation.minds import Minds, history
from commonwatt.simulation.result import Result

TARGETS: Final = ("exchange", "chain", "broker", "homes")
HOMES: Final = "homes"
DATABASE: Final = "database"
_LOOK: Final = 0.2
"""Between two looks at the exchange [s]."""
_PATIENCE: Final = 600.0
"""How long a process may stay away [s]."""
_SOON: Final = Patience(most=2.0)
"""Who is killed again and again is no faulty program, and need not be waited for."""


@dataclass(frozen=True)
class Setting:
    """What is played.

    file : of the community; out : folder of all files; clock : market seconds in one
    kills : how many processes are killed on the way; seed : of when, and which
    database : the store is on a server that is started for it, and killed like the others
    """

    file: Path
    loaded: Loaded
    out: Path
    start: date
    days: int
    clock: float
    kills: int = 0
    seed: int = 0
    database: bool = False

    @property
    def targets(self) -> tuple[str, ...]:
        """What is killed."""
        return (*TARGETS, DATABASE) if self.database else TARGETS

    @property
    def rules(self) -> Rules:
        """Of the period."""
        return Rules.of(self.loaded, self.file.parent, self.start, self.days)


@dataclass
class Played:
    """What was done on the way, and what came of it.

    killed, memory : by the process; homes : what these said when they were done
    """

    result: Result
    killed: Counter[str]
    memory: Memory
    homes: str

    @property
    def kills(self) -> int:
        """How many."""
        return sum(self.killed.values())


def play(setting: Setting, log: Callable[[str], None], progress: Callable[[int, int], None]) -> Played:
    """Let the period pass. progress : told the number of slots that are settled, and of all.

    Raises ConfigError for what cannot be played, ChildError when homes end otherwise than they should, or a process
    does not come back.
    """
    rules = setting.rules
    with closing(Minds.of(setting.loaded, setting.file.parent)) as minds:
        require_playable(str(setting.file), rules, minds)
    try:
        return asyncio.run(_played(setting, rules, log, progress))
    except BaseExceptionGroup as group:
        raise first_of(group) from None


async def _played(
    setting: Setting, rules: Rules, log: Callable[[str], None], progress: Callable[[int, int], None]
) -> Played:
    killed, memory = Counter[str](), Memory()
    setting.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["--dir", str(setting.out), "--port", str(port), "--demo-clock", str(setting.clock), "--wait-for-homes"]
    period = ["--start", setting.start.isoformat(), "--days", str(setting.days)]
    async with _store(setting, log) as target:
        options += ["--database", target] if isinstance(target, str) else []
        command = [sys.executable, "-m", "commonwatt.cli", "serve", str(setting.file), *options, *period]
        answers, pid_file = healthy(f"{url}/v1/community"), pid_file_of(setting.out, "exchange")
        async with _child(Program("exchange", command, answers, _SOON, pid_file), log):
            with closing(Store(target, read_only=True)) as store:
                async with asyncio.TaskGroup() as tasks:
                    homes = tasks.create_task(_homes(setting, url, period, log))
                    killing = tasks.create_task(_kill(setting, rules, url, killed, log))
                    await _until_over(store, rules, (homes, killing), partial(_note, setting, memory, progress))
        return Played(outcome(setting, target), killed, memory, homes.result())


@asynccontextmanager
async def _child(program: Program, log: Callable[[str], None]) -> AsyncIterator[None]:
    """A process that is kept running meanwhile. Raises ChildError where it does not begin to answer."""
    child = Child(program, log)
    running = asyncio.create_task(child.run())
    try:
        await child.ready(_PATIENCE)
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@asynccontextmanager
async def _store(setting: Setting, log: Callable[[str], None]) -> AsyncIterator[Path | str]:
    """Where the exchange's store is: a file, or a server that runs meanwhile."""
    if not setting.database:
        yield setting.out / EXCHANGE_FILE
        return
    with short_place() as place:
        database = Database(setting.out / DATABASE, place)
        async with _child(database.program(pid_file_of(setting.out, DATABASE)), log):
            yield database.url


def _note(setting: Setting, memory: Memory, progress: Callable[[int, int], None], settled: int, count: int) -> None:
    """So many slots are settled, of all."""
    progress(settled, count)
    memory.note({name: pid_file_of(setting.out, name) for name in setting.targets}, settled / count)


def pid_file_of(out: Path, name: str) -> Path:
    """The file with the number of a process."""
    return out / f"{name}.pid"


async def _homes(setting: Setting, url: str, period: list[str], log: Callable[[str], None]) -> str:
    """The homes, until they have said everything; whenever they are killed they are started again.

    Returns what they said last.
    """
    broker = ports(setting.out).get("broker")
    places = ["--broker", f"127.0.0.1:{broker}"] if broker and (setting.out / "broker").exists() else []
    command = [sys.executable, "-m", "commonwatt.cli", "meter", "emulate", str(setting.file), url, *period]
    command += ["--dir", str(setting.out / HOMES), "--secret", str(setting.out / SECRET), *places]
    while True:
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
        pid_file_of(setting.out, HOMES).write_text(f"{process.pid}\n", "ascii")
        try:
            words = deque[str](maxlen=3)
            assert process.stdout  # noqa: S101 (asked for above)
            async for line in process.stdout:
                words.append(plain(line.decode(errors="replace").strip()))
                log(f"homes: {words[-1]}")
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code == 0:
            return words[-1]
        if code != -signal.SIGKILL:
            raise ChildError(
                "homes", f"The homes have ended with exit code {code}; their last words: {' '.join(words)}"
            )


async def _kill(setting: Setting, rules: Rules, url: str, killed: Counter[str], log: Callable[[str], None]) -> None:
    """Kill processes at times that the seed says, spread over the period."""
    chance = random.Random(setting.seed)  # noqa: S311 (nothing secret)
    targets, first, last = setting.targets, rules.events[0].at, rules.period.end
    times = sorted(chance.randrange(first, last) for _ in range(setting.kills))
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        for number, at in enumerate(times):
            target = targets[number] if number < len(targets) else chance.choice(targets)
            while await _now(client, url) < at:
                await asyncio.sleep(_LOOK)
            try:
                async with asyncio.timeout(_PATIENCE):
                    while not _killed(setting.out, target):
                        await asyncio.sleep(_LOOK)
            except TimeoutError:
                raise ChildError(target, f"The {target} did not come back within {_PATIENCE:.0f} seconds.") from None
            killed[target] += 1
            log(f"killed the {target}, {killed.total()} of {setting.kills}")


async def _now(client: httpx.AsyncClient, url: str) -> int:
    """The exchange's time [unix s]; 0 while it is away."""
    try:
        return int((await client.get(f"{url}/v1/community")).json()["now"])
    except (httpx.HTTPError, ValueError, KeyError):
        return 0


def _killed(out: Path, target: str) -> bool:
    """Kill a process without a word. Returns whether it was there."""
    with suppress(OSError, ValueError):
        file = pid_file_of(out, target)
        pid = int(file.read_text("ascii"))
        os.kill(pid, signal.SIGKILL)
        file.unlink()
        return True
    return False


async def _until_over(
    store: Store, rules: Rules, tasks: Iterable[asyncio.Task[Any]], progress: Callable[[int, int], None]
) -> None:
    """Return when all is done that goes on, such as homes that say everything, and all slots are settled.

    store : of the exchange, for reading
    """
    last, period = rules.period.end - rules.period.seconds, rules.period
    while True:
        done = all(task.done() for task in tasks)
        with suppress(StoreError):  # it may have been killed just now
            ended = await asyncio.to_thread(rows.last_ended, store)
            progress(max(rules.place(ended) + 1, 0) if ended >= 0 else 0, period.count)
            if done and ended >= last:
                return
        await asyncio.sleep(_LOOK)


def outcome(setting: Setting, target: Path | str) -> Result:
    """What came of it, from the stores, with all posts final and the bills anchored.

    target : the exchange's store; of a server, everything is read
    """
    rules, keys = setting.rules, simulated_keys(setting.loaded)
    with ExitStack() as undo:
        store = Store(target)
        undo.callback(store.close)
        own = Store(setting.out / HOMES / HOMES_FILE)
        undo.callback(own.close)
        chain = EmbeddedChain(setting.out / CHAIN / LEDGER_FILE)
        undo.callback(chain.close)
        held = [bytes.fromhex(store.values()[name]) for name in ("community_contract", "settlement", "token")]
        client = LedgerClient(chain, keys.operator, Addresses(*held))
        roster = Enrolled(store, client, setting.loaded)
        roster.follow()
        exchange = Exchange(rules, store, client, keys.operators[: setting.loaded.ledger.threshold], roster)
        minds = Minds.of(setting.loaded, setting.file.parent)
        undo.callback(minds.close)
        truth = world.build(rules, setting.file.parent, history(rules, minds))
        homes = SigningHomes(rules, truth, minds, own, keys, client.domain)
        close = undo.pop_all().close
    result = Result(exchange, homes, close)
    exchange.anchor(result.bills.tree.root)
    if setting.database:
        store.let_go()
    return result
