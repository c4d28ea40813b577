"""What a member may ask about itself, and others about it with its grant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Query
from fastapi.responses import Response, StreamingResponse
from pydantic_core import to_json

from commonwatt.accounts.document import hex_text, signed_json
from commonwatt.exchange import personal, tables
from commonwatt.exchange.access import may_read
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.live import Live
from commonwatt.exchange.rows import box_meters
from commonwatt.service.api.answers import After, Limit, as_json, paged, place_of
from commonwatt.service.api.callers import Caller, Entry, entry, signed_in
from commonwatt.service.api.models import Erasure, Me, Orders, Readings, Receipts
from commonwatt.service.api.problems import responses
from commonwatt.service.hosted import Hosted
from commonwatt.service.running import Running

_REFUSED = responses(401, 403, 422, 503)
_STAYS = (
    "Orders, mandates, trades and accounts stay: bills of others lead to them.",
    "Readings stay until the slot cannot be corrected any more and its bill is anchored: they prove both.",
    "What the community's chain has, account, meter and balance, nobody can erase.",
    "Where the home is connected stays, as the grid is checked by it, and so does a name in the community's file.",
    "Bills that were made stay in the operators' files, as they have to keep them.",
)


def own_number(caller: Caller) -> int:
    """The number of a caller who is a member, or was one: it keeps its data. Raises 403 for others."""
    if caller.member is None:
        raise HTTPException(403, "This account is no member's.")
    return caller.member


def add(app: FastAPI, running: Running, hosted: Hosted | None) -> None:
    """Add the routes."""

    @app.get("/v1/me", tags=["member"], response_model=Me, responses=_REFUSED, summary="Who the asker is here.")
    async def me(caller: Annotated[Caller, Depends(signed_in)]) -> Response:
        """Amounts are whole numbers of the community's unit, as text."""
        return as_json(await running.ask(_me, running.live, own_number(caller), running.now()))

    @app.get(
        "/v1/me/orders", tags=["member"], response_model=Orders, responses=_REFUSED,
        summary="The asker's orders, and what became of each.",
    )  # fmt: skip
    async def orders(caller: Annotated[Caller, Depends(signed_in)], after: After = "", limit: Limit = 100) -> Response:
        """By slot and by place in it."""
        number = own_number(caller)
        return as_json(
            paged("orders", await running.read(personal.orders, running.live.exchange, number, place_of(after), limit))
        )

    @app.get(
        "/v1/me/receipts", tags=["member"], response_model=Receipts, responses=_REFUSED,
        summary="The operators' receipts for the asker's orders of a slot, once more.",
    )  # fmt: skip
    async def receipts(
        caller: Annotated[Caller, Depends(signed_in)],
        slot: Annotated[int, Query(ge=0, le=2**53 - 1, description="Its start [unix s].")],
    ) -> Response:
        """One of each operator that signs, for each order, by its place."""
        found = await running.read(_receipts, running.live, own_number(caller), slot)
        return as_json({"receipts": found})

    @app.get(
        "/v1/members/{number}/readings", tags=["member"], response_model=Readings, responses=_REFUSED,
        summary="What a member's meters counted.",
    )  # fmt: skip
    async def readings(
        caller: Annotated[Caller, Depends(signed_in)],
        number: Annotated[int, Path(ge=0, le=2**32 - 1, description="Of the member.")],
        after: After = "",
        limit: Limit = 100,
    ) -> Response:
        """For the member itself, and whoever holds its grant on the chain."""
        known = running.live.exchange.client, caller.account, number, "readings", running.now()
        if not await running.ask(may_read, *known):
            raise HTTPException(403, f"This account may not read what meters of member {number} counted.")
        return as_json(
            paged("readings", await running.read(personal.readings, running.live.store, number, place_of(after), limit))
        )

    @app.get(
        "/v1/me/data", tags=["member"], responses={200: {"content": {"application/json": {}}}, **_REFUSED},
        response_class=StreamingResponse, summary="All that the exchange keeps of the asker.",
    )  # fmt: skip
    async def data(
        caller: Annotated[Caller, Depends(signed_in)], here: Annotated[Entry, Depends(entry)]
    ) -> StreamingResponse:
        """A table of rows for each kind; bills and the proofs of slots are for themselves."""
        number = own_number(caller)
        kept = personal.everything(running.live.store, number, caller.account)
        sessions = [{"until": each.until} for each in await running.ask(here.sessions.held, caller.account)]
        agent = await running.ask(hosted.of, caller.account) if hosted else None
        begin = b'{"number":%d,"sessions":%b,"agent":%b' % (number, to_json(sessions), to_json(agent))
        headers = {"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="my-data.json"'}
        return StreamingResponse(_written(running, begin, kept), media_type="application/json", headers=headers)

    @app.delete(
        "/v1/me/data", tags=["member"], response_model=Erasure, responses=_REFUSED,
        summary="Erase what nobody needs any more of the asker.",
    )  # fmt: skip
    async def erase(caller: Annotated[Caller, Depends(signed_in)]) -> Response:
        """Its name, plans of slots whose gate has closed, and readings that are billed and past all corrections."""
        return as_json(await running.ask(_erase, running.live, own_number(caller), caller.account, running.now()))


def _me(live: Live, number: int, now: int) -> dict[str, Any]:
    exchange, present = live.exchange, live.roster.at(now)
    member, mandate, meter = live.roster.members[number], present.mandates[number], present.meters[number]
    standing = [row for row in live.store.rows(tables.standing, member=number) if row.since <= now]
    return {
        "number": number,
        "name": member.id,
        "account": hex_text(mandate.record.member),
        "role": member.role.word,
        "active": bool(standing[-1].active),
        "meter": None if meter == NO_METER else hex_text(meter),
        "boxSigns": meter in box_meters(live.store),
        "mandate": signed_json(mandate) if mandate.signature else None,
        "balance": str(exchange.client.balances()[number]),
        "freeCollateral": str(max(int(exchange.unbound()[number]), 0)),
    }


def _receipts(live: Live, number: int, slot: int) -> list[dict[str, Any]]:
    exchange = live.exchange
    kept = live.store.columns(tables.orders, ("position", "hash"), slot=slot, member=number)
    given = (exchange.outbox.receipts(slot, place, order) for place, order in kept)
    return [signed_json(each) for of_order in given for each in of_order]


def _erase(live: Live, number: int, account: bytes, now: int) -> dict[str, Any]:
    erased, exchange = personal.erase(live.exchange, number, now), live.exchange
    # Bills that are made, or wait for operators' signatures, have the names that they began with.
    named = exchange.billing is not None or exchange.outbox.unanchored is not None
    return {
        "name": not named and live.roster.forget(account),
        "plans": erased.plans,
        "readings": erased.readings,
        "until": erased.until,
        "stays": list(_STAYS),
    }


async def _written(
    running: Running, begin: bytes, kept: Iterator[tuple[str, list[dict[str, Any]]]]
) -> AsyncIterator[bytes]:
    """One object with a list for each table, a little at a time. begin : of it"""
    yield begin
    last = ""
    while (part := await running.read(next, kept, None)) is not None:
        name, entries = part
        if name != last:
            yield b'%b,"%b":[' % (b"]" if last else b"", name.encode())
        elif entries:
            yield b","
        yield to_json(entries)[1:-1]
        last = name
    yield b"]}"
