"""As much of JSON Schema as the schemas of the execution API need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "object": (dict,), "array": (list,), "boolean": (bool,), "null": (type(None),),
    "number": (int, float),
}  # fmt: skip


def faults(value: Any, schema: Mapping[str, Any], schemas: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """Where a value is not what a schema says; `schemas` are those that a $ref may name."""
    if "$ref" in schema:
        yield from faults(value, schemas[schema["$ref"]], schemas, at)
        return
    if "anyOf" in schema:
        tried = [list(faults(value, each, schemas, at)) for each in schema["anyOf"]]
        if all(tried):
            yield f"{at}: none of {tried}"
        return
    if not isinstance(value, _TYPES[schema["type"]]):
        yield f"{at}: {value!r} is no {schema['type']}"
        return
    given: Any = value
    match schema["type"]:
        case "string":
            if not re.search(str(schema.get("pattern", "")), given, re.ASCII):
                yield f"{at}: {value!r} is not as {schema['pattern']}"
        case "number":
            if not schema["minimum"] <= value <= schema["maximum"]:
                yield f"{at}: {value} is not from {schema['minimum']} to {schema['maximum']}"
        case "array":
            for index, item in enumerate(given):
                yield from faults(item, schema["items"], schemas, f"{at}[{index}]")
        case "object":
            properties = schema["properties"]
            yield from (f"{at}: {key} is missing" for key in schema["required"] if key not in given)
            for key, item in given.items():
                if key in properties:
                    yield from faults(item, properties[key], schemas, f"{at}.{key}")
                elif not schema["additionalProperties"]:
                    yield f"{at}: {key} is not known"
