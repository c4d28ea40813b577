"""Answers that are asked for again and again: whoever has one is not sent it anew; and lists, page by page."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final

from fastapi import Query, Request
from fastapi.responses import Response
from pydantic_core import to_json

from commonwatt.exchange.personal import Page, Place

MOST: Final = 500
"""Entries of a page."""

Limit = Annotated[int, Query(ge=1, le=MOST, description="The most entries to answer with.")]
Slot = Annotated[int, Query(ge=0, le=2**53 - 1, description="Start of a slot [unix s].")]
After = Annotated[
    str,
    Query(
        pattern=r"^([0-9]{1,15}-[0-9]{1,15})?$",
        description="The `next` of the page before; a slot's start and `-0` begin there.",
    ),
]


def tagged(request: Request, payload: bytes, *, media_type: str = "application/json") -> Response:
    """The answer, or that the asker has it already. Source: RFC 9110, section 13."""
    tag = f'"{hashlib.sha256(payload).hexdigest()[:32]}"'
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(payload, media_type=media_type, headers=headers)


def as_json(content: Any) -> Response:
    """The answer, which nobody keeps."""
    return Response(to_json(content), media_type="application/json", headers={"Cache-Control": "no-store"})


def place_of(after: str) -> Place:
    """Behind which row a page begins, from the `next` of the page before it; empty = from the first."""
    slot, _, number = after.partition("-")
    return Place(int(slot), int(number)) if after else Place(-1, -1)


def paged(name: str, page: Page) -> dict[str, Any]:
    """A page of a list with this name."""
    following = page.following
    return {name: page.entries, "next": following and f"{following.slot}-{following.number}"}
