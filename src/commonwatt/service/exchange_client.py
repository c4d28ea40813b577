"""The exchange's interface over HTTP, as homes use it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

from pydantic_core import from_json, to_json

from commonwatt.errors import ConfigError, Finding, RecordError
from commonwatt.exchange.agreement import Proposal
from commonwatt.exchange.told import MeterPlan
from commonwatt.meter.protocol import REFUSED, Judgement, signed_json
from commonwatt.proof import Domain, Key
from commonwatt.proof.siwe import SignIn, digest
from commonwatt.records import Reading, Signed
from commonwatt.records.schema import to_bytes
from commonwatt.service.logins import Passwords
from commonwatt.service.plans import plan_told, proposal_told
from commonwatt.service.topics import name

_SECONDS: Final = 30.0
"""How long an answer may take: the exchange may be at a gate."""
_LATER: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class Away(Exception):
    """The exchange is not there, or cannot answer at present: the same may go through later."""


class Refused(Exception):
    """The exchange will not take this, however often it is said. status : of HTTP"""

    def __init__(self, status: int, sentence: str) -> None:
        self.status = status
        super().__init__(sentence)


@dataclass(frozen=True)
class Announced:
    """What an exchange says of itself.

    name : of the community; seconds : of a slot; offset : slots begin so much after a multiple of that [s]
    now : its time [unix s]; speed : how many seconds of that pass in one
    """

    name: str
    domain: Domain
    seconds: int
    now: int
    speed: float
    offset: int = 0


class ExchangeClient:
    """Asks the exchange at a URL; each question raises Away or Refused.

    authority : file with the certificate of whoever certified the exchange's; None = whom this machine believes
    """

    def __init__(self, url: str, passwords: Passwords, authority: Path | None) -> None:
        """Raises ConfigError without the packages of the extra `live`, and when the authority's file cannot be used."""
        try:
            import httpx
        except ImportError:
            raise ConfigError(
                "The request", [Finding("", 'needs further packages; install them: pip install "commonwatt[live]"')]
            ) from None
        try:
            trust = ssl.create_default_context(cafile=authority)
        except OSError:
            raise ConfigError("The request", [Finding("authority", f"holds no certificate: {authority}")]) from None
        self.url, self._passwords = url.rstrip("/"), passwords
        self._client = httpx.AsyncClient(base_url=self.url, verify=trust, timeout=_SECONDS, trust_env=False)
        self._token = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def announced(self) -> Announced:
        """What it says of itself."""
        given = await self._ask("GET", "/v1/community")
        try:
            domain = Domain(
                int(given["chainId"]), to_bytes(given["settlement"], 20), str(given["name"]), str(given["version"])
            )
            seconds, speed = int(given["slotSeconds"]), float(given.get("speed", 1))
            now, offset = int(given["now"]), int(given.get("slotOffset", 0))
            return Announced(str(given["community"]), domain, seconds, now, max(speed, 0.001), offset)
        except (KeyError, TypeError, ValueError, RecordError):
            raise self._strange() from None

    async def sign_in(self, key: Key) -> None:
        """Sign in with a wallet's key (ERC-4361); from then on whoever has it asks."""
        given = await self._ask("POST", "/v1/session/nonce")
        scheme, _, domain = self.url.partition("://")
        try:
            message = str(
                SignIn(
                    domain, key.address, f"{scheme}://{domain}", int(given["chainId"]), str(given["nonce"]),
                    str(given["issuedAt"]), statement="Sign in to Commonwatt.",
                    expiration_time=str(given["expirationTime"]),
                )
            )  # fmt: skip
            signature = key.sign_digest(digest(message))
            body = {"message": message, "signature": f"0x{signature.hex()}", "use": "token"}
            self._token = str((await self._ask("POST", "/v1/session", json=body))["token"])
        except (KeyError, TypeError, ValueError):
            raise self._strange() from None

    async def own(self, method: str, path: str, **options: Any) -> Any:
        """What whoever has signed in asks of its own."""
        return await self._ask(method, path, headers={"Authorization": f"Bearer {self._token}"}, **options)

    async def cosigned(self, path: str, **options: Any) -> Any:
        """What an operator that signs elsewhere is shown, or brings with `json`."""
        return await self.own("POST" if "json" in options else "GET", f"/v1/operators/cosign{path}", **options)

    async def plan(self, meter: bytes, since: int, seconds: int) -> MeterPlan:
        """What a meter's home is told of slots of `seconds` from `since` [unix s] on."""
        path = f"/v1/meters/{name(meter)}/plan"
        given = await self._ask("GET", path, params={"since": since}, auth=self._login(meter))
        try:
            return plan_told(given, seconds)
        except RecordError as error:
            raise Away(f"{self.url} tells a plan that cannot be read: {error}") from None

    async def outlook(self, meter: bytes, body: bytes) -> None:
        """Say what a meter's home plans."""
        await self._ask("PUT", f"/v1/meters/{name(meter)}/outlook", content=body, auth=self._login(meter))

    async def forecast(self, meter: bytes, body: bytes) -> None:
        """Say what a meter's home forecasts, where homes agree before they order."""
        await self._ask("PUT", f"/v1/meters/{name(meter)}/forecast", content=body, auth=self._login(meter))

    async def proposal(self, meter: bytes) -> Proposal:
        """What a meter's home is proposed."""
        given = await self._ask("GET", f"/v1/meters/{name(meter)}/proposal", auth=self._login(meter))
        try:
            return proposal_told(given)
        except RecordError as error:
            raise Away(f"{self.url} tells a proposal that cannot be read: {error}") from None

    async def orders(self, body: bytes) -> list[str]:
        """Bring a list of orders; the reasons why some are refused."""
        return [each["why"] for each in await self._results("/v1/orders", body) if each["status"] == REFUSED]

    async def readings(self, signed: Sequence[Signed[Reading]]) -> list[Judgement]:
        """Bring readings; what becomes of each."""
        results = await self._results("/v1/readings", to_json([signed_json(each) for each in signed]))
        if len(results) != len(signed):
            raise self._strange()
        return [Judgement(each["status"], each["why"]) for each in results]

    def _login(self, meter: bytes) -> tuple[str, str]:
        return name(meter), self._passwords.of(name(meter))

    async def _results(self, path: str, body: bytes) -> list[dict[str, str]]:
        given = await self._ask("POST", path, content=body)
        try:
            return [{"status": str(each["status"]), "why": str(each.get("why") or "")} for each in given["results"]]
        except (KeyError, TypeError, AttributeError):
            raise self._strange() from None

    def _strange(self) -> Refused:
        return Refused(HTTPStatus.OK, f"What answers at {self.url} is no exchange of this version.")

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        import httpx

        try:
            answer = await self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            told = str(error).rstrip(".") or type(error).__name__
            raise Away(f"The exchange at {self.url} does not answer: {told}.") from None
        if answer.is_success:
            try:
                return from_json(answer.content) if answer.content else None
            except ValueError:
                raise self._strange() from None
        detail = _detail(answer.content) or f"It answers {answer.status_code} to {method} {path}."
        if answer.is_server_error or answer.status_code in _LATER:
            raise Away(f"The exchange at {self.url} cannot take it at present. {detail}")
        raise Refused(answer.status_code, detail)


def _detail(content: bytes) -> str:
    """The sentence of a problem, "" where there is none."""
    try:
        given = from_json(content)
    except ValueError:
        return ""
    return str(given.get("detail") or "") if isinstance(given, dict) else ""
