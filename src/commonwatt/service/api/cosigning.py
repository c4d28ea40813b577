"""What operators who sign elsewhere are shown, and what they bring."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import Depends, FastAPI, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from commonwatt.exchange import cosigned, rows
from commonwatt.exchange.live import Live
from commonwatt.ledger.client.abi import COMMUNITY
from commonwatt.service.api.answers import as_json
from commonwatt.service.api.callers import Caller, operator
from commonwatt.service.api.models import Told
from commonwatt.service.api.problems import responses
from commonwatt.service.running import Running

_REFUSED = responses(401, 403, 422, 503)
_MOST: Final = 2**53 - 1
_MOST_SLOTS: Final = 3_000
_MOST_ORDERS: Final = 500
"""In one answer, and receipts in one request."""
LONGEST: Final = 1_000 + 150 * _MOST_ORDERS
"""Bytes of so many receipts."""
Operator = Annotated[Caller, Depends(operator)]
Start = Annotated[int, Path(ge=0, le=_MOST, description="Start of a slot [unix s].")]


class Brought(BaseModel):
    """An operator's signature under what waits for it. slot : the first one [unix s]; revision : of a post"""

    model_config = ConfigDict(strict=True, extra="forbid")
    kind: Literal["gate", "post", "bills"]
    slot: int = Field(ge=0, le=_MOST)
    revision: int = Field(default=0, ge=0, le=2**32 - 1)
    signature: str = Field(pattern="^0x[0-9a-fA-F]{130}$")


class Waits(Told):
    """What waits for signatures, or is posted and not final.

    slot : the first one [unix s]; revision : of a post; until : of bills, the end of their period [unix s]
    signers : who has signed; enough : the ledger is told, or about to be; root : of bills
    """

    kind: Literal["gate", "post", "bills"]
    slot: int
    revision: int
    until: int
    signers: list[str]
    enough: bool
    root: str | None


class Unsigned(Told):
    """start : the exchange's first local day; ledger : URL of the node that it asks, null where it has none
    threshold : how many operators must sign; waiting : in the order in which it was made"""

    start: str
    ledger: str | None
    threshold: int
    waiting: list[Waits]


class Settled(Told):
    """A slot [start, unix s] that is settled, and its last revision."""

    slot: int
    revision: int


class Slots(Told):
    """slots : those of a period that are settled"""

    slots: list[Settled]


class Shown(BaseModel):
    """A gate, a post or the roster with all that its steps need, records as in bills."""

    model_config = ConfigDict(extra="allow")


class Receipts(BaseModel):
    """An operator's receipts for the orders of a slot [start, unix s] from place `first` on."""

    model_config = ConfigDict(strict=True, extra="forbid")
    slot: int = Field(ge=0, le=_MOST)
    first: int = Field(ge=0, le=_MOST)
    signatures: list[Annotated[str, Field(pattern="^0x[0-9a-fA-F]{130}$")]] = Field(
        min_length=1, max_length=_MOST_ORDERS
    )


def add(app: FastAPI, running: Running) -> None:
    """Add the routes."""

    @app.get(
        "/v1/operators/cosign", tags=["operators"], response_model=Unsigned, responses=_REFUSED,
        summary="What waits for operators' signatures.",
    )  # fmt: skip
    async def unsigned(_: Operator) -> Response:
        """Gates and bills that too few have signed, and posts that are not final."""
        return as_json(await running.ask(_unsigned, running.live))

    @app.get(
        "/v1/operators/cosign/roster", tags=["operators"], response_model=Shown, responses=_REFUSED,
        summary="Names and mandates of all members.",
    )  # fmt: skip
    async def roster(_: Operator) -> Response:
        """What the ledger does not know of them."""
        return as_json((await running.read(cosigned.roster_shown, running.live.store)).as_json())

    @app.get(
        "/v1/operators/cosign/orders", tags=["operators"], response_model=Shown, responses=_REFUSED,
        summary="Orders for which the asker has given no receipt.",
    )  # fmt: skip
    async def orders(who: Operator) -> Response:
        """As they stand among those of their slots, whose gates are open; some hundreds at a time."""
        found = await running.ask(cosigned.orders_shown, running.live.exchange, who.account, _MOST_ORDERS)
        return as_json({"slots": [each.as_json() for each in found]})

    @app.post(
        "/v1/operators/cosign/receipts", tags=["operators"], status_code=204, responses=_REFUSED,
        summary="Give receipts for orders.",
    )  # fmt: skip
    async def receipts(who: Operator, given: Receipts) -> Response:
        """Signed with the key by which the operator has signed in; members are told when they ask again."""
        signatures = [bytes.fromhex(each[2:]) for each in given.signatures]
        await running.ask(
            cosigned.take_receipts, running.live.exchange, who.account, given.slot, given.first, signatures
        )
        return Response(status_code=204)

    @app.get(
        "/v1/operators/cosign/slots", tags=["operators"], response_model=Slots, responses=_REFUSED,
        summary="Which slots of a period are settled.",
    )  # fmt: skip
    async def slots(
        _: Operator, start: Annotated[int, Query(ge=0, le=_MOST)], until: Annotated[int, Query(ge=0, le=_MOST)]
    ) -> Response:
        """At most so many from `start` on as a month has [unix s]."""
        found = await running.read(rows.settled_between, running.live.store, start, until, _MOST_SLOTS)
        return as_json({"slots": [{"slot": slot, "revision": revision} for slot, revision in found]})

    @app.get(
        "/v1/operators/cosign/gates/{slot}", tags=["operators"], response_model=Shown, responses=_REFUSED,
        summary="All that a gate was decided by.",
    )  # fmt: skip
    async def gate(_: Operator, slot: Start) -> Response:
        """Of the slots that were committed together with this one: signed orders in their places, what homes planned,
        and the roots that came of it."""
        return as_json((await running.read(cosigned.gate_shown, running.live.store, slot)).as_json())

    @app.get(
        "/v1/operators/cosign/posts/{slot}/{revision}", tags=["operators"], response_model=Shown, responses=_REFUSED,
        summary="All that a revision of a slot was settled by.",
    )  # fmt: skip
    async def post(_: Operator, slot: Start, revision: Annotated[int, Path(ge=0, le=2**32 - 1)]) -> Response:
        """Signed readings that count from it on, and the roots that came of it."""
        return as_json((await running.read(cosigned.post_shown, running.live.store, slot, revision)).as_json())

    @app.post(
        "/v1/operators/cosign/signatures", tags=["operators"], status_code=204, responses=_REFUSED,
        summary="Sign what waits.",
    )  # fmt: skip
    async def sign(who: Operator, brought: Brought) -> Response:
        """With the key by which the operator has signed in; the ledger is told once enough have."""
        signature = bytes.fromhex(brought.signature[2:])
        given = (who.account, brought.kind, brought.slot, brought.revision, signature)
        await running.ask(cosigned.take, running.live.exchange, *given)
        return Response(status_code=204)


def _unsigned(live: Live) -> dict[str, Any]:
    from commonwatt.ledger.network.operator import OPERATOR

    client = live.exchange.client
    url: str | None = getattr(client.node, "url", None)
    return {
        "start": live.store.values()["start"],
        "ledger": url.removesuffix(OPERATOR) if url else None,
        "threshold": client.view(COMMUNITY, "threshold")[0],
        "waiting": cosigned.waiting_json(cosigned.waiting(live.exchange)),
    }
