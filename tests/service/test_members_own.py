"""What a member sees of itself over HTTP, and never of others; and what whoever holds its grant does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking_cases import HOUR, Asker, Doors
from visitor_cases import STRANGER

from commonwatt.exchange import rows, tables
from commonwatt.exchange.excerpt import excerpt
from commonwatt.exchange.sheets import shown_days
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.membership import scope_of

DAY = "2026-06-15"


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """A day of five homes, some of whose slots were settled anew."""
    found = Doors(tmp_path_factory.mktemp("passed"))
    found.whole_day(lambda slot, home: 0 if (slot // HOUR + home) % 3 else 1800 + HOUR * home)
    yield found
    found.close()


async def everything(ask: Asker, member: int) -> dict[str, str]:
    """Every answer that a member has of every operation that only reads, as the interface describes them."""
    doors, found = ask.doors, dict[str, str]()
    described = (await ask.json("/v1/openapi.json"))["paths"]
    slot = doors.starts[3]
    values = {"start": str(slot), "day": DAY, "month": "2026-06", "form": "pdf", "number": str(member)}
    for path, operations in described.items():
        others = path in ("/healthz", "/v1/events") or path.startswith(("/v1/operators/", "/v1/meters/"))
        if "get" in operations and not others:
            query = f"?slot={slot}" if path.endswith("/receipts") else "?limit=200" if "orders" in path else ""
            status = 404 if "{month}" in path else 200
            answer = await ask(path.format(**values) + query, member, status=status)
            found[path] = answer.text
    return found


def secrets_of(doors: Doors, member: int) -> set[str]:
    """What nobody else is to see of a member: its keys, its name, and what its meter said."""
    present, store = doors.live.roster.at(doors.starts[-1]), doors.exchange.store
    mandate = present.mandates[member]
    signed = [row.signature for row in store.rows(tables.readings, member=member)]
    signed += [row.signature for row in store.rows(tables.orders, member=member)]
    keys = [mandate.record.member, mandate.record.agent, mandate.signature, present.meters[member], *signed]
    return {key.hex() for key in keys} | {f'"{doors.live.roster.members[member].id}"'}


def test_a_member_is_shown_its_own_and_nothing_of_others_by_any_operation(passed: Doors) -> None:
    async def test(ask: Asker) -> None:
        for member in range(5):
            answers = await everything(ask, member)
            assert len(answers) >= 10
            told = "\n".join(answers.values()).lower()
            own = passed.live.roster.at(passed.exchange.now)
            assert own.meters[member].hex() in told
            for other in set(range(5)) - {member}:
                for secret in secrets_of(passed, other):
                    assert secret.lower() not in told
                await ask(f"/v1/members/{other}/readings", member, status=403)

    passed.ask(test)


def test_who_is_no_member_is_shown_nothing_of_anybody(passed: Doors) -> None:
    async def test(ask: Asker) -> None:
        described = (await ask.json("/v1/openapi.json"))["paths"]
        values = {"start": str(passed.starts[3]), "day": DAY, "month": "2026-06", "form": "pdf", "number": "1"}
        for path, operations in described.items():
            for method in operations:
                if "/me/" in f"{path}/" or "/members/" in path:
                    for who, status in ((None, 401), ("stranger", 403), ("operator", 403)):
                        if "/operators/" not in path:
                            query = {"slot": passed.starts[3]} if path.endswith("receipts") else None
                            await ask(path.format(**values), who, status=status, method=method.upper(), params=query)

    passed.ask(test)


def test_whoever_holds_a_grant_reads_what_it_names_and_while_it_holds(tmp_path: Path) -> None:
    doors = Doors(tmp_path)
    doors.whole_day()
    community, scope = CommunityClient(doors.exchange.client), scope_of("readings")

    async def granted(ask: Asker) -> None:
        assert len((await ask.json("/v1/members/2/readings", "stranger"))["readings"]) == 8
        await ask("/v1/members/3/readings", "stranger", status=403)
        await ask("/v1/me/orders", "stranger", status=403)

    async def none(ask: Asker) -> None:
        await ask("/v1/members/2/readings", "stranger", status=403)

    doors.ask(none)
    until = int(doors.now) + 10 * HOUR
    community.grant_access(doors.members[2], STRANGER.address, scope, until, at=int(doors.now) + 1)
    doors.ask(granted)
    doors.now = until
    doors.ask(none)
    community.grant_access(doors.members[2], STRANGER.address, scope, until + HOUR, at=until + 1)
    doors.ask(granted)
    community.withdraw_access(doors.members[2], STRANGER.address, scope, at=until + 2)
    doors.ask(none)
    doors.close()


def test_who_left_or_is_suspended_keeps_its_data(tmp_path: Path) -> None:
    doors = Doors(tmp_path)
    doors.whole_day()
    doors.now += HOUR
    doors.suspend(3)

    async def test(ask: Asker) -> None:
        assert (await ask.json("/v1/me", 3))["active"] is False
        assert len((await ask.json("/v1/members/3/readings", 3))["readings"]) == 8
        assert (await ask.json("/v1/me/data", 3))["number"] == 3

    doors.ask(test)
    doors.close()


def test_everything_is_the_same_after_a_restart(tmp_path: Path) -> None:
    doors, told = Doors(tmp_path), list[dict[str, str]]()
    doors.whole_day(lambda slot, home: 0 if (slot // HOUR + home) % 3 else 1800 + HOUR * home)

    async def test(ask: Asker) -> None:
        told.append(await everything(ask, 1))
        told[-1].pop("/v1/session")
        kept = json.loads(told[-1].pop("/v1/me/data"))
        assert kept.pop("sessions")
        told[-1]["kept"] = json.dumps(kept)

    doors.ask(test)
    doors.restart()
    doors.ask(test)
    assert told[0] == told[1]
    doors.close()


def test_excerpts_and_sheets_are_those_of_the_exchange(passed: Doors) -> None:
    exchange = passed.exchange

    async def test(ask: Asker) -> None:
        for member in (0, 4):
            for slot in passed.starts:
                posted = exchange.recalled(slot, rows.revision_of(exchange.store, slot) or 0)
                mandate = exchange.roster.at(slot).mandates[member]
                shown = await ask(f"/v1/me/slots/{slot}/excerpt", member)
                assert shown.json() == json.loads(json.dumps(excerpt(posted, member, mandate, exchange.client)))
                known = {"If-None-Match": shown.headers["etag"]}
                await ask(f"/v1/me/slots/{slot}/excerpt", member, status=304, headers=known)
            (day,) = shown_days(exchange.books)
            assert await ask.json(f"/v1/me/sheets/{DAY}", member) == json.loads(json.dumps(day[member]))
        await ask(f"/v1/me/slots/{passed.starts[0] - HOUR}/excerpt", 0, status=404)
        for day_ in ("2026-06-14", "2026-06-16", "9998-01-01", "0001-01-01", "9999-12-31", "2026-02-30"):
            await ask(f"/v1/me/sheets/{day_}", 0, status=404)
        for no_day in ("yesterday", "0", "20260615"):
            await ask(f"/v1/me/sheets/{no_day}", 0, status=422)

    passed.ask(test)


def test_a_member_has_one_sheet_made_at_a_time_and_holds_up_nobody(passed: Doors) -> None:
    async def test(ask: Asker) -> None:
        headers = await ask.headers(0)
        asked = [ask.client.get(f"/v1/me/sheets/{DAY}", headers=headers) for _ in range(4)]
        answers = await asyncio.gather(*asked, ask(f"/v1/me/sheets/{DAY}", 1))
        assert sorted(each.status_code for each in answers) == [200, 200, 429, 429, 429]
        await ask(f"/v1/me/sheets/{DAY}", 0)

    passed.ask(test)


def test_orders_say_what_became_of_them_and_have_the_same_receipts_again(passed: Doors) -> None:
    async def test(ask: Asker) -> None:
        orders, after = list[dict[str, Any]](), ""
        while after is not None:
            page = await ask.json(f"/v1/me/orders?limit=3&after={after}", 1)
            orders, after = orders + page["orders"], page["next"]
        kept = passed.exchange.store.rows(tables.orders, member=1)
        assert [each["hash"] for each in orders] == [f"0x{row.hash.hex()}" for row in kept]
        store = passed.exchange.store
        for each in orders:
            slot = each["order"]["slot"]
            receipts = (await ask.json(f"/v1/me/receipts?slot={slot}", 1))["receipts"]
            assert {one["order"] for one in receipts if one["position"] == each["position"]} == {each["hash"]}
            named = [
                row
                for row in store.rows(tables.trades, slot=slot)
                if each["hash"] in (f"0x{row.buy_order.hex()}", f"0x{row.sell_order.hex()}")
            ]
            last = rows.revision_of(store, slot)
            assert each["agreedWh"] == sum(row.wh for row in named if row.revision == 0)
            assert each["settledWh"] == sum(row.settled for row in named if row.revision == last)
            assert each["state"] == "settled"
        assert any(each["agreedWh"] for each in orders)

    passed.ask(test)


def test_what_a_member_has_on_the_ledger_is_told_in_whole_units(passed: Doors) -> None:
    async def test(ask: Asker) -> None:
        balances = passed.exchange.client.balances().tolist()
        for member in range(5):
            told = await ask.json("/v1/me", member)
            assert (told["number"], told["balance"]) == (member, str(balances[member]))
            assert told["freeCollateral"] == str(max(int(passed.exchange.unbound()[member]), 0))

    passed.ask(test)
