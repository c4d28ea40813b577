"""Mandates that wallets sign come in over HTTP, and hold from the next slot on that they can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking_cases import HOUR, Asker, Doors

from commonwatt.accounts.document import hex_text, signed_json
from commonwatt.accounts.orders import order_json
from commonwatt.community.wording import mandate_text
from commonwatt.exchange.enrolled import MOST_MANDATES
from commonwatt.proof import Key, sign
from commonwatt.records import Mandate, Signed

AGENT = Key.derive(b"mandates", "another agent")


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[Doors]:
    found = Doors(tmp_path)
    yield found
    found.close()


def renewed(doors: Doors, number: int, /, key: Key | None = None, **changes: Any) -> Signed[Mandate]:
    """The next mandate of a member, by its number."""
    before = doors.live.roster.at(doors.starts[-1]).mandates[number].record
    record = replace(before, agent=AGENT.address, nonce=before.nonce + 1, **changes)
    community = doors.exchange.rules.community
    words = community.currency, community.timezone, community.slot_seconds, community.unit
    text = changes.get("text", mandate_text(record, *words))
    return sign(doors.exchange.domain, replace(record, text=text), key or doors.members[number])


async def give(ask: Asker, mandate: Any, status: int = 200) -> Any:
    answer = await ask("/v1/mandates", status=status, method="POST", json=mandate)
    return answer.json()


def test_a_mandate_holds_from_the_next_open_slot_and_the_same_again_is_the_same(doors: Doors) -> None:
    signed = renewed(doors, 1, buy_wh=1_000)

    async def test(ask: Asker) -> None:
        given = await give(ask, signed_json(signed))
        assert given == {"hash": hex_text(signed.hash), "holdsFrom": doors.starts[0]}
        doors.live.advance(doors.exchange.rules.events[0].at)  # the gate of all these slots closes
        assert await give(ask, signed_json(signed)) == given
        assert doors.live.roster.at(doors.starts[0]).mandates[1] == signed
        doors.now = doors.starts[1]
        assert (await ask.json("/v1/me", 1))["mandate"] == signed_json(signed)
        late = await give(ask, signed_json(renewed(doors, 1)), 422)
        assert "No gate is open" in late["detail"]

    doors.ask(test)


def test_a_mandate_waits_for_the_orders_of_the_agent_before(doors: Doors) -> None:
    """Bills show each order under the mandate that its slot has."""
    gate = doors.exchange.next_gate
    assert gate
    placed = [order for slot in doors.village.homes.declare(gate, {}).signed for order in slot]
    own = [each for each in placed if each.record.member == doors.members[1].address]
    last = max(each.record.slot for each in own)

    async def test(ask: Asker) -> None:
        answers = await ask("/v1/orders", method="POST", json=[order_json(each) for each in own[:3]])
        assert {each["status"] for each in answers.json()["results"]} == {"accepted"}
        given = await give(ask, signed_json(renewed(doors, 1)))
        held = max(each.record.slot for each in own[:3])
        assert given["holdsFrom"] == held + HOUR
        assert held < last
        # Before that slot the agent of the mandate before orders on, behind it no more.
        (answer,) = (await ask("/v1/orders", method="POST", json=[order_json(own[-1])])).json()["results"]
        assert answer["status"] == "refused"

    doors.ask(test)


@pytest.mark.parametrize("case", ["forged", "words", "older", "stranger", "backwards", "huge"])
def test_what_is_no_mandate_of_a_member_is_refused_and_changes_nothing(doors: Doors, case: str) -> None:
    good = renewed(doors, 1)
    stranger = Key.derive(b"mandates", "stranger")
    bad = {
        "forged": renewed(doors, 1, key=AGENT),
        "words": renewed(doors, 1, text="Buy nothing."),
        "older": sign(doors.exchange.domain, replace(good.record, nonce=0), doors.members[1]),
        "stranger": renewed(doors, 1, key=stranger, member=stranger.address),
        "backwards": renewed(doors, 1, valid_from=2_000_000_001, valid_until=2_000_000_000),
        "huge": replace(good, record=replace(good.record, buy_wh=2**60)),
    }
    before = doors.live.roster.at(2**40).mandates

    async def test(ask: Asker) -> None:
        refused = await give(ask, signed_json(bad[case]), 422)
        assert refused["detail"].endswith(".")
        assert doors.live.roster.at(2**40).mandates == before

    doors.ask(test)


@pytest.mark.parametrize("sent", [None, [], {}, {"signature": "0x"}, {"signature": 7}, "mandate", 1.5])
def test_what_is_no_record_is_answered_in_one_sentence(doors: Doors, sent: Any) -> None:
    async def test(ask: Asker) -> None:
        await give(ask, sent, 422)

    doors.ask(test)


def test_a_number_that_is_none_is_refused(doors: Doors) -> None:
    async def test(ask: Asker) -> None:
        for value in (True, 1.0, "1", -1, None, 2**53):
            await give(ask, {**signed_json(renewed(doors, 1)), "maxBuy": value}, 422)

    doors.ask(test)


def test_a_member_cannot_fill_the_store_with_mandates(doors: Doors) -> None:
    async def test(ask: Asker) -> None:
        for _ in range(MOST_MANDATES):
            await give(ask, signed_json(renewed(doors, 1)))
        refused = await give(ask, signed_json(renewed(doors, 1)), 422)
        assert f"gave {MOST_MANDATES} mandates before this gate" in refused["detail"]
        await give(ask, signed_json(renewed(doors, 2)))

    doors.ask(test)
