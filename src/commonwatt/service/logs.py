"""What a service says while it works: one JSON object per line for machines, plain text for a terminal; no secrets.

Nothing in this package logs a secret. What libraries and errors of others say passes here too, so that what looks like
one is hidden before it is written.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from commonwatt.errors import CommonwattError
from commonwatt.plain import plain

_HIDDEN: Final = "***"
_OF_PERSONS: Final = re.compile(r"(://[^\s/:@]*):[^\s/@]+@")
"""The password in an address such as postgresql://user:password@host/."""
_BEARER: Final = re.compile(r"\b(?:Bearer|Basic)\s+[^\s\"',;]+", re.IGNORECASE)
_COOKIES: Final = re.compile(r"(\bcookie[\"']?\s*[:=]).+", re.IGNORECASE)
_NAMES: Final = r"pass(?:word|wd|phrase)|secret|token|cookie|authorization|nonce|csrf|private[_ -]?key"
_NAMED: Final = re.compile(
    rf"((?:{_NAMES})[\w-]*[\"']?\s*[:=]\s*)(b?\"[^\"]*\"|b?'[^']*'|[^\s\"'&,;)}}\]]+)", re.IGNORECASE
)
_SECRET_NAME: Final = re.compile(_NAMES, re.IGNORECASE)
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_TALKATIVE: Final = ("asyncio", "httpcore", "httpx", "uvicorn.access")
"""What these say of every request is for whoever looks for a fault in them."""


def set_up(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Have all logging of this process written to a stream, standard error unless told otherwise."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Text() if stream.isatty() else Lines())
    root = logging.getLogger()
    root.setLevel(level)
    root.handlers[:] = [handler]
    logging.captureWarnings(capture=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


class Lines(logging.Formatter):
    """Each record as one JSON object: `time`, `level`, `room`, `message`, `traceback` where there is one, and whatever
    `extra` it has."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        extra = {name: _shown(name, value) for name, value in vars(record).items() if name not in _USUAL}
        line = extra | {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "room": _room(record),
            "message": hidden(record.getMessage()),
        }
        if record.exc_info and record.exc_info[0]:
            line["traceback"] = hidden(self.formatException(record.exc_info))
        return json.dumps(dict(sorted(line.items(), key=_order)), default=lambda value: hidden(str(value)))


class Text(logging.Formatter):
    """Each record as a line for a person, with a traceback below it where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time = datetime.fromtimestamp(record.created, UTC).astimezone()
        line = f"{time:%H:%M:%S} {record.levelname.lower():7} {_room(record)}: {plain(hidden(record.getMessage()))}"
        if record.exc_info and record.exc_info[0]:
            line += "\n" + "\n".join(map(plain, hidden(self.formatException(record.exc_info)).splitlines()))
        return line


def tell(logger: logging.Logger, what: str, error: BaseException) -> None:
    """Log what has failed: an error of the house is one sentence, one that nobody foresaw has its traceback."""
    unforeseen = None if isinstance(error, CommonwattError) else error
    logger.error("%s: %s", what, error, exc_info=unforeseen)


def hidden(text: str) -> str:
    """The text without what looks like a secret.

    >>> hidden("postgresql://cw:hush@db/cw: token=abc, Authorization: Bearer xyz")
    'postgresql://cw:***@db/cw: token=***, Authorization: ***'
    """
    text = _OF_PERSONS.sub(rf"\1:{_HIDDEN}@", text)
    text = _COOKIES.sub(rf"\1 {_HIDDEN}", _BEARER.sub(_HIDDEN, text))
    return _NAMED.sub(rf"\1{_HIDDEN}", text)


def _shown(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name):
        return _HIDDEN
    return value if isinstance(value, bool | int | float | None) else hidden(str(value))


def _room(record: logging.LogRecord) -> str:
    return record.name.removeprefix("commonwatt.")


def _order(item: tuple[str, Any]) -> int:
    """What a person looks for comes first."""
    first = ("time", "level", "room", "message")
    return first.index(item[0]) if item[0] in first else len(first)
