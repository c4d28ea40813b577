"""Agents that the box has for members: begun over HTTP, named by a mandate, and ordering at the gate as others do."""

from __future__ import annotations

import asyncio
import logging
import shutil
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import broker_cases
import pytest
from asking_cases import HOUR, Asker
from hosted_cases import DAY, NET, Hosts

from commonwatt.accounts.document import hex_text, signed_json
from commonwatt.accounts.orders import order_json
from commonwatt.community.wording import order_text
from commonwatt.errors import OutputError, StoreError
from commonwatt.exchange import backup, rows, tables
from commonwatt.ledger.keyfile import read_key
from commonwatt.proof import Key, sign
from commonwatt.records import BUY, SELL, Order
from commonwatt.service.hosted import FOLDER, orders
from commonwatt.service.mqtt import Counts, Gateway, Messages
from commonwatt.service.topics import AUTO, AUTO_STATE, STATUS, topic

HOME, OTHER = 1, 2
ME = "/v1/me/agent"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    found = Hosts(tmp_path)
    yield found
    found.close()


async def begun(ask: Asker, home: int = HOME, wanted: Any = None, **limits: int) -> dict[str, Any]:
    """A home has an agent, and its wallet signs a mandate for it."""
    told = (await ask(ME, home, method="PUT", json=wanted or {})).json()
    signed = ask.doors.mandate(home, bytes.fromhex(told["agent"][2:]), **limits)  # type: ignore[attr-defined]
    await ask("/v1/mandates", method="POST", json=signed_json(signed))
    return await looked(ask, home)


async def looked(ask: Asker, home: int = HOME) -> dict[str, Any]:
    found: dict[str, Any] = await ask.json(ME, home)
    return found


async def decide(hosts: Hosts) -> None:
    """All that agents have to decide by now."""
    for task in await hosts.running.ask(hosts.hosted.due, int(hosts.now)):
        await hosts.hosting._decide(task)


def ordered(hosts: Hosts, home: int = HOME) -> list[Any]:
    return hosts.exchange.store.rows(tables.orders, member=home)


def test_with_a_week_of_readings_it_orders_what_it_expects_within_the_mandate(hosts: Hosts) -> None:
    async def test(ask: Asker) -> None:
        nobody = await looked(ask)
        assert (nobody["agent"], nobody["active"], nobody["needed"]) == (None, False, 168)
        assert "has no agent" in nobody["why"]
        hosts.report(HOME)
        hosts.report(OTHER)
        told = await begun(ask, buy_wh=600, sell_wh=1_000, max_buy=210_000, min_sell=150_000)
        assert (told["active"], told["strategy"], told["why"], told["last"]) == (True, "truthful", "", None)
        assert (told["readings"], told["needed"]) == (192, 168)
        hosts.now = hosts.gate - HOUR - 1
        await decide(hosts)
        assert not ordered(hosts)
        hosts.now = hosts.gate - HOUR
        await decide(hosts)
        found = ordered(hosts)
        expected = [net + HOME for net in NET]
        assert [row.slot for row in found] == hosts.starts
        assert [row.side for row in found] == [BUY if net > 0 else SELL for net in expected]
        assert [row.wh for row in found] == [min(net, 600) if net > 0 else min(-net, 1_000) for net in expected]
        assert all(row.limit <= 210_000 if row.side == BUY else row.limit >= 150_000 for row in found)
        assert not ordered(hosts, OTHER)
        last = (await looked(ask))["last"]
        assert last == {"gate": hosts.gate, "accepted": 8, "refused": 0, "unknown": 0, "why": ""}
        # What it expects, traded or not, is what the wires are checked for.
        planned, said = rows.read_planned(hosts.exchange.store, hosts.exchange.rules.period, 5)
        assert planned[HOME].tolist() == expected
        assert said.sum() == 8
        # It decides once, and its orders are cleared as everybody's.
        await decide(hosts)
        assert len(ordered(hosts)) == 8
        hosts.live.advance(hosts.gate)
        assert {each["state"] for each in (await ask.json("/v1/me/orders", HOME))["orders"]} == {"closed"}

    hosts.ask(test)


