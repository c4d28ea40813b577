"""A member's agent that the box has: begun, looked at, switched and ended by the member alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import Response
from pydantic import ConfigDict

from commonwatt.accounts.document import hex_text
from commonwatt.agents.hosted import lookback
from commonwatt.service.api.answers import as_json
from commonwatt.service.api.callers import Caller, member, signed_in
from commonwatt.service.api.members import own_number
from commonwatt.service.api.models import Told
from commonwatt.service.api.problems import responses
from commonwatt.service.hosted import Hosted, history, lacks
from commonwatt.service.running import Running

_REFUSED = responses(401, 403, 404, 503)


class Wanted(Told):
    """strategy : by which the agent orders; active : whether it does"""

    model_config = ConfigDict(strict=True, extra="forbid")

    strategy: Literal["truthful", "zero-intelligence"] = "truthful"
    active: bool = True


class Decision(Told):
    """What came of the agent's last gate.

    gate : [unix s]; accepted, refused : orders
    unknown : slots for which nothing was ordered, as there is no reading of a week before
    why : nothing was ordered, or the first order was refused; empty when all went well
    """

    gate: int
    accepted: int
    refused: int
    unknown: int
    why: str


class HostedAgent(Told):
    """The agent that the box has for a member.

    agent : address of its key, for the mandate to name; null where the box has none, and so is strategy then
    active : whether it is switched on
    why : why it would order nothing at the next gate; empty when nothing stands in the way
    readings, needed : of the meter in the last eight days, and how many there have to be
    last : null before its first gate
    """

    agent: str | None
    strategy: str | None
    active: bool
    why: str
    readings: int
    needed: int
    last: Decision | None


def add(app: FastAPI, running: Running, hosted: Hosted | None) -> None:
    """Add the routes."""

    def here() -> Hosted:
        if hosted is None:
            raise HTTPException(404, "This exchange has no agents for its members.")
        return hosted

    async def shown(caller: Caller) -> Response:
        number, now, slots = own_number(caller), running.now(), running.live.exchange.rules.period
        told = await running.ask(_told, here(), caller.account, now)
        past = await running.read(history, running.live.store, number, lookback(now, slots))
        short = past.readings < past.needed
        why = told["why"] or (lacks(past) if short else "")
        return as_json({**told, "why": why, "readings": past.readings, "needed": past.needed})

    @app.get(
        "/v1/me/agent", tags=["member"], response_model=HostedAgent, responses=_REFUSED,
        summary="The asker's agent on the box, and whether it will order.",
    )  # fmt: skip
    async def look(caller: Annotated[Caller, Depends(signed_in)]) -> Response:
        """Also where there is none: then it tells what one would lack."""
        return await shown(caller)

    @app.put(
        "/v1/me/agent", tags=["member"], response_model=HostedAgent, responses={**_REFUSED, **responses(413, 422)},
        summary="Have an agent on the box, or switch it.",
    )  # fmt: skip
    async def host(caller: Annotated[Caller, Depends(member)], wanted: Wanted) -> Response:
        """It orders once a mandate that the member's wallet signed names its address. It keeps that until it is
        deleted, whatever is changed here."""
        await running.ask(here().host, caller.account, wanted.strategy, active=wanted.active)
        return await shown(caller)

    @app.delete(
        "/v1/me/agent", tags=["member"], status_code=204, responses=_REFUSED,
        summary="Have no agent on the box any more.",
    )  # fmt: skip
    async def end(caller: Annotated[Caller, Depends(signed_in)]) -> Response:
        """Its key is erased, so that nothing can be ordered with it again; what it ordered for slots whose gate is open
        stands until the member takes it back."""
        own_number(caller)
        await running.ask(here().end, caller.account)
        return Response(status_code=204)


def _told(hosted: Hosted, account: bytes, now: int) -> dict[str, Any]:
    agent = hosted.of(account)
    return {
        "agent": hex_text(hosted.key(account).address) if agent else None,
        "strategy": agent.strategy if agent else None,
        "active": bool(agent and agent.active),
        "why": hosted.obstacle(account, now),
        "last": agent.last if agent else None,
    }
