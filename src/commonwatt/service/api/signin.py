"""Signing in: a nonce, the message that a wallet signs (ERC-4361), and the session that it begins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Request, Response
from pydantic import ConfigDict, Field

from commonwatt.accounts.document import hex_text
from commonwatt.errors import RecordError, SignatureError
from commonwatt.proof import siwe
from commonwatt.service.api.callers import Caller, Entry, Visit, entry, visit
from commonwatt.service.api.limits import address, too_often
from commonwatt.service.api.models import Told
from commonwatt.service.api.problems import responses
from commonwatt.service.api.sessions import NONCE_SECONDS, SESSION_SECONDS, Session, csrf_of


class Nonce(Told):
    """What a sign-in message has to hold.

    issued_at, expiration_time : times (RFC 3339) by the exchange's clock, whatever the asker's says
    """

    nonce: str
    chain_id: int
    issued_at: str
    expiration_time: str


class Proof(Told):
    """A sign-in message and the wallet's signature of it.

    use : as a page's cookie, or as a program's token
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    message: Annotated[str, Field(max_length=4_000)]
    signature: Annotated[str, Field(pattern="^0x[0-9a-fA-F]{130}$")]
    use: Literal["cookie", "token"] = "cookie"


class SignedIn(Told):
    """Who has signed in.

    account : address; member : its number, where it is a member's; active : that member takes part
    until : the session's end [unix s]
    csrf : of a cookie, what the header X-CSRF-Token has to say wherever something is changed
    token : for the header Authorization: Bearer; told once
    """

    account: str
    member: int | None
    active: bool
    operator: bool
    until: int
    csrf: str | None = None
    token: str | None = None


def add_signing_in(app: FastAPI) -> None:
    """Add its operations to the application."""

    @app.post(
        "/v1/session/nonce", tags=["sign-in"], summary="Ask for a nonce to sign in with, once and within minutes."
    )
    async def nonce(here: Annotated[Entry, Depends(entry)]) -> Nonce:
        now = int(here.settings.clock())
        return Nonce(
            nonce=here.nonces.make(here.settings.ticks()),
            chain_id=here.running.live.exchange.domain.chain_id,
            issued_at=_time(now),
            expiration_time=_time(now + NONCE_SECONDS),
        )

    @app.post("/v1/session", tags=["sign-in"], summary="Sign in.", responses=responses(503))
    async def begin(
        proof: Proof, request: Request, response: Response, here: Annotated[Entry, Depends(entry)]
    ) -> SignedIn:
        """The message is one of ERC-4361, for a domain of this exchange and with a nonce of it. It is signed by any
        account; what that may do, the ledger says at each request."""
        wait = here.sign_ins.take(address(request.scope), here.settings.ticks())
        if wait:
            raise too_often(wait)
        account = _proved(here, proof)
        token, session, caller = await here.running.ask(_begin, here, account)
        response.headers["Cache-Control"] = "no-store"
        if proof.use == "token":
            return _told(session, caller, token=token)
        settings = here.settings
        response.set_cookie(
            settings.cookie, token, max_age=SESSION_SECONDS, secure=settings.secure, httponly=True, samesite="strict"
        )
        return _told(session, caller, csrf=csrf_of(token))

    @app.get("/v1/session", tags=["sign-in"], summary="Who has signed in.")
    async def session(here: Annotated[Visit, Depends(visit)], response: Response) -> SignedIn:
        response.headers["Cache-Control"] = "no-store"
        return _told(here.session, here.caller, csrf=csrf_of(here.token))

    @app.delete("/v1/session", tags=["sign-in"], summary="Sign out.", status_code=204)
    async def end(
        request: Request, here: Annotated[Visit, Depends(visit)], everywhere: bool = False
    ) -> Response:  # fmt: skip
        """End this session; with `everywhere`, all of its account, such as those of a stolen cookie."""
        known = entry(request)
        await known.running.ask(known.sessions.end, here.token, everywhere=everywhere)
        response = Response(status_code=204)
        response.delete_cookie(known.settings.cookie, secure=known.settings.secure, httponly=True, samesite="strict")
        return response


def _proved(here: Entry, proof: Proof) -> bytes:
    """The account that signed the message. Raises RecordError or SignatureError."""
    message, settings = siwe.read(proof.message), here.settings
    if siwe.signer(proof.message, bytes.fromhex(proof.signature[2:])) != message.account:
        raise SignatureError("The message is not signed by the account that it names.")
    # Whatever else is wrong with the message, nobody can bring it again.
    if not here.nonces.take(message.nonce, settings.ticks()):
        raise RecordError("The nonce is unknown, used or too old; ask for another one and sign again.")
    chain_id = here.running.live.exchange.domain.chain_id
    message.check(settings.domains, settings.scheme, chain_id, settings.clock())
    return message.account


def _begin(here: Entry, account: bytes) -> tuple[str, Session, Caller]:
    caller = here.caller(account)
    stranger = caller.member is None and not caller.operator
    token, session = here.sessions.begin(account, int(here.settings.clock()), stranger=stranger)
    return token, session, caller


def _told(session: Session, caller: Caller, csrf: str | None = None, token: str | None = None) -> SignedIn:
    return SignedIn(
        account=hex_text(caller.account),
        member=caller.member,
        active=caller.active,
        operator=caller.operator,
        until=session.until,
        csrf=csrf,
        token=token,
    )


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
