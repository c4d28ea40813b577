"""`commonwatt live demo`: a simulated period lived by an exchange, its chain, its broker and homes as processes.

Some of them are killed on the way, and started again. What comes of it is read from their files as from a simulation's.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import httpx

from commonwatt.errors import ChildError
from commonwatt.exchange import rows
from commonwatt.exchange.enrolled import Enrolled
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.folder import CHAIN, EXCHANGE_FILE, open_store
from commonwatt.exchange.loading import Loaded
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.store import Store
from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.client.settlement import Addresses, LedgerClient
from commonwatt.ledger.opening import LEDGER_FILE
from commonwatt.plain import plain
from commonwatt.service.broker import SECRET
from commonwatt.service.children import Child, Program, free_port, healthy
from commonwatt.service.emulating import HOMES_FILE, first_of
from commonwatt.service.playable import require_playable
from commonwatt.service.serving import ports
from commonwatt.simulation import world
from commonwatt.simulation.homes import SigningHomes
from commonwatt.simulation.keys import simulated_keys
from commonwatt.simulation.minds import Minds, history
from commonwatt.simulation.result import Result

TARGETS: Final = ("exchange", "chain", "broker", "homes")
HOMES: Final = "homes"
_LOOK: Final = 0.2
"""Between two looks at the exchange [s]."""
_PATIENCE: Final = 600.0
"""How long a process may stay away [s]."""


@dataclass(frozen=True)
class Setting:
    """What is played.

    file : of the community; out : folder of all files; clock : market seconds in one
    kills : how many processes are killed on the way; seed : of when, and which
    """

    file: Path
    loaded: Loaded
    out: Path
    start: date
    days: int
    clock: float
    kills: int = 0
    seed: int = 0

    @property
    def rules(self) -> Rules:
        """Of the period."""
        return Rules.of(self.loaded, self.file.parent, self.start, self.days)


@dataclass
class Played:
    """What was done on the way. killed : by the process; homes : what these said when they were done"""

    killed: Counter[str] = field(default_factory=Counter)
    homes: str = ""

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
    played = Played()
    setting.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["--dir", str(setting.out), "--port", str(port), "--demo-clock", str(setting.clock)]
    period = ["--start", setting.start.isoformat(), "--days", str(setting.days)]
    command = [sys.executable, "-m", "commonwatt.cli", "serve", str(setting.file), *options, *period]
    pid_file = setting.out / "exchange.pid"
    program = Program("exchange", [*command, "--wait-for-homes"], healthy(f"{url}/v1/community"), pid_file=pid_file)
    child = Child(program, log)
    async with asyncio.TaskGroup() as tasks:
        exchange = tasks.create_task(child.run())
        try:
            await child.ready(_PATIENCE)
            homes = tasks.create_task(_homes(setting, url, period, played, log))
            killing = tasks.create_task(_kill(setting, rules, url, played, log))
            await _until_over(setting, rules, homes, progress)
            await killing
        finally:
            exchange.cancel()
    return played


async def _homes(setting: Setting, url: str, period: list[str], played: Played, log: Callable[[str], None]) -> None:
    """The homes, until they have said everything; whenever they are killed they are started again."""
    broker = ports(setting.out).get("broker")
    places = ["--broker", f"127.0.0.1:{broker}"] if broker and (setting.out / "broker").exists() else []
    command = [sys.executable, "-m", "commonwatt.cli", "meter", "emulate", str(setting.file), url, *period]
    command += ["--dir", str(setting.out / HOMES), "--secret", str(setting.out / SECRET), *places]
    while True:
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
        (setting.out / "homes.pid").write_text(f"{process.pid}\n", "ascii")
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
            played.homes = words[-1]
            return
        if code != -signal.SIGKILL:
            raise ChildError(
                "homes", f"The homes have ended with exit code {code}; their last words: {' '.join(words)}"
            )


async def _kill(setting: Setting, rules: Rules, url: str, played: Played, log: Callable[[str], None]) -> None:
    """Kill processes at times that the seed says, spread over the period."""
    chance = random.Random(setting.seed)  # noqa: S311 (nothing secret)
    first, last = rules.events[0].at, rules.period.end
    times = sorted(chance.randrange(first, last) for _ in range(setting.kills))
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        for number, at in enumerate(times):
            target = TARGETS[number % len(TARGETS)] if number < len(TARGETS) else chance.choice(TARGETS)
            while await _now(client, url) < at:
                await asyncio.sleep(_LOOK)
            try:
                async with asyncio.timeout(_PATIENCE):
                    while not _killed(setting.out, target):
                        await asyncio.sleep(_LOOK)
            except TimeoutError:
                raise ChildError(target, f"The {target} did not come back within {_PATIENCE:.0f} seconds.") from None
            played.killed[target] += 1
            log(f"killed the {target}, {played.kills} of {setting.kills}")


async def _now(client: httpx.AsyncClient, url: str) -> int:
    """The exchange's time [unix s]; 0 while it is away."""
    try:
        return int((await client.get(f"{url}/v1/community")).json()["now"])
    except (httpx.HTTPError, ValueError, KeyError):
        return 0


def _killed(out: Path, target: str) -> bool:
    """Kill a process without a word. Returns whether it was there."""
    with suppress(OSError, ValueError):
        file = out / f"{target}.pid"
        pid = int(file.read_text("ascii"))
        os.kill(pid, signal.SIGKILL)
        file.unlink()
        return True
    return False


async def _until_over(
    setting: Setting, rules: Rules, homes: asyncio.Task[None], progress: Callable[[int, int], None]
) -> None:
    """Return when the homes have said everything and all slots are settled."""
    last, period = rules.period.end - rules.period.seconds, rules.period
    while True:
        ended = await asyncio.to_thread(_last_ended, setting.out)
        progress(max(rules.place(ended) + 1, 0) if ended >= 0 else 0, period.count)
        if homes.done() and ended >= last:
            await homes
            return
        await asyncio.sleep(_LOOK)


def _last_ended(out: Path) -> int:
    store = Store(out / EXCHANGE_FILE, read_only=True)
    try:
        return rows.last_ended(store)
    finally:
        store.close()


def outcome(setting: Setting) -> Result:
    """What came of it, from the files, with all posts final and the bills anchored."""
    rules, keys = setting.rules, simulated_keys(setting.loaded)
    with ExitStack() as undo:
        store = open_store(setting.out, fresh=False)
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
    return result
