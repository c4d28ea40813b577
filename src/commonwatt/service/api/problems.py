"""What went wrong, as `application/problem+json` says it. Source: RFC 9457."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from commonwatt.errors import CommonwattError, LedgerError, RecordError, StoreError
from commonwatt.plain import plain

MEDIA_TYPE: Final = "application/problem+json"
_UNAVAILABLE: Final = 503
_RENAMED: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
"""What some versions of Python call otherwise."""
_UNSAID: Final = {404: "There is nothing at this address.", 405: "This address does not take that method."}
"""What is to be said where the framework says no more than the status."""


class Problem(BaseModel):
    """title : of the status; detail : one sentence that a person can act on"""

    title: str
    status: int
    detail: str


def phrase(status: int) -> str:
    """The name of a status, as RFC 9110 has it."""
    return _RENAMED.get(status) or HTTPStatus(status).phrase


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation documents of its errors."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {status: {"description": phrase(status), "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses}


def problem(status: int, detail: str) -> JSONResponse:
    """The answer."""
    told = Problem(title=phrase(status), status=status, detail=plain(detail))
    return JSONResponse(told.model_dump(), status, media_type=MEDIA_TYPE)


def answer(error: HTTPException) -> JSONResponse:
    """The answer to a request that ended so."""
    unsaid = error.detail == HTTPStatus(error.status_code).phrase
    told = problem(error.status_code, _UNSAID.get(error.status_code, error.detail) if unsaid else error.detail)
    told.headers.update(error.headers or {})
    return told


def handle(app: FastAPI) -> None:
    """Have every error of the app answered so."""

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101
        # The framework's word for a body that is no text, where it says 422 for text that is no JSON.
        return answer(error) if error.status_code != 400 else problem(422, "What was sent cannot be read.")

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return problem(422, f"{where}: {first['msg']}.")

    async def ours(_: Request, error: Exception) -> JSONResponse:
        status = (
            422
            if isinstance(error, RecordError)
            else _UNAVAILABLE
            if isinstance(error, StoreError | LedgerError)
            else 500
        )
        return problem(status, str(error))

    async def gone(_: Request, __: Exception) -> JSONResponse:
        return problem(408, "The request has not arrived as a whole.")

    async def unforeseen(_: Request, __: Exception) -> JSONResponse:
        return problem(500, "Something went wrong that nobody foresaw; the exchange's log has it.")

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(CommonwattError, ours)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, unforeseen)