REASONS = {
    "too short": "have 167 readings; an agent orders once there are 168",
    "no mandate": "No mandate of the member names the agent 0x",
    "another agent": "No mandate of the member names the agent 0x",
    "suspended": "The member is suspended.",
    "off": "The agent is switched off.",
    "deleted": "This member has no agent here.",
}


@pytest.mark.parametrize("case", REASONS)
def test_it_orders_nothing_and_says_why(hosts: Hosts, case: str) -> None:
    async def test(ask: Asker) -> None:
        hosts.report(OTHER)
        hosts.report(HOME, missing=hosts.last(192)[:25] if case == "too short" else ())
        if case == "no mandate":
            await ask(ME, HOME, method="PUT", json={})
        else:
            await begun(ask)
        if case == "another agent":
            revoked = hosts.mandate(HOME, Key.derive(b"hosted", "another").address)
            await ask("/v1/mandates", method="POST", json=signed_json(revoked))
        if case == "suspended":
            hosts.suspend(HOME)
            await ask(ME, HOME, method="PUT", json={}, status=403)
        if case == "off":
            await ask(ME, HOME, method="PUT", json={"active": False})
        if case == "deleted":
            await ask(ME, HOME, method="DELETE", status=204)
            await ask(ME, HOME, method="DELETE", status=204)
        await decide(hosts)
        assert not ordered(hosts)
        told = await looked(ask)
        assert REASONS[case] in told["why"]
        if told["active"]:
            assert REASONS[case] in told["last"]["why"]
            assert told["last"]["accepted"] == 0

    hosts.ask(test)


def test_a_member_without_a_mandate_takes_part_and_may_have_an_agent(hosts: Hosts) -> None:
    async def test(ask: Asker) -> None:
        over = hosts.mandate(HOME, Key.derive(b"hosted", "another").address, valid_until=hosts.starts[0] + 1)
        await ask("/v1/mandates", method="POST", json=signed_json(over))
        hosts.live.advance(hosts.gate)
        hosts.now = hosts.starts[1]
        assert (await ask.json("/v1/me", HOME))["mandate"] is None
        assert (await ask.json("/v1/session", HOME))["active"]
        assert (await ask(ME, HOME, method="PUT", json={})).json()["active"]

    hosts.ask(test)


def test_slots_without_a_reading_of_a_week_before_are_told_and_left_out(hosts: Hosts) -> None:
    async def test(ask: Asker) -> None:
        gaps = {hosts.starts[2] - 7 * DAY, hosts.starts[5] - 7 * DAY}
        hosts.report(HOME, missing=gaps)
        await begun(ask)
        await decide(hosts)
        assert {row.slot for row in ordered(hosts)} == {slot for slot in hosts.starts if slot - 7 * DAY not in gaps}
        told = await looked(ask)
        assert (told["readings"], told["last"]["unknown"], told["last"]["accepted"]) == (190, 2, 6)

    hosts.ask(test)


def test_it_orders_for_the_slots_of_its_mandate_alone_and_leaves_the_members_own_orders(hosts: Hosts) -> None:
    async def test(ask: Asker) -> None:
        hosts.report(HOME)
        await begun(ask, valid_until=hosts.starts[4] + 1)
        community, slot = hosts.exchange.rules.community, hosts.starts[1]
        order = Order(hosts.members[HOME].address, "", BUY, 50, 200_000, slot, slot, 1)
        words = order_text(order, community.currency, community.timezone, community.slot_seconds, community.unit)
        own = sign(hosts.exchange.domain, replace(order, text=words), hosts.members[HOME])
        answers = (await ask("/v1/orders", method="POST", json=[order_json(own)])).json()["results"]
        assert [each["status"] for each in answers] == ["accepted"]
        await decide(hosts)
        found = {row.slot: row.wh for row in ordered(hosts)}
        assert sorted(found) == hosts.starts[:5]
        assert found[slot] == 50

    hosts.ask(test)


