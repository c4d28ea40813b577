"""Sessions are kept on either database, are bounded by kind, and are found again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from services import Postgres

from commonwatt.exchange.store import Store
from commonwatt.service.api.sessions import NONCE_SECONDS, SESSION_SECONDS, Nonces, Sessions

MEMBER, OTHER = bytes(19) + b"\1", bytes(19) + b"\2"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path / "exchange.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.new())


@pytest.fixture
def opened(place: Path | str) -> Iterator[Callable[[], Sessions]]:
    """Opens the sessions that are stored, in the place of those before."""
    stores = list[Store]()

    def again() -> Sessions:
        for each in stores:
            each.close()
        stores.append(Store(place))
        return Sessions(stores[-1])

    yield again
    stores[-1].close()


def test_a_session_is_found_by_its_token_until_it_ends(opened: Callable[[], Sessions]) -> None:
    sessions = opened()
    token, session = sessions.begin(MEMBER, 1_000, stranger=False)
    ended, _ = sessions.begin(MEMBER, 1_000, stranger=False)
    sessions.end(ended)
    sessions.end("unknown", everywhere=True)
    for each in (sessions, opened()):
        assert each.of(token, 1_000) == session
        assert each.of(token, session.until - 1) == session
        assert each.of(token, session.until) is None
        assert each.of(ended, 1_000) is None


def test_members_have_a_few_sessions_each_and_strangers_many_together(opened: Callable[[], Sessions]) -> None:
    sessions = opened()
    strange = [sessions.begin(number.to_bytes(20, "big"), number, stranger=True)[0] for number in range(1, 1_003)]
    own = [sessions.begin(MEMBER, 2_000 + number, stranger=False)[0] for number in range(20)]
    other, _ = sessions.begin(OTHER, 1, stranger=False)
    for each in (sessions, opened()):
        assert [each.of(token, 3_000) is not None for token in strange] == [False] * 2 + [True] * 1_000
        assert [each.of(token, 3_000) is not None for token in own] == [False] * 4 + [True] * 16
        assert each.of(other, 3_000)


def test_all_sessions_of_an_account_end_together(opened: Callable[[], Sessions]) -> None:
    sessions = opened()
    own = [sessions.begin(MEMBER, 1_000, stranger=False)[0] for _ in range(3)]
    other, _ = sessions.begin(OTHER, 1_000, stranger=False)
    sessions.end(own[0], everywhere=True)
    for each in (sessions, opened()):
        assert [each.of(token, 1_000) is not None for token in (*own, other)] == [False] * 3 + [True]


def test_what_has_ended_is_forgotten(opened: Callable[[], Sessions]) -> None:
    sessions = opened()
    old, _ = sessions.begin(MEMBER, 0, stranger=False)
    sessions.begin(OTHER, SESSION_SECONDS, stranger=False)
    # By a clock that was put back it would hold again.
    assert sessions.of(old, 0) is None
    assert opened().of(old, 0) is None


def test_a_nonce_holds_once_and_for_minutes() -> None:
    nonces = Nonces()
    first, second, third = (nonces.make(now) for now in (0, 0, 1))
    assert len({first, second, third}) == 3
    assert nonces.take(first, NONCE_SECONDS - 1)
    assert not nonces.take(first, NONCE_SECONDS - 1)
    assert not nonces.take(second, NONCE_SECONDS)
    assert nonces.take(third, NONCE_SECONDS)
    assert not nonces.take("", 0)


def test_of_very_many_nonces_the_oldest_are_forgotten() -> None:
    nonces = Nonces()
    made = [nonces.make(0) for _ in range(10_001)]
    assert [nonces.take(each, 0) for each in (made[0], made[1], made[-1])] == [False, True, True]
