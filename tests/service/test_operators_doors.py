"""What operators ask over HTTP, and nobody else is answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from asking_cases import HOUR, Asker, Doors
from live_cases import WAIT

from commonwatt.exchange.late import QUIET
from commonwatt.meter import SimulatedMeter
from commonwatt.meter.protocol import signed_json
from commonwatt.proof import Key


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    found = Doors(tmp_path)
    yield found
    found.close()


def test_nobody_but_an_operator_is_answered(doors: Doors) -> None:
    async def test(ask: Asker) -> None:
        described = (await ask.json("/v1/openapi.json"))["paths"]
        paths = {path: operations for path, operations in described.items() if "/operators/" in path}
        assert len(paths) == 17
        for path, operations in paths.items():
            for method in operations:
                place = path.format(account="0x" + "11" * 20, slot=0, revision=0)
                body = {"json": {"put": {"name": "x"}, "post": {"time": int(doors.now)}}.get(method)}
                for who, status in ((None, 401), (1, 403), ("stranger", 403)):
                    await ask(place, who, status=status, method=method.upper(), **body)

    doors.ask(test)
    assert doors.live.roster.members[1].id == "roof"


def test_silence_says_who_is_missing_and_when_a_slot_settles_all_the_same(doors: Doors) -> None:
    live, meters, first = doors.live, doors.village.homes.meters, doors.starts[0]
    live.advance(doors.exchange.rules.events[0].at)
    live.readings([meters[home].read(first, 300, 0, 1) for home in (0, 1, 3)], first + HOUR)
    doors.now = first + HOUR + 1

    async def waiting(ask: Asker) -> None:
        told = await ask.json("/v1/operators/silence", "operator")
        running, over = told["slots"]
        assert (running["slot"], running["missing"]) == (first + HOUR, [0, 1, 2, 3, 4])
        assert over == {
            "slot": first, "missing": [2, 4], "settlesAt": first + HOUR + WAIT, "obstacle": None,
            "correctedUntil": first + HOUR + live.slots.corrections,
        }  # fmt: skip
        live.behind = "The node does not answer."
        told = await ask.json("/v1/operators/silence", "operator")
        assert {each["obstacle"] for each in told["slots"]} == {"The node does not answer."}
        live.behind = ""

    async def settled(ask: Asker) -> None:
        told = await ask.json("/v1/operators/silence", "operator")
        assert [each["slot"] for each in told["slots"]] == [first + HOUR, first]
        assert told["slots"][1]["missing"] == [2, 4]
        assert told["slots"][1]["settlesAt"] is None

    async def corrected(ask: Asker) -> None:
        told = await ask.json("/v1/operators/silence", "operator")
        assert told["slots"][1]["missing"] == [4]

    doors.ask(waiting)
    doors.now = first + HOUR + WAIT
    live.advance(int(doors.now))
    doors.ask(settled)
    live.readings([meters[2].read(first, 300, 0, 1)], int(doors.now))
    live.advance(int(doors.now) + QUIET)
    doors.ask(corrected)


def test_what_was_refused_is_listed_by_meter_and_what_anybody_could_send_is_counted_only(doors: Doors) -> None:
    live, meters, first = doors.live, doors.village.homes.meters, doors.starts[0]
    live.advance(doors.exchange.rules.events[0].at)
    doors.now = first + HOUR
    stranger = SimulatedMeter(Key.derive(b"operators", "meter"), doors.exchange.domain)
    good = meters[0].read(first, 300, 0, 2)
    forged = replace(meters[1].read(first, 300, 0, 1), signature=good.signature)
    sent = [good, meters[0].read(first, 299, 0, 1), forged, stranger.read(first, 1, 0, 1)]
    sent += [meters[0].read(first + 900, 300, 0, number) for number in range(3, 40)]

    async def test(ask: Asker) -> None:
        await ask("/v1/readings", method="POST", json=[signed_json(each) for each in sent])
        told = await ask.json("/v1/operators/quarantine", "operator")
        own = {each["meter"]: each for each in told["meters"]}
        of_first, of_second = (own[f"0x{meters[home].key.address.hex()}"] for home in (0, 1))
        assert told["strangers"] == 1
        assert (of_first["refused"], of_first["forged"]) == (38, 0)
        assert [each["sequence"] for each in of_first["last"]] == list(range(20, 40))
        assert {each["at"] for each in of_first["last"]} == {first + HOUR}
        assert (of_second["refused"], of_second["forged"], of_second["last"]) == (0, 1, [])
        listed = (await ask.json("/v1/operators/meters", "operator"))["meters"]
        assert [each["refused"] for each in listed] == [38, 0, 0, 0, 0]
        assert [each["lastSlot"] for each in listed] == [first, None, None, None, None]

    doors.ask(test)


def test_members_are_named_by_operators_each_otherwise(doors: Doors) -> None:
    account = doors.members[1].address

    async def test(ask: Asker) -> None:
        place = f"/v1/operators/members/0x{account.hex()}"
        await ask(place, "operator", status=204, method="PUT", json={"name": "The roof", "bus": "Bus 7"})
        roster = (await ask.json("/v1/operators/roster", "operator"))["members"]
        assert [each["number"] for each in roster] == list(range(5))
        assert (roster[1]["name"], roster[1]["bus"]) == ("The roof", "Bus 7")
        assert doors.live.roster.members[1].load == doors.exchange.rules.community.members[1].load
        assert (await ask.json("/v1/me", 1))["name"] == "The roof"
        await ask(place, "operator", status=204, method="PUT", json={"name": "The roof"})
        newcomer = "/v1/operators/members/0x" + "11" * 20
        await ask(newcomer, "operator", status=204, method="PUT", json={"name": "Newcomer"})
        for body in (
            {"name": "sun"},
            {"name": "Newcomer"},
            {"name": ""},
            {"name": "a\nb"},
            {"name": "x", "more": 1},
            {},
        ):
            await ask(place, "operator", status=422, method="PUT", json=body)
        await ask("/v1/operators/members/me", "operator", status=422, method="PUT", json={"name": "x"})
        assert (await ask.json("/v1/me", 1))["name"] == "The roof"

    doors.ask(test)
    doors.restart()
    assert doors.exchange.roster.members[1].id == "The roof"  # type: ignore[attr-defined]


def test_health_says_what_stands_in_the_way(doors: Doors) -> None:
    async def test(ask: Asker) -> None:
        told = await ask.json("/v1/operators/health", "operator")
        assert (told["behind"], told["trouble"], told["doubt"]) == (None, None, None)
        assert told["nextDue"] == doors.exchange.rules.events[0].at
        doors.live.behind = "The node does not answer."
        assert (await ask.json("/v1/operators/health", "operator"))["behind"] == "The node does not answer."

    doors.ask(test)
