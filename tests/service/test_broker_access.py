"""Meters join the broker and leave it while it runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiomqtt
import pytest
from broker_cases import ALICE, BOB, CAROL, Running
from broker_cases import running as running

from commonwatt.errors import BrokerError
from commonwatt.service import access as access_module
from commonwatt.service.access import Access, Changes
from commonwatt.service.connection import Connection
from commonwatt.service.logins import COMMANDS, EXCHANGE, RESPONSES
from commonwatt.service.topics import name, topic


async def command(running: Running, *commands: dict[str, Any]) -> None:
    """What an operator does to the broker with its own tools."""
    async with running.broker.control().client() as client:
        await client.subscribe(RESPONSES, qos=1)
        await client.publish(COMMANDS, json.dumps({"commands": commands}), qos=1)
        told = (await anext(client.messages)).payload
        assert isinstance(told, bytes)
        assert "error" not in told.decode()


async def comes_in(connection: Connection) -> bool:
    try:
        async with connection.client():
            return True
    except aiomqtt.MqttError:
        return False


async def loses(client: aiomqtt.Client, doing: Callable[[], Awaitable[object]]) -> bool:
    """Whether a client is disconnected by what is done."""
    await doing()
    try:
        async with asyncio.timeout(1):
            await anext(client.messages)
    except aiomqtt.MqttError:
        return True
    except TimeoutError:
        return False
    raise AssertionError


def test_a_meter_that_joins_works_at_once_and_nobody_else_notices(running: Running) -> None:
    async def join() -> tuple[bool, str, bytes]:
        async with running.exchange.client() as exchange, running.meter(ALICE).client() as alice:
            await exchange.subscribe("cw/+/reading", qos=1)
            before = await comes_in(running.meter(CAROL))
            password = await running.access.join(CAROL)
            async with running.meter(CAROL).client() as carol:
                await carol.publish(topic(CAROL, "reading"), b"1", qos=1)
                await alice.publish(topic(ALICE, "reading"), b"2", qos=1)
                first, second = await anext(exchange.messages), await anext(exchange.messages)
                assert (first.topic.value, second.topic.value) == (topic(CAROL, "reading"), topic(ALICE, "reading"))
            return before, password, b""

    before, password, _ = asyncio.run(join())
    assert not before
    assert password == running.meter(CAROL).password


def test_a_meter_that_is_revoked_is_disconnected_at_once_and_stays_out(running: Running) -> None:
    async def revoke() -> tuple[bool, bool, bool]:
        async with running.meter(BOB).client() as bob, running.meter(ALICE).client() as alice:
            lost = await loses(bob, lambda: running.access.revoke(BOB))
            await alice.publish(topic(ALICE, "live"), b"1", qos=1)
        return lost, await comes_in(running.meter(BOB)), await comes_in(running.meter(ALICE))

    assert asyncio.run(revoke()) == (True, False, True)


def test_joining_and_revoking_twice_is_as_once(running: Running) -> None:
    async def twice() -> tuple[bool, str, str, tuple[bytes, ...]]:
        access = running.access
        first = await access.join(CAROL)
        async with running.meter(CAROL).client() as carol:
            lost = await loses(carol, lambda: access.join(CAROL))
        again = await access.join(CAROL)
        await access.revoke(BOB)
        await access.revoke(BOB)
        return lost, first, again, await access.meters()

    lost, first, again, meters = asyncio.run(twice())
    assert not lost
    assert first == again
    assert meters == (ALICE, CAROL)


def test_who_joined_is_known_to_a_broker_that_was_killed(running: Running) -> None:
    asyncio.run(running.access.join(CAROL))
    running.broker.kill()
    assert not running.broker.prepare()
    running.broker.start()
    assert asyncio.run(comes_in(running.meter(CAROL)))


def test_a_roster_is_brought_to_the_broker(running: Running) -> None:
    many = [bytes([number]) * 20 for number in range(1, 26)]

    async def bring() -> tuple[Changes, Changes, tuple[bytes, ...]]:
        async with running.meter(ALICE).client() as alice:
            changes = await running.access.reconcile([ALICE, *many])
            await alice.publish(topic(ALICE, "live"), b"1", qos=1)
            return changes, await running.access.reconcile([ALICE, *many]), await running.access.meters()

    changes, nothing, meters = asyncio.run(bring())
    assert changes == Changes(joined=tuple(many), revoked=(BOB,))
    assert nothing == Changes()
    assert meters == (*many, ALICE)


def test_what_others_changed_at_the_broker_is_put_right(running: Running) -> None:
    more = {"acltype": "publishClientSend", "topic": "cw/#", "priority": 0, "allow": True}
    guest = {"command": "createClient", "username": "guest", "password": "guest"}

    async def put_right() -> tuple[Changes, bool, bool, bool, Changes]:
        await command(
            running,
            {"command": "addRoleACL", "rolename": name(ALICE), **more},
            {"command": "disableClient", "username": name(BOB)},
            {"command": "deleteClient", "username": EXCHANGE.name},
            {"command": "createRole", "rolename": name(CAROL)},
            guest,
        )
        changes = await running.access.reconcile([ALICE, BOB])
        entered = [await comes_in(running.meter(BOB)), await comes_in(running.exchange)]
        place = running.exchange
        entered.append(await comes_in(Connection(place.host, place.port, "guest", "guest")))
        bob, exchange, other = entered
        return changes, bob, exchange, other, await running.access.reconcile([ALICE, BOB])

    changes, *entered, nothing = asyncio.run(put_right())
    assert changes == Changes(mended=(ALICE, BOB), revoked=(CAROL,))
    assert entered == [True, True, True]
    assert nothing == Changes()


def test_two_who_command_the_broker_at_once_both_get_their_way(running: Running) -> None:
    async def both() -> tuple[bytes, ...]:
        shell, service = running.access, running.access
        await asyncio.gather(shell.join(CAROL), service.revoke(BOB), service.join(ALICE))
        return await shell.meters()

    assert asyncio.run(both()) == (ALICE, CAROL)


def test_a_refusal_of_the_broker_is_one_sentence(running: Running) -> None:
    access = running.access
    with pytest.raises(BrokerError, match=r"^The broker at 127\.0\.0\.1:\d+ refuses createClient: .+\.$") as met:
        asyncio.run(access._do([{"command": "createClient", "username": "#/+", "roles": [{"rolename": "none"}]}]))
    assert met.value.place == f"127.0.0.1:{running.broker.listener.port}"


def test_a_broker_that_is_away_or_knows_another_secret_is_one_sentence(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "_TRIES", 1)
    control = running.broker.control()
    stranger = Access(Connection(control.host, control.port, control.user, "guessed"), running.passwords)
    with pytest.raises(BrokerError, match=r"cannot be used by control: .*[Nn]ot authori[sz]ed\.$"):
        asyncio.run(stranger.meters())
    running.broker.kill()
    with pytest.raises(BrokerError, match=r"cannot be used by control: .*[Cc]onnection refused\.$"):
        asyncio.run(running.access.meters())


def test_a_user_without_command_of_the_broker_gets_no_answer(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_module, "_TRIES", 1)
    monkeypatch.setattr(access_module, "_PATIENCE", 0.5)
    with pytest.raises(BrokerError, match="does not answer commands: is its plugin dynamic-security loaded"):
        asyncio.run(Access(running.exchange, running.passwords).meters())
