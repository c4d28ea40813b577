"""The application: what meters, members and operators can ask over HTTP."""

from __future__ import annotations

from pathlib import Path
from secrets import token_bytes
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic_core import to_json

from commonwatt.accounts.document import hex_text, signed_json
from commonwatt.accounts.orders import order_of
from commonwatt.errors import RecordError
from commonwatt.meter.protocol import REFUSED, signed_reading
from commonwatt.records import Receipt, Signed
from commonwatt.service.api import (
    agents,
    cosigning,
    devices,
    documents,
    events,
    mandates,
    market,
    members,
    operators,
    relays,
)
from commonwatt.service.api.callers import Entry
from commonwatt.service.api.description import complete
from commonwatt.service.api.limits import Limits
from commonwatt.service.api.meters import add_meters
from commonwatt.service.api.models import ACCEPTED, Answers, Community, Gate, Health, Results
from commonwatt.service.api.problems import handle, problem, responses
from commonwatt.service.api.records import LONGEST, ORDER, READING, listed, records
from commonwatt.service.api.settings import Settings
from commonwatt.service.api.signin import add_signing_in
from commonwatt.service.hosted import Hosted
from commonwatt.service.logins import Passwords
from commonwatt.service.running import Running, refusal

_LISTS: Final = {
    "/v1/readings": LONGEST, "/v1/orders": LONGEST, "/v1/operators/cosign/receipts": cosigning.LONGEST,
}  # fmt: skip
"""The paths to which lists of records come, and how long these may be [bytes]."""
_USUAL: Final = Settings()


def application(
    running: Running,
    settings: Settings = _USUAL,
    bills: Path | None = None,
    passwords: Passwords | None = None,
    hosted: Hosted | None = None,
) -> FastAPI:
    """The application of a living exchange.

    bills : the folder that has a folder of bills for each month, if any
    passwords : of the broker's users, which are those of meters here; without, no meter has one
    hosted : the agents that it has for members; without, it has none
    """
    app = FastAPI(title="Commonwatt", version="1", docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json")
    app.state.entry = Entry(running, settings)
    app.add_middleware(Limits, allowance=settings.per_address, longest=_LISTS, ticks=settings.ticks)
    handle(app)
    app.router.redirect_slashes = False
    complete(app)
    add_signing_in(app)
    add_meters(app, running, passwords or Passwords(token_bytes(32)))
    errors = responses(503)

    @app.get(
        "/healthz",
        tags=["operating"],
        summary="Whether the exchange is at work.",
        response_model=Health,
        responses=errors,
    )
    async def healthz() -> Response:
        """503 with the reason while nothing is due, such as without a ledger, or a clock that somebody vouches for;
        the engine is not asked."""
        why = running.doubt or running.live.behind
        return problem(503, why) if why else JSONResponse({"status": "ok"})

    @app.get("/v1/community", tags=["market"], summary="What whoever signs for this exchange has to know.")
    async def community() -> Community:
        return await running.ask(_community, running)

    @app.post(
        "/v1/readings",
        tags=["meters"],
        response_model=Results,
        responses=errors,
        openapi_extra=listed(READING),
        summary="Bring what meters counted.",
    )
    async def readings(request: Request) -> Response:
        """Signed readings of any meters, in any order; each is judged by itself. The signature is the credential."""
        given = records(await request.body(), signed_reading)
        judged = iter(await running.readings([each for each in given if not isinstance(each, RecordError)]))
        said = [refusal(each) if isinstance(each, RecordError) else next(judged) for each in given]
        return _results([each.as_json() for each in said])

    @app.post(
        "/v1/orders",
        tags=["market"],
        response_model=Answers,
        responses=errors,
        openapi_extra=listed(ORDER),
        summary="Order for slots whose gate is open.",
    )
    async def orders(request: Request) -> Response:
        """Signed orders, one after the other; the same order again has the same receipts. The signature is the
        credential."""
        given = records(await request.body(), order_of)
        answered = iter(await running.orders([each for each in given if not isinstance(each, RecordError)]))
        return _results([_told(each if isinstance(each, RecordError) else next(answered)) for each in given])

    for each in (market, mandates):
        each.add(app, running)
    for own in (members, agents):
        own.add(app, running, hosted)
    for each in (relays, operators, cosigning, devices, events):
        each.add(app, running)
    documents.add(app, running, bills)
    return app


def _community(running: Running) -> Community:
    live = running.live
    exchange, gate = live.exchange, live.exchange.next_gate
    return Community(
        community=exchange.rules.community.name,
        chain_id=exchange.domain.chain_id,
        settlement=hex_text(exchange.domain.contract),
        name=exchange.domain.name,
        version=exchange.domain.version,
        slot_seconds=live.slots.seconds,
        slot_offset=live.slots.offset,
        now=running.now(),
        speed=running.speed,
        behind=running.doubt or live.behind or live.trouble,
        next_gate=Gate(at=gate.at, first_slot=gate.slots.start, slots=gate.slots.count) if gate else None,
    )


def _told(answer: tuple[Signed[Receipt], ...] | RecordError) -> dict[str, Any]:
    if isinstance(answer, RecordError):
        return {"status": REFUSED, "why": str(answer)}
    return {"status": ACCEPTED, "receipts": [signed_json(receipt) for receipt in answer]}


def _results(results: list[dict[str, Any]]) -> Response:
    return Response(to_json({"results": results}), media_type="application/json")
