"""What a meter asks over HTTP in the place of the broker: what its home is told, and what the home plans itself."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Final, ParamSpec, TypeVar

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from commonwatt.errors import RecordError
from commonwatt.exchange.agreement import HomeForecast
from commonwatt.exchange.live import Said
from commonwatt.proof import checksum_address
from commonwatt.records.schema import MAX_SIGNED
from commonwatt.service.api.problems import responses
from commonwatt.service.logins import Passwords
from commonwatt.service.plans import plan_json
from commonwatt.service.running import Running
from commonwatt.service.topics import name, named
from commonwatt.units import MAX_ORDER_WH

M = TypeVar("M", bound=BaseModel)
P = ParamSpec("P")
T = TypeVar("T")

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
Held = Annotated[float, Field(ge=0, le=MAX_ORDER_WH, allow_inf_nan=False)]
Efficiency = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Series = Annotated[list[Annotated[int, Field(ge=0, le=MAX_ORDER_WH)]], Field(min_length=1, max_length=_MOST)]


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


class Battery(BaseModel):
    """A home's battery [Wh].

    charge : expected at the first slot; low, high : what it may hold
    power : most energy in or out in a slot, at the terminals; charging, discharging : efficiencies
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    charge: Held
    low: Held
    high: Held
    power: Annotated[int, Field(ge=0, le=MAX_ORDER_WH)]
    charging: Efficiency
    discharging: Efficiency


_WITHIN: Final = WithJsonSchema({"anyOf": [Battery.model_json_schema(), {"type": "null"}]})
"""The description of a body refers to nothing outside it."""


class Forecast(BaseModel):
    """What a home expects of the slots of the next gate, and what it can do.

    first : start of the first one [unix s]; load, generation : in each [Wh]
    battery : null = it has none; curtails : whether it holds generation back for its price
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    first: Time
    load: Series
    generation: Series
    battery: Annotated[Battery | None, _WITHIN] = None
    curtails: bool = False


class Proposal(BaseModel):
    """What a home is proposed of consecutive slots by what homes have agreed; before that there are none [Wh].

    first : start of the first one [unix s]
    net : what would go through the meter, positive = into the home; grid : at what the battery would hold the meter
        beside the trades
    buy, sell : what the home's agent would order; dearest, cheapest : the limits of these orders [unit/kWh]
    """

    first: int
    net: list[int]
    grid: list[int]
    buy: list[int]
    dearest: list[int]
    sell: list[int]
    cheapest: list[int]


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
        found = await running.ask(_of_meter, running.live.plan_since, own(address, given), since)
        return plan_json(found, running.live.slots.seconds)

    @app.put(
        "/v1/meters/{address}/outlook",
        tags=["meters"],
        status_code=204,
        responses=responses(401, 403, 404, 409, 413, 422, 503),
        openapi_extra=_body(Outlook),
        summary="Say what a meter's home plans.",
    )
    async def outlook(address: str, given: Credentials, request: Request) -> Response:
        """Of slots whose gate is open, for the wires to be checked by. What is said later takes the place of it."""
        meter, said = own(address, given), _read(Outlook, await request.body())
        return await _kept(running, Said(meter, said.first, tuple(said.net)))

    @app.put(
        "/v1/meters/{address}/forecast",
        tags=["meters"],
        status_code=204,
        responses=responses(401, 403, 404, 409, 413, 422, 503),
        openapi_extra=_body(Forecast),
        summary="Say what a meter's home forecasts, where homes agree before they order.",
    )
    async def forecast(address: str, given: Credentials, request: Request) -> Response:
        """Of all slots of the next gate, until homes agree. What is said later takes the place of it."""
        meter, said = own(address, given), _read(Forecast, await request.body())
        return await _kept(running, Said(meter, said.first, HomeForecast.from_json(said.model_dump())))

    @app.get(
        "/v1/meters/{address}/proposal",
        tags=["meters"],
        response_model=Proposal,
        responses=responses(401, 403, 404, 422, 503),
        summary="What a meter's home is proposed, once homes have agreed.",
    )
    async def proposal(address: str, given: Credentials) -> dict[str, object]:
        """Of the slots of the next gate. It binds nobody: what the home's agent orders does."""
        return asdict(await running.ask(_of_meter, running.live.proposal, own(address, given)))


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """What an operation that reads its body itself documents of it."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def _read(model: type[M], body: bytes) -> M:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from None


def _of_meter(ask: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What there is of a meter, which has to be enrolled."""
    try:
        return ask(*args, **kwargs)
    except RecordError as error:
        raise HTTPException(404, str(error)) from None


async def _kept(running: Running, said: Said) -> Response:
    if running.live.roster.service(said.meter) is None:
        raise HTTPException(404, f"The meter {checksum_address(said.meter)} is not enrolled here.")
    (why,) = await running.outlooks([said])
    if why:
        raise HTTPException(409, str(why))
    return Response(status_code=204)
