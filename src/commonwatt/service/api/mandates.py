"""Mandates come in: signed by the member's wallet, in words that say what the numbers say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import Response

from commonwatt.accounts.document import hex_text
from commonwatt.errors import RecordError
from commonwatt.exchange.live import Live
from commonwatt.proof import hash_struct, verify
from commonwatt.records import Mandate, Signed
from commonwatt.records.schema import from_json, to_bytes
from commonwatt.service.api.answers import as_json
from commonwatt.service.api.models import Filed
from commonwatt.service.api.problems import responses
from commonwatt.service.api.records import ADDRESS, NUMBER, SIGNATURE, record, table
from commonwatt.service.running import Running

MANDATE: Final = table(
    "SignedMandate",
    "What a member lets its agent do, in words and numbers, signed by the member's wallet.",
    {
        "member": ADDRESS,
        "agent": ADDRESS,
        "text": {"type": "string"},
        "maxBuy": NUMBER,
        "minSell": NUMBER,
        "buyWh": NUMBER,
        "sellWh": NUMBER,
        "validFrom": NUMBER,
        "validUntil": NUMBER,
        "nonce": NUMBER,
        "signature": SIGNATURE,
    },
)


def add(app: FastAPI, running: Running) -> None:
    """Add the route."""

    @app.post(
        "/v1/mandates",
        tags=["market"],
        response_model=Filed,
        responses=responses(503),
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": MANDATE}}}},
        summary="Give a mandate, in the place of the one before.",
    )
    async def mandates(request: Request) -> Response:
        """The signature is the credential. It holds from the next slot on whose gate is open, and for which no order
        of the agent before stands; the same mandate again has the same answer."""
        signed = record(await request.body(), mandate_of)
        since = await running.ask(_filed, running.live, signed, running.now())
        return as_json({"hash": hex_text(signed.hash), "holdsFrom": since})


def mandate_of(given: Any) -> Signed[Mandate]:
    """A mandate from its JSON; nothing is said of its signature. Raises RecordError."""
    if not isinstance(given, Mapping) or "signature" not in given:
        raise RecordError("A mandate is shown without its signature.")
    rest = dict(given)
    signature, mandate = to_bytes(rest.pop("signature"), 65), from_json(Mandate, rest)
    return Signed(mandate, hash_struct(mandate), signature)


def _filed(live: Live, signed: Signed[Mandate], now: int) -> int:
    """From which slot on the mandate holds, once it is kept."""
    verify(live.exchange.domain, signed, signed.record.member)  # before anything is said of the member
    known = live.roster.kept(signed)
    if known is not None:
        return known
    number = live.roster.number_of(signed.record.member, now)
    since = None if number is None else live.exchange.renewable_from(number, now)
    if number is None:
        raise RecordError("The mandate's member is not registered here.")
    if since is None:
        raise RecordError("No gate is open, as no prices are known; give the mandate again later.")
    live.roster.file(signed, since)
    return since
