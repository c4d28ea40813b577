"""What everybody may know of slots, for whoever asks at the same time as the engine works."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from commonwatt.errors import LedgerError
from commonwatt.exchange.exchange import Exchange
from commonwatt.exchange.public import PublicSlot, last_posts, public_slots, starts_after

if TYPE_CHECKING:
    from commonwatt.service.running import Running

_REMEMBERED: Final = 10_000


class Board:
    """Slots as everybody may see them. What the ledger once called final it is not asked again."""

    def __init__(self, running: Running) -> None:
        self._running, self._exchange = running, running.live.exchange
        self._final = set[tuple[int, int]]()

    async def after(self, after: int, limit: int) -> list[PublicSlot]:
        """The next slots behind `after` [unix s]."""
        return await self.of(await self._running.read(starts_after, self._exchange, after, limit))

    async def of(self, starts: Collection[int]) -> list[PublicSlot]:
        """Those of the slots [starts, unix s] that the exchange knows, in the order of time."""
        posts = await self._running.read(last_posts, self._exchange, starts)
        if asked := posts - self._final:
            if len(self._final) > _REMEMBERED:
                self._final.clear()
            self._final |= await self._running.ask(_final, self._exchange, asked)
        return await self._running.read(public_slots, self._exchange, starts, self._running.now(), self._final & posts)

    async def told(self, starts: Collection[int]) -> bytes:
        """The same as whoever listens is told it."""
        slots = [each.as_json() for each in await self.of(starts)]
        return to_json({"now": self._running.now(), "slots": slots})


def _final(exchange: Exchange, posts: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """Those of the posts, slot and revision, that the ledger calls final; none while it cannot be asked."""
    try:
        return {each for each in posts if exchange.outbox.final_at(*each) is not None}
    except LedgerError:
        return set()