def test_an_agent_outlives_a_restart_and_says_nothing_twice(hosts: Hosts) -> None:
    told = dict[str, Any]()

    async def before(ask: Asker) -> None:
        hosts.report(HOME)
        told.update(await begun(ask, wanted={"strategy": "zero-intelligence"}))
        for task in await hosts.running.ask(hosts.hosted.due, int(hosts.now)):  # killed before it could keep that
            said = await hosts.running.read(orders, hosts.live.store, task, hosts.exchange.rules.period)
            await hosts.running.orders(said.orders[:3])

    async def after(ask: Asker) -> None:
        assert await looked(ask) == told
        await decide(hosts)
        assert [row.slot for row in ordered(hosts)] == hosts.starts
        last = (await looked(ask))["last"]
        assert (last["accepted"], last["refused"]) == (5, 0)
        limits = {row.limit for row in ordered(hosts)}
        assert len(limits) > 2  # drawn, each within the mandate

    async def at_last(ask: Asker) -> None:
        assert (await looked(ask))["last"]["accepted"] == 5
        assert not hosts.hosted.due(int(hosts.now))

    hosts.ask(before)
    hosts.restart()
    hosts.ask(after)
    hosts.restart()
    hosts.ask(at_last)


def test_its_key_is_the_boxs_alone_and_gone_when_it_is_deleted(hosts: Hosts, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    folder = hosts.village.folder / FOLDER

    async def test(ask: Asker) -> None:
        hosts.report(HOME)
        first = await begun(ask)
        (file,) = folder.iterdir()
        assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)) == (0o600, 0o700)
        key = read_key(file)
        assert hex_text(key.address) == first["agent"]
        await ask(ME, HOME, method="PUT", json={"active": False})
        assert (await begun(ask))["agent"] == first["agent"]
        await decide(hosts)
        secret = key.secret.hex()
        texts = [await ask(path, HOME) for path in (ME, "/v1/me", "/v1/me/data", "/v1/me/orders")]
        assert (await ask.json("/v1/me/data", HOME))["agent"]["strategy"] == "truthful"
        assert not any(secret in text for text in (caplog.text, *(each.text for each in texts)))
        await ask(ME, HOME, method="DELETE", status=204)
        assert not list(folder.iterdir())
        # Another agent has another key, which the mandate of the one before does not name.
        again = (await ask(ME, HOME, method="PUT", json={})).json()
        assert again["agent"] not in (None, first["agent"])
        assert "No mandate of the member names" in again["why"]

    hosts.ask(test)


def test_a_backup_has_no_key_of_an_agent_unless_it_is_asked_for(hosts: Hosts, tmp_path: Path) -> None:
    async def test(ask: Asker) -> None:
        await begun(ask)

    hosts.ask(test)
    (file,) = (hosts.village.folder / FOLDER).iterdir()
    place = hosts.village.folder / "out" / FOLDER
    file.parent.rename(place)
    found = backup.save(hosts.village.folder / "out", tmp_path / "backup.tar.gz", 0)
    assert found.missing == (f"{FOLDER}/{file.name}",)
    with tarfile.open(tmp_path / "backup.tar.gz") as tar:
        contents = b"".join(opened.read() for each in tar if (opened := tar.extractfile(each)))
    key = read_key(place / file.name)
    assert key.secret not in contents
    assert key.secret.hex().encode() not in contents


def test_who_may_not_is_refused(hosts: Hosts) -> None:
    async def test(ask: Asker) -> None:
        for wanted in ({"strategy": "clever"}, {"strategy": 1}, {"active": "yes"}, {"agent": "0x00"}):
            await ask(ME, HOME, method="PUT", json=wanted, status=422)
        for method in ("GET", "PUT", "DELETE"):
            await ask(ME, None, method=method, json={}, status=401)
            await ask(ME, "stranger", method=method, json={}, status=403)
        assert not (hosts.village.folder / FOLDER).exists()

    hosts.ask(test)


