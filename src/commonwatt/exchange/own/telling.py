"""What code of one's own did wrong, in words."""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb


def reason(path: Path, error: BaseException) -> str:
    """The error in one line, with the last line of the file `path` that led to it."""
    said = " ".join([f"{type(error).__name__}:", *str(error).splitlines()[:1]]).rstrip(":")
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if Path(frame.filename) == path.absolute()]
    return said + (f" (line {lines[-1]})" if lines else "")
