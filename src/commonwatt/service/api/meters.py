"""What a meter asks over HTTP in the place of the broker: what its home is told, and what the home plans itself."""

from __future__ import annotations

import hmac
from typing import Annotated, Final

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from commonwatt.errors import RecordError
from commonwatt.exchange.live import Live
from commonwatt.exchange.told import MeterPlan
from commonwatt.proof import checksum_address
from commonwatt.records.schema import MAX_SIGNED
from commonwatt.service.api.problems import responses
from commonwatt.service.logins import Passwords
from commonwatt.service.plans import plan_json
from commonwatt.service.running import Running
from commonwatt.service.topics import name, named
from commonwatt.units import MAX_ORDER_WH

_MOST: Final = 1_500
"""Slots of an outlook: a day of the shortest ones."""


class _Basic(HTTPBasic):
    """Credentials that cannot be read are none."""

    async def __call__(self, request: Request) -> HTTPBasicCredentials | None:  # type: ignore[override]
        try:
            return await super().__call__(request)
        except HTTPException:
            return None


_BASIC: Final = _Basic(
    scheme_name="Meter", auto_error=False, description="The meter's user and password at the broker."
)
Time = Annotated[int, Field(ge=0, le=MAX_SIGNED)]
Credentials = Annotated[HTTPBasicCredentials | None, Depends(_BASIC)]
Since = Annotated[int | None, Query(ge=0, le=MAX_SIGNED, description="The first slot that is asked for [unix s].")]


class Plan(BaseModel):
    """What a home is told of consecutive slots whose gate has closed [Wh].

    first : start of the first one [unix s]; seconds : length of each
    bought, sold : agreed with neighbours ahead of delivery; cap : most feed-in that the wires carry
    """

    first: int
    seconds: int
    bought: list[int]
    sold: list[int]
    cap: list[int]


class Outlook(BaseModel):
    """What a home plans to take through its meter in consecutive slots, traded or not.

    first : start of the first one [unix s]; net : [Wh], positive = into the home
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    first: Time
    net: Annotated[
        list[Annotated[int, Field(ge=-MAX_ORDER_WH, le=MAX_ORDER_WH)]], Field(min_length=1, max_length=_MOST)
    ]


def add_meters(app: FastAPI, running: Running, passwords: Passwords) -> None:
    """Add what meters ask to an application. passwords : of the broker's users"""

    def own(address: str, given: Credentials) -> bytes:
        """The meter that is asked for, which asks itself."""
        meter = named(address)
        user = given.username if given else ""
        if given is None or not hmac.compare_digest(passwords.of(user).encode(), given.password.encode()):
            detail = "Say the meter's user and password, which are those at the broker."
            raise HTTPException(401, detail, {"WWW-Authenticate": 'Basic realm="Commonwatt"'})
        if meter is None:
            raise HTTPException(404, "A meter is named by its address, 0x and 40 small hexadecimal digits.")
        if user != name(meter):
            raise HTTPException(403, f"{checksum_address(meter)} is another meter.")
        return meter

    @app.get(
        "/v1/meters/{address}/plan",
        tags=["meters"],
        response_model=Plan,
        responses=responses(401, 403, 404, 422, 503),
        summary="What is agreed for a meter's home.",
    )
    async def plan(address: str, given: Credentials, since: Since = None) -> dict[str, object]:
        """Of the slots between their gate and their end; with `since`, of at most 200 slots from then on, ended or
        not."""
        found = await running.ask(_plan, running.live, own(address, given), since)
        return plan_json(found, running.live.slots.seconds)

    @app.put(
        "/v1/meters/{address}/outlook",
        tags=["meters"],
        status_code=204,
        responses=responses(401, 403, 404, 409, 413, 422, 503),
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": Outlook.model_json_schema()}}}
        },
        summary="Say what a meter's home plans.",
    )
    async def outlook(address: str, given: Credentials, request: Request) -> Response:
        """Of slots whose gate is open, for the wires to be checked by. What is said later takes the place of it."""
        meter = own(address, given)
        try:
            said = Outlook.model_validate_json(await request.body())
        except ValidationError as error:
            raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from None
        seconds = running.live.slots.seconds
        nets = {said.first + place * seconds: net for place, net in enumerate(said.net)}
        await running.ask(_keep, running.live, meter, nets)
        return Response(status_code=204)


def _plan(live: Live, meter: bytes, since: int | None) -> MeterPlan:
    try:
        return live.plan_since(meter, since)
    except RecordError as error:
        raise HTTPException(404, str(error)) from None


def _keep(live: Live, meter: bytes, nets: dict[int, int]) -> None:
    if live.roster.service(meter) is None:
        raise HTTPException(404, f"The meter {checksum_address(meter)} is not enrolled here.")
    try:
        live.outlook(meter, nets)
    except RecordError as error:
        raise HTTPException(409, str(error)) from None
