"""What relays are told by their owners, and what is known of them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from commonwatt.accounts.document import hex_text
from commonwatt.exchange.founding import NO_METER
from commonwatt.exchange.relays import demand, follow, follows
from commonwatt.service.api.answers import as_json
from commonwatt.service.api.callers import Caller, member, signed_in
from commonwatt.service.api.models import Told
from commonwatt.service.api.problems import responses
from commonwatt.service.relays import Said
from commonwatt.service.running import Running
from commonwatt.units import MAX_ORDER_WH

_REFUSED: Final = responses(401, 403, 422, 503)
_TOLD: Final = responses(401, 403, 409, 422, 503)


class Following(BaseModel):
    """trades : whether the relay lets through in each slot what was bought for it ahead of delivery"""

    model_config = ConfigDict(strict=True, extra="forbid")
    trades: bool


class Wanted(BaseModel):
    """wh : energy that the relay lets through [Wh]; 0 opens it. until : it opens by then [unix s]"""

    model_config = ConfigDict(strict=True, extra="forbid")
    wh: int = Field(ge=0, le=MAX_ORDER_WH)
    until: int = Field(ge=0, le=2**53 - 1)


class Sent(Told):
    """What was demanded of a relay.

    number : higher than that of every demand before; mwh : energy [mWh]; until : it opens by then [unix s]
    sent : whether the broker has it; false where it is away, and is told as soon as it is back
    """

    number: int
    mwh: int
    until: int
    sent: bool


class Report(Told):
    """What a demand had delivered [mWh] when something happened to it, such as `delivered` or a fault."""

    number: int
    mwh: int
    reason: str


class Relay(Told):
    """A meter in service, and what it says of its relay, which nobody signed; null where it said nothing so far.

    trades : whether it follows the trades of its member
    online : whether it is at the broker; closed : whether the relay is; fault : why it stays open, "" without one
    demand, mwh : number of the newest demand, and what it has delivered [mWh]; reports : the last eight
    volts, amperes, watts : of the home, the latter two positive into it
    heard_at : when it said something last [unix s]
    """

    meter: str
    member: int
    trades: bool
    online: bool | None
    closed: bool | None
    fault: str | None
    demand: int | None
    mwh: int | None
    reports: list[Report]
    volts: float | None
    amperes: float | None
    watts: float | None
    heard_at: int | None


class Relays(Told):
    """By member."""

    relays: list[Relay]


def add(app: FastAPI, running: Running) -> None:
    """Add the routes."""

    @app.get(
        "/v1/relays", tags=["relays"], response_model=Relays, responses=_REFUSED,
        summary="What meters say of their relays.",
    )  # fmt: skip
    async def relays(caller: Annotated[Caller, Depends(signed_in)]) -> Response:
        """A member is told of its own meter, an operator of all in service, and others of none."""
        return as_json({"relays": await running.ask(_relays, running, caller)})

    @app.put(
        "/v1/me/relay", tags=["relays"], status_code=204, responses=_REFUSED,
        summary="Say whether the asker's relay follows its trades.",
    )  # fmt: skip
    async def following(caller: Annotated[Caller, Depends(member)], said: Following) -> Response:
        """From the next slot on: when a slot begins, the relay is demanded to let through what the asker bought for it
        ahead of delivery, until its end. Where nothing was bought nothing is demanded."""
        await running.ask(follow, running.live.store, _number(caller), trades=said.trades)
        return Response(status_code=204)

    @app.post(
        "/v1/me/demands", tags=["relays"], response_model=Sent, responses=_TOLD,
        summary="Have the asker's relay let through some energy.",
    )  # fmt: skip
    async def demands(caller: Annotated[Caller, Depends(member)], wanted: Wanted) -> Response:
        """Within a day. It takes the place of the demand before, also of one that follows trades. An operator's key
        signs it, for the asker's own meter in service."""
        if not running.relays.reachable:
            raise HTTPException(409, "Relays are told by MQTT, and this exchange has no broker.")
        if (now := running.known()) is None:
            raise HTTPException(503, "The exchange does not know the time at present; demand again later.")
        signed = await running.ask(demand, running.live.exchange, _number(caller), wanted.wh, wanted.until, now)
        sent, told = await running.relays.tell([signed]), signed.record
        return as_json({"number": told.number, "mwh": told.mwh, "until": told.until, "sent": sent})


def _number(caller: Caller) -> int:
    assert caller.member is not None  # noqa: S101
    return caller.member


def _relays(running: Running, caller: Caller) -> list[dict[str, Any]]:
    live = running.live
    return [
        {
            "meter": hex_text(meter),
            "member": number,
            "trades": follows(live.store, number),
            **_said(running.relays.said.get(meter, Said())),
        }
        for number, meter in enumerate(live.roster.at(running.now()).meters)
        if meter != NO_METER and (caller.operator or number == caller.member)
    ]


def _said(said: Said) -> dict[str, Any]:
    status, flow = said.status, said.flow
    known = status if status and status.online else None
    return {
        "online": status.online if status else None,
        "closed": known.closed if known else None,
        "fault": known.fault if known else None,
        "demand": known.number if known else None,
        "mwh": known.mwh if known else None,
        "reports": [{"number": each.number, "mwh": each.mwh, "reason": each.reason} for each in known.reports]
        if known
        else [],
        "volts": flow.volts if flow else None,
        "amperes": flow.amperes if flow else None,
        "watts": flow.watts if flow else None,
        "heardAt": said.at or None,
    }