def test_what_goes_wrong_is_logged_once_and_tried_again(
    hosts: Hosts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, whole = list[int](), hosts.running.orders

    async def failing(signed: Any) -> Any:
        tries.append(len(signed))
        if len(tries) < 4:
            raise StoreError("The disk is full.")
        return await whole(signed)

    monkeypatch.setattr(hosts.running, "orders", failing)

    async def test(ask: Asker) -> None:
        hosts.report(HOME)
        await begun(ask)
        trading = asyncio.create_task(hosts.hosting.trade())
        async with asyncio.timeout(120):
            while not (await looked(ask))["last"]:
                await asyncio.sleep(0.02)
        trading.cancel()
        assert tries == [8] * 4
        assert len(ordered(hosts)) == 8
        assert [each.getMessage() for each in caplog.records if each.name.endswith("hosting")] == [
            f"The agent of member {HOME} cannot order: The disk is full."
        ]

    hosts.ask(test)


class Quiet(Gateway):
    """A gateway that is connected and keeps what meters are told."""

    def __init__(self) -> None:
        self.counts, self.said = Counts(connections=1), list[tuple[bytes, bytes]]()

    async def wait_connected(self) -> None:
        """See `Gateway`."""

    async def tell_all(self, messages: Messages, word: str, *, retain: bool = False) -> None:
        """See `Gateway`."""
        self.said += messages if retain and word == AUTO_STATE else []


def test_an_agent_whose_key_cannot_be_kept_says_so_and_holds_up_no_other(
    hosts: Hosts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, meters = hosts.village.folder / FOLDER, [hosts.village.homes.meters[home].key.address for home in (1, 2)]
    key = hosts.hosted.key

    def full(account: bytes) -> Key:
        if account == hosts.members[HOME].address:
            raise OutputError("The disk is full.")
        return key(account)

    async def test(ask: Asker) -> None:
        await ask(ME, HOME, method="PUT", json={})
        shutil.rmtree(folder)
        folder.write_bytes(b"")
        hosts.now = hosts.gate - HOUR
        await decide(hosts)
        folder.unlink()
        assert "cannot be written" in (await looked(ask))["last"]["why"]
        monkeypatch.setattr(hosts.hosted, "key", full)
        hosts.hosting.notice(meters[0], AUTO, b"OFF")
        hosts.hosting.notice(meters[1], AUTO, b"ON")
        gateway = Quiet()
        switching = asyncio.create_task(hosts.hosting.switches(gateway))
        async with asyncio.timeout(60):
            while (meters[1], b"ON") not in gateway.said:
                await asyncio.sleep(0.02)
        switching.cancel()

    hosts.ask(test)
    assert "cannot be thrown: The disk is full." in caplog.text


def test_a_switch_at_the_meter_has_an_agent_begin_stop_and_go_on(hosts: Hosts) -> None:
    """By the real broker: what a home's own system says there, and is told."""
    meters = [hosts.village.homes.meters[home].key.address for home in (HOME, OTHER)]
    broker = broker_cases.Running(meters)

    async def test(ask: Asker) -> None:
        gateway = Gateway(broker.exchange, hosts.running.take, lambda: hosts.now, hosts.hosting.notice)
        async with broker_cases.serving(gateway), broker.meter(meters[0]).client() as client:
            switching = asyncio.create_task(hosts.hosting.switches(gateway))
            own, state = topic(meters[0], AUTO), topic(meters[0], AUTO_STATE)
            await client.subscribe(state, qos=1)
            assert await broker_cases.until(client, state) == b"OFF"
            # One that the broker keeps would be thrown again with each connection, and another home's is not its own.
            await client.publish(own, b"ON", qos=1, retain=True)
            assert await broker_cases.until(client, state) == b"ON"
            agent = (await looked(ask))["agent"]
            assert agent
            await client.publish(topic(meters[1], AUTO), b"ON", qos=1)
            await client.publish(own, b"maybe", qos=1)
            await client.publish(own, b"OFF", qos=1)
            assert await broker_cases.until(client, state) == b"OFF"
            told = await looked(ask)
            assert (told["agent"], told["active"]) == (agent, False)
            assert (await looked(ask, OTHER))["agent"] is None
            switching.cancel()
        heard = list[str]()
        later = Gateway(broker.exchange, hosts.running.take, lambda: hosts.now, lambda _, word, __: heard.append(word))
        async with broker_cases.serving(later), broker.meter(meters[0]).client() as client, asyncio.timeout(60):
            while not heard:
                await client.publish(topic(meters[0], STATUS), b"online", qos=1)
                await asyncio.sleep(0.05)
        assert set(heard) == {STATUS}

    try:
        hosts.ask(test)
    finally:
        broker.remove()
