"""`commonwatt serve`: one exchange with its chain, its broker and its doors, as long as it is wanted.

The chain and the broker are processes of their own, started and watched from here. One thread has the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from commonwatt.errors import BrokerError, ConfigError, Finding
from commonwatt.exchange import tables
from commonwatt.exchange.folder import CHAIN
from commonwatt.exchange.founding import beginning
from commonwatt.exchange.live import Live
from commonwatt.exchange.loading import Loaded
from commonwatt.exchange.rules import Rules
from commonwatt.ledger.network.operator import HOLD, OPERATOR, SEAL, operator_token, operator_url
from commonwatt.proof import checksum_address
from commonwatt.service.answering import Server, settings, take_turns
from commonwatt.service.broker import SECRET, Broker, own_broker
from commonwatt.service.children import Child, Program, chain
from commonwatt.service.clock import DemoClock, VouchedClock, vouching, word_at_start
from commonwatt.service.connection import connects
from commonwatt.service.health import State
from commonwatt.service.logins import LISTENER, Passwords
from commonwatt.service.logs import tell
from commonwatt.service.opening import Demo, Founders, Plan, open_live, plan
from commonwatt.service.playable import require_cosignable
from commonwatt.service.ports import port_of

if TYPE_CHECKING:
    from commonwatt.ledger.remote import RemoteNode
    from commonwatt.service.access import Access
    from commonwatt.service.hosting import Hosting
    from commonwatt.service.mqtt import Gateway
    from commonwatt.service.running import Running
    from commonwatt.service.signing import Signing

_LOGGER: Final = logging.getLogger(__name__)
_ROSTER_SECONDS: Final = 2.0
"""Between two looks at whether a meter has joined or left [s]."""


@dataclass(frozen=True)
class Setting:
    """What is served.

    file : of the community; loaded : what it says; out : folder of the exchange
    host, port : where it answers; port 0 lets the system choose
    keys : files of the operators' keys, by operator; of a demo none
    operators : addresses of operators who sign elsewhere
    start : the first local day that is traded; None = today, or as the folder has it
    trust_clock : an operator says that this machine's clock is right
    """

    file: Path
    loaded: Loaded
    out: Path
    host: str
    port: int
    keys: tuple[Path, ...] = ()
    operators: tuple[bytes, ...] = ()
    start: date | None = None
    demo: Demo | None = None
    trust_clock: bool = False


async def serve(setting: Setting, log: Callable[[str], None], started: Callable[[str, str, bytes], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    started : told once it answers: its URL, that of the chain for wallets, and the contract Settlement

    Raises CommonwattError for what somebody has to do something about before it can be served.
    """
    take_turns()
    server = Server(setting.loaded.live, setting.file.parent)
    with _answering(setting) as listener, server.ended_by_signals():
        answering = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with AsyncExitStack() as stack:
                begins = asyncio.create_task(stack.enter_async_context(_at_work(setting, listener, server, log)))
                await asyncio.wait([answering, begins], return_when=asyncio.FIRST_COMPLETED)
                if not begins.done():  # nobody wants it any more, or nobody can be answered
                    begins.cancel()
                    await asyncio.wait([begins])
                    return
                running = begins.result()
                started(_url(setting, listener), _chain_url(running), running.live.exchange.domain.contract)
                await asyncio.wait([answering])
        finally:
            server.stop()
            await answering


@asynccontextmanager
async def _at_work(
    setting: Setting, listener: socket.socket, server: Server, log: Callable[[str], None]
) -> AsyncIterator[Running]:
    """The exchange with its chain, its broker and its doors; from then on `server` answers for it."""
    children = list[Child]()
    with _planned(setting) as planned:
        async with AsyncExitStack() as stack:
            running = await stack.enter_async_context(_running(setting, planned, log, children))
            from commonwatt.service.hosted import FOLDER, Hosted
            from commonwatt.service.hosting import Hosting

            hosted = await running.ask(Hosted, running.live, setting.out / FOLDER)
            hosting = Hosting(running, hosted)
            gateway = await stack.enter_async_context(_meters(setting, running, hosting, log, children))
            from commonwatt.service import metrics
            from commonwatt.service.api.app import application

            live, port = setting.loaded.live, listener.getsockname()[1]
            known = settings(live, setting.host, port, demo=setting.demo is not None)
            app = application(running, known, setting.out / "bills", Passwords.kept(setting.out / SECRET), hosted)
            metrics.add(app, metrics.Metrics(running, setting.out, gateway, children))
            works = [running.keep_time(), running.figures.watch_loop(), hosting.trade()]
            await stack.enter_async_context(_kept_up(works, server.stop))
            server.begin(app, running.feed.close)
            yield running


