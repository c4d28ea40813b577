"""How an operator tells the box of meters that cannot sign: files, commands, and what the doctor says of them."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from shell import Shell

from commonwatt.errors import ConfigError
from commonwatt.exchange import tables
from commonwatt.exchange.folder import EXCHANGE_FILE
from commonwatt.exchange.loading import load
from commonwatt.exchange.store import Store, put
from commonwatt.ledger.keyfile import new_key, write_key
from commonwatt.meter.device import Kept, Watched, hear
from commonwatt.meter.slots import Rules, State
from commonwatt.meter.telegrams import Message, Settings
from commonwatt.service import devices, doctor, signing
from commonwatt.service.devices import Device, add, begin_anew, read, remove
from commonwatt.service.logins import LISTENER, PREVIEW, Passwords
from commonwatt.service.signing import Watch
from commonwatt.service.topics import AUTO, name, topic

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
SHELLY = "shellypro3em-0123456789ab"


def plug(topic: str = "cellar") -> Device:
    return Device(b"", "tasmota", Settings(topic=topic))


def file_of(folder: Path, device: Device) -> Path:
    return folder / devices.FOLDER / f"{name(device.meter)}.toml"


@pytest.mark.parametrize(
    "device",
    [
        plug(),
        Device(b"", "shelly", Settings(topic=SHELLY, channel="em1data:1", swapped=True), most_w=9_000),
        Device(b"", "dsmr", Settings(winter_minutes=120), place="/dev/ttyUSB0", registers=("import",)),
        Device(b"", "sunspec", Settings(channel="103"), place="[::1]:1502", number=126, registers=("export",), anew=7),
        Device(b"", "esphome", Settings("a \"b\" \\ ü", import_from="x", unit="Wh")),
    ],
)  # fmt: skip
def test_a_device_is_read_as_it_was_written_with_a_key_that_others_cannot_read(tmp_path: Path, device: Device) -> None:
    made = add(tmp_path, device)
    ((found, key),) = read(tmp_path).devices
    assert found == made
    assert found.meter == key.address != b""
    assert stat.S_IMODE(file_of(tmp_path, made).with_suffix(".key").stat().st_mode) == 0o600
    assert begin_anew(tmp_path, made.meter, 99).anew == read(tmp_path).devices[0][0].anew == 99
    remove(tmp_path, made.meter)
    assert read(tmp_path) == devices.Devices()
    assert file_of(tmp_path, made).with_suffix(".key").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("driver = 'tasmota'", "topic: is missing"),
        ("driver = 'toaster'\n[settings]\ntopic = 'x'", "driver: is one of"),
        ("[settings]\ntopic = 'x'", "driver: is missing"),
        ("driver = ", "is no TOML"),
        ("driver = 'tasmota'\nmost = 1\n[settings]\ntopic = 'x'", "most: is unknown"),
        ("driver = 'tasmota'\n[settings]\ntopic = 'x'\ncolour = 'red'", "colour: is unknown"),
        ("driver = 'tasmota'\nmost_w = '9'\n[settings]\ntopic = 'x'", "most_w: Input should be a valid integer"),
        ("driver = 'tasmota'\nmost_w = 0\n[settings]\ntopic = 'x'", "most_w: is from 1"),
        ("driver = 'tasmota'\nregisters = ['gas']\n[settings]\ntopic = 'x'", "registers: are of import, export"),
        ("driver = 'esphome'\n[settings]\ntopic = 'cw/time'\nimport_from = 'a'", "where no device may write"),
        ("driver = 'esphome'\n[settings]\ntopic = '$SYS/x'\nimport_from = 'a'", "where no device may write"),
        ("driver = 'sunspec'", "place: or topic is needed"),
        ("driver = 'sunspec'\nplace = 'nowhere'", "place: is HOST:PORT"),
        ("driver = 'sunspec'\nplace = '/dev/ttyUSB0'", "place: is HOST:PORT for Modbus"),
        ("driver = 'sunspec'\nplace = 'a:502'\nnumber = 300", "number: is from 0 to 247"),
        ("settings = 1\ndriver = 'tasmota'", "settings: are a table"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence_and_the_others_are_read(
    tmp_path: Path, text: str, says: str
) -> None:
    good, bad = add(tmp_path, plug("attic")), add(tmp_path, plug())
    file_of(tmp_path, bad).write_text(text, "utf-8")
    found = read(tmp_path)
    assert [device for device, _ in found.devices] == [good]
    (trouble,) = found.troubles
    assert says in trouble
    assert "\n" not in trouble


def test_a_file_without_its_own_key_is_not_read(tmp_path: Path) -> None:
    made = add(tmp_path, plug())
    key = file_of(tmp_path, made).with_suffix(".key")
    key.unlink()
    assert "cannot be used" in read(tmp_path).troubles[0]
    write_key(key, new_key())
    assert "another meter's key" in read(tmp_path).troubles[0]


def test_two_devices_have_no_topic_in_common(tmp_path: Path) -> None:
    first, second = add(tmp_path, plug()), add(tmp_path, plug("attic"))
    with pytest.raises(ConfigError, match="problem") as told:
        add(tmp_path, plug())
    assert "which another meter's device has" in str(told.value)
    file_of(tmp_path, second).write_text(file_of(tmp_path, first).read_text("utf-8"), "utf-8")
    found = read(tmp_path)
    assert len(found.devices) == len(found.troubles) == 1


def test_each_may_write_to_its_own_topics_and_be_asked_where_it_has_to_be(tmp_path: Path) -> None:
    assert devices.Devices().roles() == ()
    made = [add(tmp_path, plug()), add(tmp_path, Device(b"", "shelly", Settings(topic=SHELLY)))]
    roles = {role.name: role for role in read(tmp_path).roles()}
    assert set(roles) == {LISTENER, PREVIEW, *(name(each.meter) for each in made)}
    of_plug, of_clamp = (roles[name(each.meter)] for each in made)
    switches = [topic(each.meter, AUTO) for each in made]
    assert (of_plug.publish, of_plug.subscribe) == (("tele/cellar/SENSOR", "tele/cellar/LWT", switches[0]), ())
    assert of_clamp.subscribe == roles[LISTENER].publish == (f"{SHELLY}/rpc",)
    assert sorted((*roles[LISTENER].subscribe, *switches)) == sorted((*of_plug.publish, *of_clamp.publish))
    assert [of_plug.below, of_clamp.below] == [(topic(each.meter, "#"),) for each in made]
    assert roles[PREVIEW].publish == ()


def box(folder: Path) -> Path:
    """The folder of an exchange that has begun, with a plug."""
    text = '[community]\nname = "Hill"\ncurrency = "EUR"\ntimezone = "UTC"\n[tariff]\nretail = "0.3"\nfeed_in = "0.1"\n'
    (folder / "community.toml").write_text(
        text + '[market.real_time]\nmechanism = "sdr"\n[live]\nbroker = "none"\n', "utf-8"
    )
    Passwords.kept(folder / "broker.secret")
    Store(folder / EXCHANGE_FILE).close()
    return folder


def keep(folder: Path, meter: bytes, heard: datetime, refused: int = 0) -> None:
    kept = Kept(State.of(Rules(1)), heard=int(heard.timestamp() * 1000), refused=refused)
    store = Store(folder / EXCHANGE_FILE)
    with store.transaction() as connection:
        put(connection, tables.devices, (name(meter), 0, kept.as_text()))
    store.close()


def test_the_doctor_tells_of_a_device_that_is_silent(tmp_path: Path) -> None:
    folder = box(tmp_path)
    community = load(folder / "community.toml")

    def checks() -> list[tuple[str, str]]:
        return [(each.state, each.said) for each in doctor._devices(community, folder, NOW)]

    assert checks() == []
    meter = add(folder, plug()).meter
    ((state, said),) = checks()
    assert (state, said) == ("care", f"Meter {name(meter)} (tasmota cellar) has not been heard yet.")
    for ago, refused, wanted, words in (
        (11, 0, "care", "has been silent since 2026-06-15 11:49:00 UTC."),
        (9, 3, "care", "said 3 values that are not believed."),
        (9, 0, "good", "was heard at 2026-06-15 11:51:00 UTC."),
    ):
        keep(folder, meter, NOW - timedelta(minutes=ago), refused)
        ((state, said),) = checks()
        assert state == wanted
        assert said.endswith(words)
    file_of(folder, read(folder).devices[0][0]).write_text("driver = 1", "utf-8")
    ((state, said),) = checks()
    assert state == "bad"
    assert "driver: Input should be a valid string" in said


def test_commands_add_list_and_remove_a_device(tmp_path: Path, said: Shell) -> None:
    folder = box(tmp_path)
    told = said("meter", "add", folder, "--driver", "shelly", "--topic", SHELLY, "--channel", "em1data:0")
    assert told.code == 0, told.err
    ((device, _),) = read(folder).devices
    meter = name(device.meter)
    password = Passwords.kept(folder / "broker.secret").of(meter)
    assert f"User {meter}\nPassword {password}\nIt reports on {SHELLY}/events/rpc" in told.out
    assert said("meter", "login", folder, meter).out.startswith(f"User {meter}")
    keep(folder, device.meter, NOW, 2)
    listed = said("meter", "list", folder).out
    assert f"shelly {SHELLY}: heard 2026-06-15 12:00:00 UTC, 2 values set aside" in listed
    figures = json.loads(said("meter", "list", folder, "--json", "-").out)
    assert figures["troubles"] == []
    assert figures["devices"][0]["heardAt"] == int(NOW.timestamp())
    assert "counts anew" in said("meter", "anew", folder, meter).out
    assert read(folder).devices[0][0].anew > 0
    assert said("meter", "remove", folder, meter).code == 0
    for command in ("preview", "anew", "remove"):
        refused = said("meter", command, folder, meter)
        assert refused.code == 2
        assert "meter: is none that this box reads" in refused.err
    assert "place: or topic" in said("meter", "add", folder, "--driver", "sunspec").err


def test_of_what_a_device_says_while_nothing_is_counted_the_last_megabytes_wait() -> None:
    device = plug()
    rules = device.rules(900, 0)
    watch = Watch(device, new_key(), rules, Watched.of(Kept(State.of(rules)), device.reader), 0)
    for number in range(200):
        watch.hear("tele/cellar/SENSOR", bytes([number]) * 100_000, None, float(number))
    assert 8_000_000 < watch.size == sum(len(payload) for _, payload, *_ in watch.waiting) <= 8 << 20
    assert watch.waiting[-1][1][0] == 199
    for number in range(20_000):
        watch.hear("tele/cellar/SENSOR", b"{}", None, float(number))
    assert len(watch.waiting) == 10_000
    assert watch.size == 20_000


def test_a_message_that_nobody_thought_of_is_left_out_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    device = plug()
    rules = device.rules(900, 0)
    watches = [Watch(device, new_key(), rules, Watched.of(Kept(State.of(rules)), device.reader), 0) for _ in range(2)]
    now = int(NOW.timestamp() * 1000)
    good = [
        Message("tele/cellar/SENSOR", json.dumps({"ENERGY": {"Total": wh / 1000}}).encode(), now - 10_000 * (9 - wh))
        for wh in range(9)
    ]
    strange = Message("tele/cellar/SENSOR", b"strange", now)

    def strangely(watched: Any, driver: Any, rules: Any, messages: Sequence[Message], now: int) -> Any:
        if strange in messages:
            raise KeyError("of nobody")
        return hear(watched, driver, rules, messages, now)

    monkeypatch.setattr(signing, "hear", strangely)
    signing._heard(watches[0], good, now)
    signing._heard(watches[1], [*good[:4], strange, *good[4:]], now)
    assert watches[1].watched == watches[0].watched
    assert watches[1].kept.heard == good[-1].at
    assert caplog.text.count("KeyError: 'of nobody'") == 1
