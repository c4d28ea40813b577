"""The application: what a gateway of meters, a member and an operator can ask over HTTP."""

from __future__ import annotations

from typing import Any, Final, Literal

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel
from pydantic_core import to_json

from commonwatt.errors import RecordError
from commonwatt.meter.protocol import readings_of
from commonwatt.service.api.problems import handle, problem, responses
from commonwatt.service.running import Running, refusal

MOST_READINGS: Final = 500
_LONGEST_BODY: Final = MOST_READINGS * 1_000
_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer", "minimum": 0}
_READING: Final[dict[str, Any]] = {
    "type": "object",
    "title": "SignedReading",
    "description": "What a meter counted in a slot, and its signature: the record's fields as in bills.",
    "required": ["meter", "slot", "whIn", "whOut", "sequence", "signature"],
    "additionalProperties": False,
    "properties": {
        "meter": {**_TEXT, "pattern": "^0x[0-9a-fA-F]{40}$"},
        "slot": _NUMBER,
        "whIn": _NUMBER,
        "whOut": _NUMBER,
        "sequence": _NUMBER,
        "signature": {**_TEXT, "pattern": "^0x[0-9a-f]{130}$"},
    },
}
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"type": "array", "minItems": 1, "maxItems": MOST_READINGS, "items": _READING},
        }
    },
}


class Result(BaseModel):
    """What became of a reading. why : of a refusal, one sentence"""

    status: Literal["stored", "duplicate", "refused"]
    why: str | None = None


class Results(BaseModel):
    """What became of each reading, in their order."""

    results: list[Result]


def application(running: Running) -> FastAPI:
    """The application of a living exchange."""
    app = FastAPI(title="Commonwatt", version="1", docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json")
    handle(app)

    @app.post(
        "/v1/readings",
        tags=["meters"],
        response_model=Results,
        responses=responses(413, 422, 503),
        openapi_extra={"requestBody": _BODY},
        summary="Bring what meters counted.",
    )
    async def readings(request: Request) -> Response:
        """Signed readings of any meters, in any order; each is judged by itself. The signature is the credential."""
        body = await _body(request)
        if body is None:
            return problem(413, f"Bring at most {MOST_READINGS} readings at once.")
        given = readings_of(body, MOST_READINGS)
        judged = iter(await running.readings([each for each in given if not isinstance(each, RecordError)]))
        said = [refusal(each) if isinstance(each, RecordError) else next(judged) for each in given]
        return Response(to_json({"results": [each.as_json() for each in said]}), media_type="application/json")

    return app


async def _body(request: Request) -> bytes | None:
    """What was sent; None where that is too long, which is not read to its end."""
    parts, size = list[bytes](), 0
    async for part in request.stream():
        size += len(part)
        if size > _LONGEST_BODY:
            return None
        parts.append(part)
    return b"".join(parts)
