"""What operators ask: who is a member, by which meter, who is silent, what was refused, and how the exchange is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, Path
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select

from commonwatt.accounts.document import hex_text
from commonwatt.errors import RecordError
from commonwatt.exchange import rows, tables
from commonwatt.exchange.demands import read_last
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.live import Live
from commonwatt.exchange.silence import Silence, open_silences, settled_silences
from commonwatt.proof import checksum_address
from commonwatt.records.schema import to_bytes
from commonwatt.service.api.answers import as_json
from commonwatt.service.api.callers import Operator
from commonwatt.service.api.devices import aside
from commonwatt.service.api.operators_models import Demands, Health, Meters, Quarantine, Roster, Silences
from commonwatt.service.api.problems import responses
from commonwatt.service.refusals import Refusals
from commonwatt.service.running import Running

_REFUSED = responses(401, 403, 422, 503)
_MOST_DEMANDS = 500
_STATES = {tables.OPEN: "open", tables.ANSWERED: "answered", tables.VOID: "void"}
_READ = tables.readings.c
_LAST_OF_METERS = select(_READ.meter, func.max(_READ.slot), func.max(_READ.at)).group_by(_READ.meter)


class Named(BaseModel):
    """What a member is called, and where it is connected; bus : "" = nowhere in particular"""

    model_config = ConfigDict(strict=True, extra="forbid")
    name: str = Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")
    bus: str = Field(default="", max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")


class Clock(BaseModel):
    """An operator's word that the exchange's clock is right. time : by another clock [unix s]"""

    model_config = ConfigDict(strict=True, extra="forbid")
    time: int = Field(ge=0, le=2**53 - 1)


def add(app: FastAPI, running: Running) -> None:
    """Add the routes."""

    @app.get(
        "/v1/operators/roster", tags=["operators"], response_model=Roster, responses=_REFUSED,
        summary="All who are or were members.",
    )  # fmt: skip
    async def roster(_: Operator) -> Response:
        """As the ledger has them, with the names they were enrolled with."""
        return as_json({"members": await running.ask(_roster, running.live, running.now())})

    @app.get(
        "/v1/operators/meters", tags=["operators"], response_model=Meters, responses=_REFUSED,
        summary="All meters that are or were in service.",
    )  # fmt: skip
    async def meters(_: Operator) -> Response:
        """With the last slot of which each has reported, and when; not what it counted."""
        return as_json({"meters": await running.read(_meters, running.live, running.refusals)})

    @app.put(
        "/v1/operators/members/{account}", tags=["operators"], status_code=204, responses=_REFUSED,
        summary="Say what a member is called and where it is connected.",
    )  # fmt: skip
    async def name(
        _: Operator,
        account: Annotated[str, Path(pattern="^0x[0-9a-fA-F]{40}$", description="Of the member, or of who will be.")],
        named: Named,
    ) -> Response:
        """Best before the ledger has its account: the grid check goes by it, and so do bills."""
        await running.ask(_name, running.live, to_bytes(account.lower(), 20), named, running.now())
        return Response(status_code=204)

    @app.get(
        "/v1/operators/silence", tags=["operators"], response_model=Silences, responses=_REFUSED,
        summary="Who has not reported, and whether slots will settle.",
    )  # fmt: skip
    async def silence(_: Operator) -> Response:
        """Slots that have begun and are not settled, then settled ones of which somebody's reading may still come; the
        newest first."""
        now = running.now()
        found = await running.ask(open_silences, running.live, now) + await running.read(
            settled_silences, running.live.exchange, now
        )
        return as_json({"now": now, "slots": [_silence(each) for each in found]})

    @app.get(
        "/v1/operators/quarantine", tags=["operators"], response_model=Quarantine, responses=_REFUSED,
        summary="Readings that were refused since the start, and values of registers that were set aside.",
    )  # fmt: skip
    async def quarantine(_: Operator) -> Response:
        """Of each meter the last ones that it signed, with the reason; of each device that cannot sign, the last values
        that are not believed."""
        return as_json({**_refused(running.refusals), "devices": aside(running)})

    @app.get(
        "/v1/operators/demands", tags=["operators"], response_model=Demands, responses=_REFUSED,
        summary="What was demanded of posts on the ledger, and whether it is answered.",
    )  # fmt: skip
    async def demands(_: Operator) -> Response:
        """The last 500, the newest first. The exchange answers by itself; what it cannot answer it tries again."""
        return as_json(await running.read(_demands, running))

    @app.get(
        "/v1/operators/health", tags=["operators"], response_model=Health, responses=_REFUSED,
        summary="How the exchange is.",
    )  # fmt: skip
    async def health(_: Operator) -> Response:
        """See `/healthz` for whether it is at work at all."""
        return as_json(await running.ask(_health, running))

    @app.post(
        "/v1/operators/clock", tags=["operators"], status_code=204, responses=_REFUSED,
        summary="Say that the exchange's clock is right.",
    )  # fmt: skip
    async def clock(who: Operator, said: Clock) -> Response:
        """Gates close again, until the exchange is started anew or its clock is set. The time is another clock's, and
        may differ by 30 seconds."""
        await running.vouch(said.time, f"operator {checksum_address(who.account)}")
        return Response(status_code=204)


def _roster(live: Live, now: int) -> list[dict[str, Any]]:
    present = live.roster.at(now)
    active = {row.member: bool(row.active) for row in live.store.rows(tables.standing) if row.since <= now}
    return [
        {
            "number": number,
            "name": member.id,
            "bus": member.bus,
            "account": hex_text(mandate.record.member),
            "role": member.role.word,
            "active": active[number],
            "meter": None if meter == NO_METER else hex_text(meter),
            "mandateUntil": mandate.record.valid_until if mandate.signature else None,
        }
        for number, (member, mandate, meter) in enumerate(
            zip(live.roster.members, present.mandates, present.meters, strict=False)
        )
    ]


def _meters(live: Live, refusals: Refusals) -> list[dict[str, Any]]:
    since = rows.last_ended(live.store) - live.slots.corrections
    last = {meter: (slot, at) for meter, slot, at in live.store.ask(_LAST_OF_METERS.where(since <= _READ.slot))}
    found = []
    for row in live.store.rows(tables.service):
        slot, at = last.get(row.meter, (None, None))
        refused = refusals.meters.get(row.meter)
        told = {"meter": hex_text(row.meter), "member": row.member, "since": row.since, "until": row.until or None}
        found.append({**told, "lastSlot": slot, "arrivedAt": at, "refused": refused.count if refused else 0})
    return found


def _name(live: Live, account: bytes, named: Named, now: int) -> None:
    """Raises RecordError for a name that another member has, or a bus that the grid has not."""
    own = live.roster.number_of(account, now)
    others = {each.id for each in live.roster.members if each.index != own}
    others |= {row.id for row in live.store.rows(tables.names) if row.account != account.hex()}
    if named.name in others:
        raise RecordError(f"Another member is called {named.name}.")
    wires = live.exchange.rules.wires
    if named.bus and wires and named.bus not in wires.network.buses:
        raise RecordError(f"The community's grid has no bus {named.bus}.")
    live.roster.name(account, named.name, named.bus)
    live.exchange.under(live.exchange.rules.with_members(live.roster.members))


def _silence(each: Silence) -> dict[str, Any]:
    return {
        "slot": each.slot,
        "missing": list(each.missing),
        "settlesAt": each.settles_at,
        "obstacle": each.obstacle or None,
        "correctedUntil": each.corrected_until,
    }


def _refused(refusals: Refusals) -> dict[str, Any]:
    meters = [
        {
            "meter": hex_text(meter),
            "refused": own.count,
            "forged": own.forged,
            "last": [asdict(one) for one in own.last],
        }
        for meter, own in refusals.meters.items()
    ]
    return {"strangers": refusals.strangers, "meters": meters}


def _demands(running: Running) -> dict[str, Any]:
    now, why = running.now(), running.demands.why
    told = [
        {
            "slot": each.slot,
            "revision": each.revision,
            "member": None if each.member == tables.NOBODY else each.member,
            "order": hex_text(each.order) if each.order else None,
            "until": each.until,
            "state": _STATES[each.state] if each.state != tables.OPEN or now <= each.until else "late",
            "why": why.get(each.number),
        }
        for each in read_last(running.live.store, _MOST_DEMANDS)
    ]
    return {"now": now, "demands": told}


def _health(running: Running) -> dict[str, Any]:
    live, now = running.live, running.now()
    due = live.exchange.next
    return {
        "now": now,
        "doubt": running.doubt or None,
        "behind": live.behind or None,
        "trouble": live.trouble or None,
        "nextDue": due.at if due else None,
        "postsNotFinal": len(live.exchange.outbox.pending),
        "unsigned": len(live.exchange.unsigned) + len(live.exchange.outbox.unsigned),
        "readingsWaiting": running.readings.waiting,
        "ordersWaiting": running.orders.waiting,
        "listeners": running.feed.listeners,
    }
