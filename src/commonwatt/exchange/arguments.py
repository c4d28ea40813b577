"""What scripts hand over, read as it was meant or refused with the name of the argument. Pure."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from commonwatt.errors import ConfigError, Finding, OutputError

_SHOWN: Final = 40
"""Letters of a value that an error shows."""


def short(value: object) -> str:
    """A value as an error shows it."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def whole(given: object) -> int | None:
    """The whole number that this is, Python's or numpy's; None for what is none, such as True.

    >>> whole(7), whole(True), whole(7.0)
    (7, None, None)
    """
    if type(given).__name__ in ("bool", "bool_"):
        return None
    try:
        return operator.index(cast("Any", given))
    except TypeError:
        return None


def as_path(name: str, given: object) -> Path:
    """A path, given as one or as text. Raises ConfigError with the argument's name for what is none."""
    if isinstance(given, str | os.PathLike):
        text = os.fspath(cast("Any", given))
        if isinstance(text, str) and "\0" not in text:
            return Path(text)
    raise ConfigError("The request", [Finding(name, f'is a path, such as "runs/june", not {short(given)}')])


def maybe_path(name: str, given: object) -> Path | None:
    """The same; None for None and for an empty text."""
    return None if given is None or (isinstance(given, str) and not given) else as_path(name, given)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """The path, while files are written there. Raises OutputError with the reason when one cannot be."""
    try:
        yield path
    except OSError as error:
        raise OutputError(f"{error.filename or path} cannot be written: {error.strerror or error}.") from None
