"""Who has signed in: nonces that are used once, and sessions, of which the store keeps hashes alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from sqlalchemy import Column, LargeBinary, MetaData, Table, delete, select

from commonwatt.exchange.store import Store, put
from commonwatt.exchange.tables import INTEGER

NONCE_SECONDS: Final = 300
SESSION_SECONDS: Final = 7 * 86_400
_MOST_NONCES: Final = 10_000
_MOST_OF_ONE: Final = 16
"""Sessions of a member or operator."""
_MOST_OF_STRANGERS: Final = 1_000
"""Sessions of all others together, such as those whom members let read."""

_metadata = MetaData()
_sessions = Table(
    "sessions",
    _metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("account", LargeBinary, nullable=False),
    Column("until", INTEGER, nullable=False),
    Column("stranger", INTEGER, nullable=False),
    sqlite_strict=True,
)


class Nonces:
    """Numbers used once. Times are seconds that only go forward."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def make(self, now: float) -> str:
        """A nonce for minutes. Of very many at a time the oldest are forgotten."""
        nonce = secrets.token_hex(16)
        self._ends[nonce] = now + NONCE_SECONDS
        if len(self._ends) > _MOST_NONCES:
            self._ends.pop(next(iter(self._ends)))
        return nonce

    def take(self, nonce: str, now: float) -> bool:
        """Whether a nonce holds. From then on it does not."""
        return self._ends.pop(nonce, now) > now


@dataclass(frozen=True)
class Session:
    """Somebody who has signed in.

    account : address; until : its end [unix s]
    stranger : it was neither a member nor an operator then
    """

    account: bytes
    until: int
    stranger: bool


class Sessions:
    """Sessions by the hash of their token; they outlive a restart. One thread asks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.transaction() as connection:
            _metadata.create_all(connection)
        rows = store.ask(select(_sessions).order_by(_sessions.c.until))
        self._open = {bytes(row.hash): Session(bytes(row.account), row.until, bool(row.stranger)) for row in rows}

    def begin(self, account: bytes, now: int, *, stranger: bool) -> tuple[str, Session]:
        """A session, and its token, which is kept nowhere. Where there are too many, the oldest of its kind end."""
        token, session = secrets.token_urlsafe(32), Session(account, now + SESSION_SECONDS, stranger)
        kind = [hash_ for hash_, each in self._open.items() if _alike(each, session)]
        most = _MOST_OF_STRANGERS if stranger else _MOST_OF_ONE
        ended = {hash_ for hash_, each in self._open.items() if each.until <= now} | {
            *kind[: max(0, len(kind) - most + 1)]
        }
        hash_ = _hash(token)
        with self._store.transaction() as connection:
            connection.execute(delete(_sessions).where(_sessions.c.hash.in_(ended)))
            put(connection, _sessions, (hash_, account, session.until, int(stranger)))
        self._open = {each: kept for each, kept in self._open.items() if each not in ended} | {hash_: session}
        return token, session

    def of(self, token: str, now: float) -> Session | None:
        """The session of a token; None when there is none or it has ended."""
        found = self._open.get(_hash(token))
        return found if found and now < found.until else None

    def held(self, account: bytes) -> list[Session]:
        """Those of an account, by their end."""
        return [each for each in self._open.values() if each.account == account]

    def end(self, token: str, *, everywhere: bool = False) -> None:
        """End a session, or all of its account."""
        own = self._open.get(_hash(token))
        ended = {
            hash_
            for hash_, each in self._open.items()
            if hash_ == _hash(token) or (everywhere and own and each.account == own.account)
        }
        with self._store.transaction() as connection:
            connection.execute(delete(_sessions).where(_sessions.c.hash.in_(ended)))
        self._open = {hash_: each for hash_, each in self._open.items() if hash_ not in ended}


def csrf_of(token: str) -> str:
    """What a page has to say beside the cookie, which no page of another site can know."""
    return sha256(b"csrf " + token.encode()).hexdigest()


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _alike(one: Session, other: Session) -> bool:
    return one.stranger and other.stranger if other.stranger else one.account == other.account
