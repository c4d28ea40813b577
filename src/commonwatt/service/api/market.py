"""What everybody may ask of the market: its slots."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import FastAPI, HTTPException, Path, Query, Request
from fastapi.responses import Response
from pydantic_core import to_json

from commonwatt.service.api.answers import tagged
from commonwatt.service.api.models import Told
from commonwatt.service.api.problems import responses
from commonwatt.service.running import Running


class Roots(Told):
    """Roots that the ledger has: of orders and trades since the gate, of statements since the slot was posted."""

    orders: str | None
    trades: str | None
    statements: str | None


class StagePrices(Told):
    """Prices of one stage of the market day by their names, such as buy and sell [unit/kWh]."""

    stage: int
    mechanism: str
    prices: dict[str, int]


class Sum(Told):
    """A sum over homes. wh : null where too few are behind it, and `why` says so; homes : how many there are"""

    wh: int | None
    homes: int | None
    why: str | None


class Sums(Told):
    """Of a slot as it was first settled.

    traded : settled local energy, `homes` are the fewer of buyers and sellers
    imported, exported : what homes drew from the utility and fed in to it
    """

    traded: Sum
    imported: Sum
    exported: Sum


class Slot(Told):
    """A slot. start : [unix s]; revision : the last one, null before it is settled"""

    start: int
    state: Literal["open", "closed", "ended", "posted", "final", "missed"]
    revision: int | None
    roots: Roots
    prices: list[StagePrices]
    sums: Sums | None


class Slots(Told):
    """Slots in the order of time. next : what to give as `after` for those behind them; null when there are none"""

    slots: list[Slot]
    next: int | None


_MOST = 200


def add(app: FastAPI, running: Running) -> None:
    """Add the routes."""

    @app.get(
        "/v1/slots",
        tags=["market"],
        response_model=Slots,
        responses=responses(422, 503),
        summary="Slots in the order of time, with their state, prices and sums.",
    )
    async def slots(
        request: Request,
        after: Annotated[int, Query(ge=-1, le=2**53 - 1, description="Slots that start later [unix s].")] = -1,
        limit: Annotated[int, Query(ge=1, le=_MOST, description="The most slots to answer with.")] = 96,
    ) -> Response:
        """Sums are told where at least five homes are behind them. What a correction changes of them is not told."""
        found = await running.board.after(after, limit)
        following = found[-1].start if len(found) == limit else None
        return tagged(request, to_json({"slots": [each.as_json() for each in found], "next": following}))

    @app.get(
        "/v1/slots/{start}",
        tags=["market"],
        response_model=Slot,
        responses={304: {"description": "It is as the asker has it."}, **responses(404, 422, 503)},
        summary="One slot.",
    )
    async def slot(
        request: Request, start: Annotated[int, Path(ge=0, le=2**53 - 1, description="Its start [unix s].")]
    ) -> Response:
        """See the list of slots."""
        found = await running.board.of([start])
        if not found:
            raise HTTPException(404, f"The exchange knows no slot that starts at {start} (unix seconds).")
        return tagged(request, to_json(found[0].as_json()))
