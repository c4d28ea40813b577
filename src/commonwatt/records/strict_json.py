"""JSON from others, read so that no two readers see different things in it, in time that grows with its length."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

DEEPEST: Final = 64
"""Lists and tables within each other."""
_DIGITS: Final = 78
"""Of 2²⁵⁶, the largest number that a chain knows."""
_FRACTION: Final = 40
_STRING: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


def loads(text: bytes | str, longest: int, *, fractions: bool = False) -> Any:
    """The value that a text in UTF-8 stands for, with or without a byte order mark.

    longest : of the text [bytes or letters], so that whoever reads a file needs to read one more and no further
    fractions : whether numbers may have a point or an exponent
    Raises ValueError, a sentence without its subject: for what is no JSON, and for what JSON leaves to its readers: a
    key that stands twice, numbers of more than 78 digits or without a value, half a character, and nesting beyond
    `DEEPEST`.

    >>> loads('{"total": 1, "total": 110}', 1000)
    Traceback (most recent call last):
    ValueError: 'total' stands there twice
    """
    if len(text) > longest:
        raise ValueError(f"it is longer than {longest}")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("it is not UTF-8") from None
    text = text.removeprefix("\ufeff")
    _not_too_deep(text)
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_int=_whole, parse_float=_fraction if fractions else _no_fraction,
            parse_constant=_no_constant,
        )  # fmt: skip
    except json.JSONDecodeError as error:
        raise ValueError(_broken(text, error)) from None
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half a character") from None
    return value


def _broken(text: str, error: json.JSONDecodeError) -> str:
    """What is wrong with a text that is no JSON."""
    whole = text.rstrip()
    if not whole:
        return "it is empty"
    if error.pos >= len(whole) or error.msg.startswith("Unterminated"):
        return f"it breaks off in line {whole.count(chr(10)) + 1}, before its end"
    return f"it is no JSON (line {error.lineno}, column {error.colno})"


def _not_too_deep(text: str) -> None:
    """Before it is parsed: the parser calls itself for each level."""
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ValueError(f"{key!r} stands there twice")
        table[key] = value
    return table


def _whole(digits: str) -> int:
    if len(digits) > _DIGITS + 1:
        raise ValueError(f"a number has more than {_DIGITS} digits")
    return int(digits)


def _fraction(digits: str) -> float:
    value = float(digits) if len(digits) <= _FRACTION else float("inf")
    if not isfinite(value):
        raise ValueError(f"{digits[:_FRACTION]} is beyond all bounds")
    return value


def _no_fraction(digits: str) -> float:
    raise ValueError(f"{digits[:_FRACTION]} is no whole number")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
