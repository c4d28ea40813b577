"""What several commands share: options, JSON, the progress bar."""

from __future__ import annotations

import gc
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, Token

from commonwatt.errors import ConfigError, Finding, OutputError
from commonwatt.plain import plain

if TYPE_CHECKING:
    from commonwatt.ledger.node import Receipt

_SPANS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_INSTANT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"


def _can_be_written(_type: object, path: str | None) -> None:
    """Before a long run, not after it."""
    if path in (None, "-"):
        return
    file = Path(path)
    there = file.exists()
    try:
        file.open("a", encoding="utf-8").close()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from None
    if not there:
        file.unlink()


def _whole(_type: object, tokens: Sequence[Token]) -> int:
    """A whole number; nothing is rounded."""
    (token,) = tokens
    if not re.fullmatch(r"-?[0-9]{1,18}", token.value):
        name = (token.keyword or "the number").lstrip("-")
        raise ConfigError("The request", [Finding(name, f"is a whole number, not '{token.value}'")])
    return int(token.value)


JsonPath = Annotated[
    str | None,
    Parameter(
        name="--json",
        allow_leading_hyphen=True,
        validator=_can_be_written,
        help="Write the figures as JSON to this file; - for stdout.",
    ),
]
Whole = Annotated[int, Parameter(converter=_whole, allow_leading_hyphen=True)]


def addresses(name: str, texts: Sequence[str] | None) -> tuple[bytes, ...]:
    """Addresses of the option `name`, each 0x and 40 digits."""
    for text in texts or []:
        if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text.strip()):
            raise ConfigError("The request", [Finding(name, f"is an address, 0x and 40 digits, not '{text}'")])
    return tuple(bytes.fromhex(text.strip()[2:]) for text in texts or [])


def one_address(name: str, text: str) -> bytes:
    """The address of the option `name`."""
    (found,) = addresses(name, [text])
    return found


def span(name: str, text: str) -> int:
    """Seconds of the option `name`, such as 30d, 12h or 15min."""
    found = re.fullmatch(r"([0-9]{1,9})(s|min|h|d|w)", text)
    if not found:
        raise ConfigError("The request", [Finding(name, f"is a span such as 30d, 12h or 15min, not '{text}'")])
    return int(found[1]) * _SPANS[found[2]]


def instant(name: str, text: str) -> int:
    """Unix seconds of the option `name`: a date with or without a time, UTC unless it names a zone, or such seconds."""
    if re.fullmatch(r"[0-9]{9,11}", text):
        return int(text)
    try:
        if re.fullmatch(_INSTANT, text):
            found = datetime.fromisoformat(text)
            return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        pass
    finding = Finding(name, f"is a time such as 2026-07-01T12:00+02:00, not '{text}'")
    raise ConfigError("The request", [finding])


def local_day(name: str, text: str) -> date:
    """The calendar day of the option `name`."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) and 1971 <= int(text[:4]) < 2200:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ConfigError("The request", [Finding(name, f"is a day such as 2026-07-01, not '{text}'")])


def done(sentence: str, receipt: Receipt, json_path: str | None, **figures: object) -> None:
    """Say what a transaction did, and where it is."""
    if json_path:
        sent = {"transaction": f"0x{receipt.transaction.hex()}", "block": receipt.block, "gas": receipt.gas_used}
        write_json({**figures, **sent}, json_path)
    if json_path != "-":
        say(f"{sentence}: block {receipt.block}, {receipt.gas_used} gas.")


def named_values(option: str, texts: Sequence[str]) -> dict[str, str]:
    """What is given as key=value, each key once."""
    values: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise ConfigError("The request", [Finding(option, f"is given as key=value, not '{text}'")])
        if key in values:
            raise ConfigError("The request", [Finding(f"{option} {key}", "is given twice")])
        values[key] = value
    return values


def say(sentence: object) -> None:
    """Print a sentence that others had a part in: a document, a node, the chain."""
    print(plain(sentence))


def write_json(value: Any, path: str) -> None:
    """Write figures to a file, or to stdout."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        Path(path).write_text(text, encoding="utf-8")


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Of a command that computes much from its own files: nearly all that it makes is needed until its end.

    Looking for what only refers to itself would be the more work the more there is. A node takes what strangers send,
    and looks as often as Python does.
    """
    usual = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)


@contextmanager
def progress(*, quiet: bool, task: str = "market day") -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr."""
    if quiet:
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        added = bar.add_task(task, total=None)
        yield lambda done, total: bar.update(added, completed=done, total=total)
