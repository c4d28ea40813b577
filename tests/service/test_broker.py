"""Who may say and hear what at the broker, and what becomes of its files."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import stat
import struct
from pathlib import Path

import aiomqtt
import pytest
from broker_cases import ALICE, BOB, CAROL, Running
from broker_cases import running as running
from node_processes import free_port

from commonwatt.errors import BrokerError, ConfigError, OutputError
from commonwatt.service.access import Access
from commonwatt.service.broker import ACCESS, SECRET, Broker, Listener
from commonwatt.service.connection import Connection
from commonwatt.service.logins import COMMANDS, RESPONSES, Passwords
from commonwatt.service.topics import name, topic

REFUSED = 128


async def granted(client: aiomqtt.Client, wanted: str) -> bool:
    (answer,) = await client.subscribe(wanted, qos=1)
    return (answer if isinstance(answer, int) else answer.value) != REFUSED


def test_a_meter_speaks_under_its_own_address_only(running: Running) -> None:
    words = ("reading", "live", "status")

    async def heard() -> list[str]:
        async with running.exchange.client() as exchange, running.meter(ALICE).client() as alice:
            for word in words:
                assert await granted(exchange, f"cw/+/{word}")
            for to in (topic(BOB, "reading"), topic(BOB, "live"), topic(ALICE, "other"), "cw/time", topic(BOB, "ack")):
                await alice.publish(to, b"", qos=1)
            for word in words:
                await alice.publish(topic(ALICE, word), b"", qos=1)
            return [(await anext(exchange.messages)).topic.value for _ in words]

    assert asyncio.run(heard()) == [topic(ALICE, word) for word in words]


def test_a_meter_hears_what_is_for_it_and_no_other(running: Running) -> None:
    async def heard() -> dict[str, bool]:
        async with running.meter(ALICE).client() as alice:
            asked = [
                topic(ALICE, "ack"), topic(ALICE, "#"), "cw/time", topic(BOB, "ack"), topic(BOB, "#"), "cw/+/ack",
                "cw/+/reading", "cw/#", "#", "+/+/ack", "$SYS/#", "$CONTROL/#", RESPONSES,
            ]  # fmt: skip
            return {each: await granted(alice, each) for each in asked}

    allowed = {topic(ALICE, "ack"), topic(ALICE, "#"), "cw/time"}
    assert {each for each, yes in asyncio.run(heard()).items() if yes} == allowed


def test_the_exchange_reaches_every_meter_and_reads_none_of_its_own_words(running: Running) -> None:
    async def heard() -> tuple[list[bytes], bool]:
        async with running.exchange.client() as exchange, running.meter(BOB).client() as bob:
            assert await granted(bob, topic(BOB, "#"))
            assert await granted(bob, "cw/time")
            for word in ("ack", "plan", "demand"):
                await exchange.publish(topic(BOB, word), word.encode(), qos=1)
            await exchange.publish("cw/time", b"time", qos=1)
            words = [(await anext(bob.messages)).payload for _ in range(4)]
            return [each for each in words if isinstance(each, bytes)], await granted(exchange, topic(BOB, "ack"))

    assert asyncio.run(heard()) == ([b"ack", b"plan", b"demand", b"time"], False)


def test_neither_meters_nor_the_exchange_command_the_broker(running: Running) -> None:
    async def try_it() -> None:
        command = json.dumps({"commands": [{"command": "deleteClient", "username": name(BOB)}]})
        for user in (running.exchange, running.meter(ALICE)):
            async with user.client() as client:
                await client.publish(COMMANDS, command, qos=1)

    asyncio.run(try_it())
    assert asyncio.run(running.access.meters()) == (ALICE, BOB)


def test_a_last_will_is_told_under_the_own_address_only(running: Running) -> None:
    async def heard() -> list[str]:
        async with running.exchange.client() as exchange:
            await exchange.subscribe("cw/+/status", qos=1)
            for meter in (BOB, ALICE):
                connection = running.meter(ALICE)
                try:
                    async with connection.client(will=aiomqtt.Will(topic(meter, "status"), b"gone", 1)) as alice:
                        gone = alice._client.socket()
                        assert isinstance(gone, socket.socket)
                        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        gone.shutdown(socket.SHUT_RDWR)
                        await asyncio.sleep(0.2)
                except aiomqtt.MqttError:
                    pass
            return [(await anext(exchange.messages)).topic.value]

    assert asyncio.run(heard()) == [topic(ALICE, "status")]


def test_a_meter_with_another_ones_identifier_ends_no_connection_but_its_own(running: Running) -> None:
    async def still_there() -> bool:
        async with running.meter(BOB).client() as bob:
            alice = running.meter(ALICE)
            client = aiomqtt.Client(
                alice.host, alice.port, username=alice.user, password=alice.password, identifier=name(BOB)
            )
            async with client:
                await client.publish(topic(ALICE, "live"), b"1", qos=1)
            await bob.publish(topic(BOB, "live"), b"1", qos=1)
            return True

    assert asyncio.run(still_there())


@pytest.mark.parametrize(("user", "password"), [("exchange", "guessed"), ("nobody", "guessed"), (None, None)])
def test_who_has_no_password_is_refused(running: Running, user: str | None, password: str | None) -> None:
    async def enter() -> None:
        place = running.exchange
        async with aiomqtt.Client(place.host, place.port, username=user, password=password):
            pass

    with pytest.raises(aiomqtt.MqttError, match=r"(?i)not authori"):
        asyncio.run(enter())


def test_a_message_that_is_too_long_ends_the_connection_of_its_sender(running: Running) -> None:
    async def send() -> None:
        async with running.meter(ALICE).client() as alice:
            await alice.publish(topic(ALICE, "reading"), bytes(200_000))
            async with asyncio.timeout(60):
                await anext(alice.messages)

    with pytest.raises(aiomqtt.MqttError, match="Disconnected"):
        asyncio.run(send())
    assert running.broker.running


@pytest.mark.parametrize("damage", [b"", b'{"clients": [', b"[]", None], ids=["empty", "half", "other", "missing"])
def test_a_broker_that_lost_who_may_come_is_told_it_again_with_the_same_passwords(
    running: Running, damage: bytes | None
) -> None:
    before = running.meter(ALICE)
    running.broker.kill()
    access = running.broker.folder / ACCESS
    access.unlink() if damage is None else access.write_bytes(damage)
    assert running.broker.prepare([ALICE])
    running.broker.start()

    async def enter() -> None:
        async with before.client() as alice:
            await alice.publish(topic(ALICE, "live"), b"1", qos=1)

    asyncio.run(enter())
    assert asyncio.run(running.access.meters()) == (ALICE,)


def test_a_broker_that_knows_its_meters_is_left_alone(running: Running) -> None:
    running.broker.kill()
    assert not running.broker.prepare([CAROL])
    running.broker.start()
    assert asyncio.run(running.access.meters()) == (ALICE, BOB)


def test_sessions_that_cannot_be_read_are_put_aside(running: Running) -> None:
    running.broker.kill()
    (running.broker.folder / "mosquitto.db").write_bytes(b"rubbish")
    running.broker.start()
    assert (running.broker.folder / "mosquitto.damaged").read_bytes() == b"rubbish"
    assert asyncio.run(running.access.meters()) == (ALICE, BOB)


def test_files_are_for_the_broker_and_the_exchange_alone(running: Running) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in running.broker.folder.iterdir()}
    assert {modes[each] for each in (ACCESS, "mosquitto.conf")} == {0o600}
    assert stat.S_IMODE((running.home / SECRET).stat().st_mode) == 0o600
    assert stat.S_IMODE(running.broker.folder.stat().st_mode) == 0o700
    text = (running.broker.folder / ACCESS).read_text("utf-8")
    assert running.passwords.of(name(ALICE)) not in text
    assert running.meter(ALICE).password not in repr(running.meter(ALICE))


def test_starting_a_broker_that_runs_and_stopping_one_that_does_not_change_nothing(running: Running) -> None:
    running.broker.start()
    assert running.broker.running
    running.broker.stop()
    running.broker.stop()
    assert not running.broker.running


def test_a_port_that_is_taken_is_named(running: Running) -> None:
    second = Broker(running.home / "second", running.broker.listener)
    second.prepare()
    with pytest.raises(BrokerError, match=f"cannot listen on 127.0.0.1:{running.broker.listener.port}: Address") as met:
        second.start()
    assert met.value.place == running.broker.listener.place
    assert not second.running


def test_a_broker_that_does_not_start_says_why(running: Running) -> None:
    running.broker.stop()
    with (running.broker.folder / "mosquitto.conf").open("a") as file:
        file.write("no_such_option 1\n")
    with pytest.raises(BrokerError, match="Mosquitto does not start"):
        running.broker.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's broker changes its user")
def test_a_folder_that_its_user_cannot_enter_is_used_for_this_machine_alone(running: Running) -> None:
    closed = running.home / "closed"
    closed.mkdir(mode=0o700)
    own = Broker(closed / "own" / "broker", Listener("127.0.0.1", free_port()))
    own.prepare([ALICE])
    own.start()
    asyncio.run(Access(own.control(), own.passwords).reconcile([ALICE]))
    own.stop()
    certificate, key = tmp_files = closed / "server.pem", closed / "server.key"
    for each in tmp_files:
        each.write_text("", "ascii")
    other = Broker(closed / "other" / "broker", Listener("0.0.0.0", free_port(), certificate, key))  # noqa: S104
    with pytest.raises(ConfigError, match=re.escape(f"who cannot enter {closed}; run: chmod o+x {closed}")):
        other.prepare()


@pytest.mark.parametrize("host", ["", "192.0.2.7", "box.local"])
def test_without_a_certificate_it_listens_to_this_machine_only(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no certificate"):
        Broker(tmp_path, Listener(host, free_port()))


def test_a_certificate_that_is_missing_and_a_folder_that_is_none_are_named(tmp_path: Path) -> None:
    port = free_port()
    missing = Broker(tmp_path / "one", Listener("127.0.0.1", port, tmp_path / "no.pem", tmp_path / "no.key"))
    with pytest.raises(ConfigError, match=r"cannot read .*no\.pem: No such file"):
        missing.prepare()
    with pytest.raises(ConfigError, match="a certificate and a key, or neither"):
        Broker(tmp_path, Listener("127.0.0.1", port, tmp_path / "no.pem"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be used"):
        Broker(tmp_path / "file", Listener("127.0.0.1", port)).prepare()


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / SECRET
    first = Passwords.kept(path).of("exchange")
    assert Passwords.kept(path).of("exchange") == first != Passwords.kept(path).of("control")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        Passwords.kept(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(ConfigError, match="holds no secret"):
        Passwords.kept(path)


def test_without_mosquitto_or_its_plugin_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listener = Listener("127.0.0.1", free_port())
    monkeypatch.setattr("commonwatt.service.broker._LIBRARIES", (str(tmp_path),))
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/usr/sbin/mosquitto")
    with pytest.raises(ConfigError, match=r"needs Mosquitto's plugin mosquitto_dynamic_security\.so"):
        Broker(tmp_path, listener)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ConfigError, match="apt install mosquitto"):
        Broker(tmp_path, listener)


def test_an_authority_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    for path, reason in ((tmp_path / "ca.pem", "no certificate"), (tmp_path / "missing.pem", os.strerror(2))):
        with pytest.raises(BrokerError, match=re.escape(str(path)) + ".*" + reason):
            Connection("127.0.0.1", 1, "exchange", "secret", path).client()