@contextmanager
def _answering(setting: Setting) -> Iterator[socket.socket]:
    """Where it answers."""
    host, port = setting.host, setting.port
    try:
        bound = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = re.sub(r"^\[Errno [^]]*\] | \(while .*", "", str(error))
        raise ConfigError("The request", [Finding("", f"cannot listen at {host}:{port}: {reason}")]) from None
    # With the protocol's number asyncio sends at once; without, an answer may wait 40 ms for an acknowledgement.
    with socket.socket(bound.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=bound.detach()) as listener:
        yield listener


def _url(setting: Setting, listener: socket.socket) -> str:
    scheme = "https" if setting.loaded.live.certificate else "http"
    host = f"[{setting.host}]" if ":" in setting.host else setting.host
    return f"{scheme}://{host}:{listener.getsockname()[1]}"


def _chain_url(running: Running) -> str:
    """Where wallets reach the chain."""
    url: str = running.live.exchange.client.node.url  # type: ignore[attr-defined]
    return url.removesuffix(OPERATOR)


@contextmanager
def _planned(setting: Setting) -> Iterator[Plan]:
    now = int(time.time())
    sure = setting.demo or word_at_start(trusted=setting.trust_clock) or vouching(now)
    community, folder = setting.loaded, setting.file.parent
    planned = plan(community, folder, setting.out, now if sure else None, setting.start, setting.demo)
    with contextlib.closing(planned.store):
        yield planned


@asynccontextmanager
async def _running(
    setting: Setting, planned: Plan, log: Callable[[str], None], children: list[Child]
) -> AsyncIterator[Running]:
    """The exchange at work, on its chain; `children` has the process of that, too."""
    community, demo = setting.loaded, setting.demo
    founders = Founders.simulated(community) if demo else _founders(setting, planned)
    async with AsyncExitStack() as stack:
        url, token, child = community.ledger.kind, "", None
        if url == "embedded":
            port = port_of(setting.out, CHAIN)
            operator = checksum_address(founders.quorum[0].address)
            number, wei = beginning(community)
            options = ["--new", f"{number}:{wei}", "--operator", operator, "--begin", str(planned.begin)]
            options += ["--settable"] if demo else []
            child = Child(chain(setting.out / CHAIN, port, options), log)
            children.append(child)
            if "settlement" in planned.store.values():  # else it is founded now, by a time that was vouched for
                child.say(HOLD)
            await stack.enter_async_context(_kept_up([child.run()]))
            # The chain takes some seconds to start, and so do these.
            await asyncio.gather(child.ready(), asyncio.to_thread(_import))
            url = operator_url(port) if demo else f"http://127.0.0.1:{port}"
            token = operator_token(setting.out / CHAIN)
        from commonwatt.service.running import Running

        live = await asyncio.to_thread(open_live, planned, founders, setting.out, url, token, demo=demo is not None)
        node: RemoteNode = live.exchange.client.node  # type: ignore[assignment]
        if child:
            node.there = lambda: child.told.state is not State.SILENT
        if demo:
            # What was said before does not come too early afterwards.
            heard = live.store.most(tables.readings, "at") or 0
            begin = max(planned.begin, live.exchange.now, live.exchange.client.node.head.timestamp, heard)
            clock = DemoClock(begin, demo.speed)
            if demo.waits:
                clock.hold(begin)
            chores = () if demo.days else _chores(setting, live)
            running = Running(live, clock, demo.speed, clock if demo.waits else None, chores)
        else:
            machine = VouchedClock(word_at_start(trusted=setting.trust_clock), vouching)
            told = partial(_seal, child) if child else None
            running = Running(live, machine, chores=_chores(setting, live), vouching=machine, vouched_for=told)
        stack.callback(running.close)
        stack.callback(node.close)  # before, so that nobody waits for it
        await running.look()
        yield running


def _founders(setting: Setting, planned: Plan) -> Founders:
    founded = "settlement" in planned.store.values()
    founders = Founders.named(setting.loaded, setting.keys, setting.out, setting.operators, founded=founded)
    if len(founders.quorum) < setting.loaded.ledger.threshold:
        require_cosignable(f"{setting.file}", planned.rules)
    return founders


def _seal(chain: Child, vouched: bool) -> None:
    """Have the service's own chain make blocks only while somebody vouches for the clock that they have."""
    chain.say(SEAL if vouched else HOLD)


def _import() -> None:
    """What is needed once the chain answers."""
    for name in (
        "service.api.app",
        "service.metrics",
        "service.plans",
        "service.signing",
        "ledger.remote",
        "exchange.months",
    ):
        import_module(f"commonwatt.{name}")


