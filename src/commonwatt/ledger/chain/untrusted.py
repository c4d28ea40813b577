"""RLP from strangers, read in time that grows with its length.

`rlp.decode` keeps the encoding of every list beside the list and makes it longer item by item, so that two megabytes of
short items take minutes. What comes from outside is read here first, with a limit on how many items there may be.
"""

from __future__ import annotations

from typing import Any

from rlp.codec import consume_length_prefix

_DEPTH = 8


def decode(data: bytes, most: int) -> Any:
    """Bytes, or nested lists of them, `most` items in all. Raises ValueError or one of rlp's errors."""
    left = most

    def item(at: int, end: int, depth: int) -> tuple[Any, int]:
        nonlocal left
        left -= 1
        if left < 0 or depth > _DEPTH:
            raise ValueError(f"it has more than {most} items, or lists nested more than {_DEPTH} deep")
        _, kind, length, start = consume_length_prefix(data, at)
        stop = start + length
        if stop > end:
            raise ValueError("it ends too early")
        if kind is bytes:
            return data[start:stop], stop
        found = []
        while start < stop:
            each, start = item(start, stop, depth + 1)
            found.append(each)
        return found, stop

    if not data:
        raise ValueError("there is nothing")
    value, stop = item(0, len(data), 0)
    if stop != len(data):
        raise ValueError("something follows it")
    return value
