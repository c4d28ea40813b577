"""A member's agent on the box, as the member has it: begun with a mandate that its key signs here, never there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from commonwatt.accounts.document import signed_json
from commonwatt.community.model import Community
from commonwatt.community.wording import mandate_text
from commonwatt.errors import NodeError, RecordError
from commonwatt.proof import Key, checksum_address, sign
from commonwatt.records import Mandate
from commonwatt.records.schema import to_bytes
from commonwatt.service.exchange_client import Announced, Away, ExchangeClient, Refused
from commonwatt.service.logins import Passwords

T = TypeVar("T")
AGENT: Final = "/v1/me/agent"


@dataclass(frozen=True)
class Box:
    """Where the exchange is, and who asks.

    authority : see `ExchangeClient`; contract : that whatever is signed has to be for [address]; None = as the box says
    """

    url: str
    key: Key
    authority: Path | None
    contract: bytes | None


@dataclass(frozen=True)
class Terms:
    """What an agent may do.

    buy_wh, sell_wh : most energy per slot [Wh]; max_buy, min_sell : [unit/kWh]; seconds : how long from now
    """

    buy_wh: int
    sell_wh: int
    max_buy: int
    min_sell: int
    seconds: int


def begin(box: Box, community: Community, terms: Terms, strategy: str) -> dict[str, Any]:
    """Have an agent on the box, and give it a mandate; what `look` says, with the mandate's words as `text`.

    Raises NodeError when the exchange does not answer, or refuses; RecordError when it is of another contract.
    """

    async def ask(client: ExchangeClient, known: Announced) -> dict[str, Any]:
        me, told = (
            await client.own("GET", "/v1/me"),
            await client.own("PUT", AGENT, json={"strategy": strategy, "active": True}),
        )
        before = me["mandate"]["nonce"] if me["mandate"] else 0
        # Also above that of one that will hold later, which nobody shows.
        nonce = max(int(before) + 1, time.time_ns() // 1_000_000)
        mandate = Mandate(
            box.key.address, to_bytes(told["agent"], 20), "", terms.max_buy, terms.min_sell, terms.buy_wh,
            terms.sell_wh, known.now, known.now + terms.seconds, nonce,
        )  # fmt: skip
        text = mandate_text(mandate, community.currency, community.timezone, community.slot_seconds, community.unit)
        await client.own(
            "POST", "/v1/mandates", json=signed_json(sign(known.domain, replace(mandate, text=text), box.key))
        )
        return {**await client.own("GET", AGENT), "text": text}

    return asyncio.run(_asked(box, ask))


def look(box: Box) -> dict[str, Any]:
    """What the box says of the agent. Raises as `begin`."""
    return asyncio.run(_asked(box, lambda client, _: client.own("GET", AGENT)))


def end(box: Box) -> None:
    """Have no agent on the box any more. Raises as `begin`."""
    asyncio.run(_asked(box, lambda client, _: client.own("DELETE", AGENT)))


async def _asked(box: Box, ask: Callable[[ExchangeClient, Announced], Awaitable[T]]) -> T:
    try:
        async with ExchangeClient(box.url, Passwords(bytes(32)), box.authority) as client:
            known = await client.announced()
            if box.contract not in (None, known.domain.contract):
                there = checksum_address(known.domain.contract)
                raise RecordError(f"The exchange at {box.url} is of another contract, {there}; nothing was signed.")
            await client.sign_in(box.key)
            return await ask(client, known)
    except (Away, Refused) as error:
        raise NodeError(box.url, str(error)) from None