def _chores(setting: Setting, live: Live) -> list[Callable[[int], bool]]:
    """Bills of months that are over, homes' totals, and old days out of the database."""
    from commonwatt.exchange.counters import count
    from commonwatt.exchange.kept import keep_day
    from commonwatt.exchange.months import Months

    community, folder = setting.loaded, setting.file.parent
    months = Months(
        live.exchange, live.roster, partial(Rules.of, community, folder), setting.out / "bills",
        community.live.bill_after,
    )  # fmt: skip

    def bill(now: int) -> bool:
        before, more = months.trouble, months.advance(now)
        if months.trouble not in ("", before):
            _LOGGER.error("A month that is over cannot be billed: %s", months.trouble)
        return more

    def keep(now: int) -> bool:
        # What goes has been counted.
        return count(live.store) or keep_day(live.exchange, setting.out / "kept", community.live.keep, now)

    return [bill, keep]


@asynccontextmanager
async def _meters(
    setting: Setting, running: Running, hosting: Hosting, log: Callable[[str], None], children: list[Child]
) -> AsyncIterator[Gateway | None]:
    """The broker, which lets in the meters in service, and what listens to it; without one, meters speak HTTP.

    `children` has the broker's process, too.
    """
    from commonwatt.service import home_assistant
    from commonwatt.service.access import Access
    from commonwatt.service.mqtt import Gateway
    from commonwatt.service.plans import Plans
    from commonwatt.service.signing import Signing

    broker, authority = _broker(setting, log)
    listener = broker.connection(LISTENER, authority) if broker else None
    signing = Signing(running, setting.out, listener)
    if broker is None:
        async with _kept_up([again(signing.run)]):
            yield None
        return

    await asyncio.to_thread(broker.end_stray)
    await asyncio.to_thread(broker.prepare, await running.ask(_in_service, running))
    connection, access = broker.connection(authority=authority), Access(broker.control(authority), broker.passwords)
    connection.require_packages()
    answers = connects(connection)
    child = Child(Program("broker", broker.command(), answers, pid_file=broker.pid_file), log)
    children.append(child)
    async with _kept_up([child.run()]):
        await child.ready()
        gateway = Gateway(connection, running.take, running.known, hosting.notice)
        works: list[Callable[[], Awaitable[None]]] = [
            partial(_let_in, access, running, signing), gateway.run, Plans(running, gateway).run,
            partial(running.relays.run, gateway), partial(hosting.switches, gateway), signing.run,
            partial(home_assistant.run, running, gateway),
        ]  # fmt: skip
        async with _kept_up([again(each) for each in works]):
            yield gateway


def _broker(setting: Setting, log: Callable[[str], None]) -> tuple[Broker | None, Path | None]:
    """The exchange's own broker, and the file of who certified it."""
    place = ("127.0.0.1", port_of(setting.out, "broker")) if setting.demo else None
    try:
        return own_broker(setting.loaded.live, setting.file.parent, setting.out, place)
    except ConfigError as error:
        if not setting.demo:
            raise
        log(f"Meters can speak HTTP alone. {error}")
        return None, None


def _in_service(running: Running) -> list[bytes]:
    return running.live.roster.in_service(running.now())


async def _let_in(access: Access, running: Running, signing: Signing) -> None:
    """Whoever has a meter in service comes to the broker, and devices that the exchange reads; nobody else."""
    known: object = None
    while True:
        meters, roles = await running.ask(_in_service, running), signing.roles
        if (meters, roles) != known:
            try:
                await access.reconcile(meters, roles)
                known = (meters, roles)
            except BrokerError as error:
                _LOGGER.warning("%s", error)
        await asyncio.sleep(_ROSTER_SECONDS)


async def again(work: Callable[[], Awaitable[None]]) -> None:
    """Work on the meters' side, which begins anew when what nobody foresaw ends it: no message may do so for all."""
    while True:
        try:
            await work()
        except Exception as error:
            tell(_LOGGER, "Some of the work has ended, and begins again", error)
        await asyncio.sleep(_ROSTER_SECONDS)


@asynccontextmanager
async def _kept_up(
    works: Sequence[Coroutine[Any, Any, None]], failed: Callable[[], None] = lambda: None
) -> AsyncIterator[None]:
    """Work that goes on meanwhile, and ends with this.

    failed : told when some of it ends by itself, which it never should; the log has why
    """

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            tell(_LOGGER, "Some of the work has ended", error)
        failed()

    tasks = [asyncio.create_task(work) for work in works]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
    for each in found:
        if isinstance(each, Exception):
            raise each
