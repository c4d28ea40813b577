"""From the findings of pydantic and tomllib to sentences that a householder understands."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from commonwatt.community.fields import near
from commonwatt.errors import Finding

_SENTENCES: Final = {
    "string_type": "must be a text in quotes",
    "int_type": "must be a whole number, without quotes or decimals",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number without quotes",
    "date_type": "must be a day without quotes, such as 2026-10-15",
    "bool_type": "must be true or false",
    "list_type": "must be a list in square brackets",
    "model_type": "must be a table, {key} = {{ ... }}",
    "dict_type": "must be a table",
    "greater_than": "must be more than {gt}, but is {input}",
    "greater_than_equal": "must be at least {ge}, but is {input}",
    "less_than": "must be less than {lt}, but is {input}",
    "less_than_equal": "must be at most {le}, but is {input}",
    "finite_number": "must be a number, not {input}",
    "string_too_short": "must not be empty",
    "string_too_long": "is longer than {max_length} letters",
    "string_pattern_mismatch": 'must be a short name in capital letters, such as "EUR"',
    "too_short": "must not be empty",
    "literal_error": "'{input}' is not known here; write {expected}",
    "invalid-json-value": "must be a text, a number, true or false, or a list of them",
}

_SYNTAX: Final = {
    "Invalid value": 'there is no value that can be read here; texts need quotes, such as "Europe/Berlin"',
    "Expected '=' after a key in a key/value pair": "a '=' is missing after the key",
    "Expected ']' at the end of a table declaration": "the ']' of a table's heading is missing",
    "Unclosed inline table": "a '{' is not closed by '}' on the same line",
    "Unclosed array": "a '[' is not closed by ']'",
    "Illegal character '\\n'": "a closing quote is missing at the end of the line",
    "Invalid statement": "a line must begin with a key or with a [heading]",
    "Invalid initial character for a key part": "a key is expected here; the last entry in {...} has no comma after it",
    "Expected newline or end of document after a statement": (
        'the line should end here; texts, times and amounts of money need quotes, such as "12:00"'
    ),
}


def findings_of(error: ValidationError, path: str, model: type[BaseModel]) -> list[Finding]:
    """One finding per pydantic error of `model`, which stands at the dotted key `path` of the file."""
    return [_finding(dict(found), path, model) for found in error.errors(include_url=False)]


def syntax_finding(error: tomllib.TOMLDecodeError, text: str) -> Finding:
    """Where the text is no TOML, with line and column, both counted from 1."""
    problem, _, where = str(error).rpartition(" (at ")
    numbers = [int(number) for number in re.findall(r"\d+", where)]
    lines = text.split("\n")
    line, column = numbers if len(numbers) == 2 else (len(lines), len(lines[-1]) + 1)
    key = lines[min(line, len(lines)) - 1].partition("=")[0].strip().strip("[]")
    if problem.startswith(("Cannot overwrite", "Cannot declare", "Cannot mutate", "Duplicate inline table key")):
        inline = re.search(r"key '(.*)'$", problem)
        message = f"'{inline[1] if inline else key}' is defined a second time"
    else:
        message = _SYNTAX.get(problem, problem[:1].lower() + problem[1:])
    return Finding(f"line {line}, column {column}", message)


def dotted(*parts: str | int) -> str:
    """A key path as the user sees it; entries of a list are counted from 1.

    >>> dotted("tariff", "retail", "<bands>", 0, "price")
    'tariff.retail[1].price'
    """
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part + 1}]"
        elif not part.startswith("<"):  # "<bands>": which kind of value pydantic has chosen
            path += f".{part}" if path else part
    return path


def _finding(found: dict[str, Any], path: str, model: type[BaseModel]) -> Finding:
    parts, kind = found["loc"], found["type"]
    keys = _keys_beside(model, parts)
    key = str(parts[-1]) if parts else path
    if kind == "value_error":
        message = str(found["ctx"]["error"])
    elif kind == "missing":
        message = f"is missing: {keys[key]}"
    elif kind == "extra_forbidden":
        message = f"is not a key of this table{near(key, keys)}"
    elif kind in _SENTENCES:
        # A bound is shown in full, and as people write it.
        context = {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in found.get("ctx", {}).items()
        }
        message = _SENTENCES[kind].format(key=key, input=found["input"], **context)
    else:
        message = str(found["msg"])
    return Finding(dotted(path, *parts), message)


def _keys_beside(model: type[BaseModel], parts: tuple[str | int, ...]) -> dict[str, str]:
    """The keys, with their descriptions, of the table in which the last of `parts` stands."""
    models = [model]
    for part in parts[:-1]:
        annotations = [field.annotation for key, field in _fields(models) if key == part]
        models = [inner for annotation in annotations for inner in _models_in(annotation)] or models
    return {key: field.description or "" for key, field in _fields(models)}


def _fields(models: list[type[BaseModel]]) -> list[tuple[str, FieldInfo]]:
    return [(field.alias or name, field) for each in models for name, field in each.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
