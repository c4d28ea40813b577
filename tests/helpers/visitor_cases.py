"""A living exchange that is visited: by members, operators, strangers and nobody, who sign in with wallets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
from live_cases import RICH, Village

from commonwatt.exchange.outbox import signatures
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.proof import Key
from commonwatt.proof.siwe import SignIn, instant
from commonwatt.service.api.app import application
from commonwatt.service.api.limits import Allowance
from commonwatt.service.api.settings import Settings
from commonwatt.service.hosted import FOLDER, Hosted
from commonwatt.service.running import Running

DOMAIN: Final = "grid.local"
STRANGER: Final = Key.derive(b"visitors", "stranger")
ENDLESS: Final = Allowance(rate=1e9, burst=1_000_000_000)


class Visited:
    """A living exchange behind its application, whose clocks the test turns.

    wall : what wallets go by [unix s]; ticks : seconds that only go forward
    """

    def __init__(self, folder: Path, text: str = RICH, **settings: Any) -> None:
        self.village = Village(folder, text)
        self.now: float = self.village.exchange.rules.period.start + 3600
        self.wall, self.ticks = instant("2026-06-20T12:00:00Z"), 1_000.0
        usual = Settings(
            domains=(DOMAIN,),
            per_address=ENDLESS,
            per_account=ENDLESS,
            sign_ins=ENDLESS,
            clock=lambda: self.wall,
            ticks=lambda: self.ticks,
        )
        self.settings = replace(usual, **settings)
        keys = self.village.homes.keys
        self.members, self.operator = keys.members, keys.operators[0]
        self.open()

    def open(self) -> None:
        """Put the exchange behind an application, as at a start."""
        self.running = Running(self.village.live, lambda: self.now)
        self.hosted = Hosted(self.village.live, self.village.folder / FOLDER)
        self.app = application(self.running, self.settings, hosted=self.hosted)

    def restart(self) -> None:
        """End the exchange, and open it again from what it has stored."""
        self.running.close()
        self.village.simulation.close()
        self.village.open()
        self.open()

    def close(self) -> None:
        """End the exchange."""
        self.running.close()
        self.village.simulation.close()

    def client(self, address: str = "192.0.2.7", **headers: str) -> httpx.AsyncClient:
        """A browser or program at this address of the network."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 50_000))
        return httpx.AsyncClient(transport=transport, base_url=f"{self.settings.scheme}://{DOMAIN}", headers=headers)

    def suspend(self, member: int, *, active: bool = False) -> None:
        """Have the operators suspend a member, or let it take part again."""
        founded = self.village.exchange
        community = CommunityClient(founded.client)
        standing = community.standing(member, active=active)
        signed = signatures(community.domain, standing, founded.outbox.quorum)
        community.set_standing(self.operator, standing, signed, at=int(self.now) - 60)
        self.village.roster.follow()

    async def message(self, client: httpx.AsyncClient, key: Key, **fields: Any) -> SignIn:
        """What a wallet is given to sign."""
        told = (await client.post("/v1/session/nonce")).json()
        message = SignIn(
            DOMAIN, key.address, f"{self.settings.scheme}://{DOMAIN}", told["chainId"], told["nonce"], told["issuedAt"],
            statement="Sign in to Commonwatt.", expiration_time=told["expirationTime"],
        )  # fmt: skip
        return replace(message, **fields)

    async def sign_in(self, client: httpx.AsyncClient, key: Key, use: str = "cookie", **fields: Any) -> httpx.Response:
        """Sign in; what is answered."""
        return await send(client, await self.message(client, key, **fields), key, use)

    async def token(self, key: Key) -> str:
        """A program's token."""
        async with self.client() as client:
            answer = await self.sign_in(client, key, "token")
            return str(answer.json()["token"])


def signed(message: SignIn, key: Key) -> str:
    """A wallet's `personal_sign` of a message."""
    from eth_account import Account
    from eth_account.messages import encode_defunct

    found = Account.from_key(key.secret).sign_message(encode_defunct(text=str(message))).signature
    return f"0x{bytes(found).hex()}"


async def send(client: httpx.AsyncClient, message: SignIn, key: Key, use: str = "cookie") -> httpx.Response:
    """Bring a message, signed by this key."""
    return await client.post(
        "/v1/session", json={"message": str(message), "signature": signed(message, key), "use": use}
    )
