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
        # The framework's own form of errors is told by no operation.
        schemas = document["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["Problem"] = Problem.model_json_schema()
        document["components"]["securitySchemes"]["csrf"] = _CSRF
        operations = [each for path in document["paths"].values() for each in path.items()]
        statuses = {status for method, operation in operations for status in _complete(method, operation)}
        document["components"]["responses"] = {str(each): _response(each) for each in sorted(statuses)}
        return document

    app.openapi = completed  # type: ignore[method-assign]


def _complete(method: str, operation: dict[str, Any]) -> list[int]:
    """Complete an operation. Returns the statuses of its errors, each of which is described once for all."""
    told, statuses = operation["responses"], {429}
    statuses |= {int(status) for status in told if int(status) >= 400}
    if "requestBody" in operation:
        statuses |= {413, 422}
    if operation.get("parameters"):
        statuses.add(422)
    if "security" in operation:
        statuses |= {401, 403, 503}
        if method != "get":
            for each in operation["security"]:
                each |= {"csrf": []} if "cookie" in each else {}
    told |= {str(status): {"$ref": f"#/components/responses/{status}"} for status in statuses}
    operation["responses"] = dict(sorted(told.items()))
    return sorted(statuses)


def _response(status: int) -> dict[str, Any]:
    return responses(status)[status] | ({"headers": _RETRY} if status == 429 else {})
