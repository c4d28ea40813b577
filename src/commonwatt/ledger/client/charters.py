"""The charters of a community, as its contract keeps them: which file of it holds for which slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from commonwatt.errors import LedgerError
from commonwatt.ledger.client.abi import COMMUNITY
from commonwatt.ledger.client.settlement import LedgerClient

_MOST: Final = 10_000


@dataclass(frozen=True)
class Charter:
    """A file of the community.

    digest : of the file and those that it names, 32 bytes
    since : the first slot for which it holds [unix s]; 0 = from the beginning
    """

    digest: bytes
    since: int


def charters(client: LedgerClient) -> tuple[Charter, ...]:
    """All that ever held or will, by rising `since`. Raises LedgerError when the node tells of too many."""
    (count,) = client.view(COMMUNITY, "charterCount")
    if not 0 < count <= _MOST:
        raise LedgerError(f"The node tells of {count} charters; every community has one, and none above {_MOST}.")
    return tuple(Charter(bytes(digest), int(since)) for digest, since in (
        client.view(COMMUNITY, "charters", place) for place in range(count)
    ))  # fmt: skip


def held(known: Sequence[Charter], start: int, end: int) -> tuple[Charter, ...]:
    """Those that hold for slots from `start` until before `end` [unix s], each `since` its first slot of them.

    >>> held([Charter(b"a", 0), Charter(b"b", 10), Charter(b"b", 20), Charter(b"c", 90)], 5, 30)
    (Charter(digest=b'a', since=5), Charter(digest=b'b', since=10))
    """
    found: list[Charter] = []
    ends = [*(each.since for each in known[1:]), end]
    for each, until in zip(known, ends, strict=True):
        first = max(each.since, start)
        if first < min(until, end) and not (found and found[-1].digest == each.digest):
            found.append(Charter(each.digest, first))
    return tuple(found)
