"""Who asks: what a session proves, and what the ledger says of that account at each request.

An operation that is not public names one of `signed_in`, `member` and `operator` among its dependencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hmac import compare_digest
from typing import Annotated, Final

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from commonwatt.errors import NodeError
from commonwatt.exchange.live import Live
from commonwatt.ledger.client.abi import COMMUNITY, contract
from commonwatt.service.api.limits import Buckets, too_often
from commonwatt.service.api.sessions import Nonces, Session, Sessions, csrf_of
from commonwatt.service.api.settings import Settings
from commonwatt.service.running import Running

CSRF: Final = "X-CSRF-Token"
_SAFE: Final = ("GET", "HEAD")
_COOKIE: Final = APIKeyCookie(
    name="__Host-commonwatt",
    scheme_name="cookie",
    description="Of a page that has signed in; without TLS its name is `commonwatt`.",
    auto_error=False,
)
_BEARER: Final = HTTPBearer(scheme_name="token", description="Of a program that has signed in.", auto_error=False)


@dataclass(frozen=True)
class Caller:
    """Who asks.

    account : that proved to be theirs [address]
    member : the number of the member whose account it is; None when it is no member's
    operator : whether it is one of the community's operators
    active : of a member, whether it takes part; one that left or is suspended does not, and keeps its data
    """

    account: bytes
    member: int | None
    operator: bool
    active: bool = True


class Entry:
    """What is known of those who ask. Nonces and buckets are the loop's; the rest is asked in the engine's thread."""

    def __init__(self, running: Running, settings: Settings) -> None:
        self.running, self.settings = running, settings
        self.nonces, self.accounts, self.sign_ins = Nonces(), Buckets(settings.per_account), Buckets(settings.sign_ins)
        self._operators = set[bytes]()

    @cached_property
    def sessions(self) -> Sessions:
        """Those that the store has."""
        return Sessions(self.running.live.store)

    def caller(self, account: bytes) -> Caller:
        """What ledger and roster say of an account now."""
        live = self.running.live
        present, is_operator = live.roster.at(self.running.now()), self._is_operator(live, account)
        accounts = (each.record.member for each in present.mandates)
        number = next((number for number, own in enumerate(accounts) if own == account), None)
        return Caller(account, number, is_operator, active=number not in present.suspended)

    def called(self, token: str) -> tuple[Session, Caller] | None:
        """Whose token it is; None when it is no session's."""
        session = self.sessions.of(token, self.settings.clock())
        return (session, self.caller(session.account)) if session else None

    def _is_operator(self, live: Live, account: bytes) -> bool:
        """As the contract says; while the ledger is out of reach, as it said when it was asked last."""
        client = live.exchange.client
        place = contract(COMMUNITY).place("isOperator", account.rjust(32, b"\0"))
        try:
            (found,) = client.node.storage(client.addresses.community, [place])
        except NodeError:
            return account in self._operators
        (self._operators.add if found else self._operators.discard)(account)
        return bool(found)


def entry(request: Request) -> Entry:
    """The application's."""
    found: Entry = request.app.state.entry
    return found


@dataclass(frozen=True)
class Visit:
    """A request of somebody who has signed in."""

    token: str
    session: Session
    caller: Caller


async def visit(
    request: Request,
    _: Annotated[str | None, Security(_COOKIE)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> Visit:
    """Whoever has signed in; 401 for all others, and 403 where another site may have sent the request."""
    here = entry(request)
    cookie = request.cookies.get(here.settings.cookie)
    token = bearer.credentials if bearer else cookie
    found = await here.running.ask(here.called, token) if token else None
    if token is None or found is None:
        raise HTTPException(401, "Sign in first: POST /v1/session.", {"WWW-Authenticate": "Bearer"})
    said = request.headers.get(CSRF, "")
    if not bearer and request.method not in _SAFE and not compare_digest(said.encode(), csrf_of(token).encode()):
        raise HTTPException(403, f"Say the session's `csrf` in the header {CSRF}.")
    session, caller = found
    wait = here.accounts.take(caller.account, here.settings.ticks())
    if wait:
        raise too_often(wait)
    return Visit(token, session, caller)


async def signed_in(here: Annotated[Visit, Depends(visit)]) -> Caller:
    """Whoever has signed in, also who is no member, such as somebody whom members let read."""
    return here.caller


async def member(caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
    """A member that takes part; 403 for all others."""
    if caller.member is None or not caller.active:
        raise HTTPException(403, "Only a member that takes part may do this.")
    return caller


async def operator(caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
    """An operator of the community; 403 for all others."""
    if not caller.operator:
        raise HTTPException(403, "Only an operator of the community may do this.")
    return caller


async def anyone(
    request: Request,
    cookie: Annotated[str | None, Security(_COOKIE)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> Caller | None:
    """Whoever has signed in, and None for who did not try."""
    tried = bearer or request.cookies.get(entry(request).settings.cookie)
    return (await visit(request, cookie, bearer)).caller if tried else None


Operator = Annotated[Caller, Depends(operator)]
