"""Who listens is told what happens: each member its own at once, everybody the same at most once a second.

What was told stays in a ring, so that whoever was away for a moment hears what it missed. What everybody hears is
written once, however many listen. Nobody is waited for: who does not read what it is told is let go.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import to_json

from commonwatt.errors import CommonwattError

HELLO: Final = "hello"
"""The first thing that whoever listens is told."""
SLOTS: Final = "slots"
"""What everybody is told: slots that have changed."""
_LOGGER: Final = logging.getLogger(__name__)
_MOST: Final = 500
_MOST_OF_ONE: Final = 6
"""As many as a browser has connections to a host."""
_MOST_UNREAD: Final = 100
_REMEMBERED: Final = 20_000
"""Of all that was told, each member's own counted by itself."""
_PAUSE: Final = 1.0
"""Between two things that everybody is told [s]."""


@dataclass(frozen=True)
class Told:
    """Something that was told. own : what each member is told, by its number; text : what everybody is, in JSON"""

    number: int
    kind: str
    own: Mapping[int, Mapping[str, Any]] | None
    text: bytes = b""

    @property
    def weight(self) -> int:
        """How much of it there is to remember."""
        return 1 if self.own is None else len(self.own)

    def to(self, member: int | None) -> bytes | None:
        """What of it this member is told, in JSON; None = nothing. member : None = nobody"""
        if self.own is None:
            return self.text
        return None if member is None or member not in self.own else to_json(self.own[member])


class Listener:
    """Somebody who listens.

    account : whose connection it is, an address or b"" of nobody known; member : whose own it hears, None = nobody's
    """

    def __init__(self, account: bytes, member: int | None) -> None:
        self.account, self.member, self.ended = account, member, False
        self._unread = asyncio.Queue[bytes]()

    def tell(self, text: bytes) -> None:
        """Let it hear something; who has too much unread hears nothing any more."""
        if self._unread.qsize() < _MOST_UNREAD:
            self._unread.put_nowait(text)
        else:
            self.end()

    def end(self) -> None:
        """Let it hear nothing any more."""
        self.ended = True
        self._unread.put_nowait(b"")

    async def next(self) -> bytes:
        """What it hears next, at once or when it happens."""
        return await self._unread.get()


class Feed:
    """What has happened, and who listens.

    describe : what everybody is told of slots [starts, unix s], in JSON
    """

    def __init__(self, describe: Callable[[Collection[int]], Awaitable[bytes]]) -> None:
        self._describe = describe
        self._run, self._number = secrets.token_hex(4), 0
        """What numbers begin with is another after each start: what was told before nobody knows any more."""
        self._told, self._remembered = deque[Told](), 0
        self._listeners = set[Listener]()
        self._changed = set[int]()
        self._telling: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def full(self, account: bytes) -> str:
        """Why this account cannot listen, as a sentence; empty when it can."""
        if self._closed or len(self._listeners) >= _MOST:
            return "So many listen already that nobody else can; try again later."
        if account and sum(each.account == account for each in self._listeners) >= _MOST_OF_ONE:
            return f"This account listens {_MOST_OF_ONE} times already; close one of its pages."
        return ""

    def join(self, listener: Listener, last: str, now: int) -> list[bytes]:
        """Let somebody listen from here on. Returns what it is told first.

        last : the identifier of what it heard last; "" = nothing
        now : of the community's clock [unix s]
        """
        missed = self._missed(last)
        self._listeners.add(listener)
        hello = to_json({"now": now, "resumed": missed is not None})
        begin = [_event(HELLO, hello, f"{self._run}-{self._number - len(missed or ())}")]
        return begin + [text for told in missed or () if (text := self._written(told, listener.member))]

    def _missed(self, last: str) -> list[Told] | None:
        """What was told behind the last that was heard; None where that is not known any more."""
        run, _, number = last.partition("-")
        if run != self._run or not number.isascii() or not number.isdigit():
            return None
        behind = self._number - int(number)
        return list(self._told)[len(self._told) - behind :] if 0 <= behind <= len(self._told) else None

    def leave(self, listener: Listener) -> None:
        """It listens no more."""
        self._listeners.discard(listener)

    def own(self, kind: str, own: Mapping[int, Mapping[str, Any]]) -> None:
        """Tell these members, by number, each something of its own."""
        if own:
            told = self._remember(kind, own)
            for listener in self._listeners:
                if text := self._written(told, listener.member):
                    listener.tell(text)

    def changed(self, slots: Collection[int]) -> None:
        """Tell everybody of slots [starts, unix s] that have changed, together with what changes in the same second."""
        self._changed |= set(slots)
        if self._changed and (self._telling is None or self._telling.done()):
            self._telling = asyncio.get_running_loop().create_task(self._tell_changed())

    async def _tell_changed(self) -> None:
        while self._changed and not self._closed:
            changed, self._changed = self._changed, set()
            try:
                text = self._written(self._remember(SLOTS, None, await self._describe(changed)), None)
            except CommonwattError as error:
                _LOGGER.error("%s", error)
            else:
                for listener in self._listeners if text else ():
                    listener.tell(text or b"")
            await asyncio.sleep(_PAUSE)

    def close(self) -> None:
        """Let everybody go: whoever serves has to, before it waits for its connections to end."""
        self._closed = True
        for listener in self._listeners:
            listener.end()

    def _remember(self, kind: str, own: Mapping[int, Mapping[str, Any]] | None, text: bytes = b"") -> Told:
        self._number += 1
        told = Told(self._number, kind, own, text)
        self._told.append(told)
        self._remembered += told.weight
        while self._remembered > _REMEMBERED:
            self._remembered -= self._told.popleft().weight
        return told

    def _written(self, told: Told, member: int | None) -> bytes | None:
        text = told.to(member)
        return None if text is None else _event(told.kind, text, f"{self._run}-{told.number}")


def _event(kind: str, data: bytes, identifier: str) -> bytes:
    """A server-sent event. data : JSON, which has no line breaks"""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (kind.encode(), identifier.encode(), data)
