"""What the application says of itself: its OpenAPI document, completed by what holds for many operations."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from commonwatt.service.api.callers import CSRF
from commonwatt.service.api.problems import Problem, responses

_RETRY: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
_CSRF: Final = {
    "type": "apiKey",
    "in": "header",
    "name": CSRF,
    "description": "Beside the cookie, where something is changed: `csrf` of `GET /v1/session`.",
}


def complete(app: FastAPI) -> None:
    """Have the application describe what any operation may answer, and what has to come beside a cookie."""
    described = app.openapi

    def completed() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        document = described()
        document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        document["components"]["securitySchemes"]["csrf"] = _CSRF
        for operations in document["paths"].values():
            for method, operation in operations.items():
                _complete(method, operation)
        return document

    app.openapi = completed  # type: ignore[method-assign]


def _complete(method: str, operation: dict[str, Any]) -> None:
    statuses = [429]
    if "requestBody" in operation:
        statuses += [413, 422]
    elif operation.get("parameters"):
        statuses.append(422)
    if "security" in operation:
        statuses += [401, 403]
        if method != "get":
            operation["security"] = [
                each | {"csrf": []} if "cookie" in each else each for each in operation["security"]
            ]
    told = operation["responses"]
    for status, response in responses(*statuses).items():
        told[str(status)] = response | ({"headers": _RETRY} if status == 429 else {})
    operation["responses"] = dict(sorted(told.items()))
