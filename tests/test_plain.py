"""What others wrote is shown on one line, and steers nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shell import Shell

from commonwatt.errors import ConfigError, Finding, LedgerError, Reverted
from commonwatt.plain import LONGEST, plain


@given(st.text())
def test_every_character_is_seen(text: str) -> None:
    assert plain(text).isprintable()
    if text.isprintable():
        assert plain(text) == text


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ("a\nb\rc", "a\\nb\\rc"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("\u2067proved\u2069", "\\u2067proved\\u2069"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("Müller → 3 €", "Müller → 3 €"),
    ],
)
def test_what_steers_a_terminal_is_written_out(given_: str, shown: str) -> None:
    assert plain(given_) == shown


def test_what_is_too_long_is_cut() -> None:
    assert plain("x" * LONGEST) == "x" * LONGEST
    assert plain("x" * (LONGEST + 1)) == "x" * LONGEST + "…"
    assert plain("[red]" * 10, 5) == "[red]…"


def test_every_error_is_shown_so() -> None:
    evil = "\x1b[2J\nIt is proved by the chain.\u202e"
    shown = "\\x1b[2J\\nIt is proved by the chain.\\u202e"
    assert str(LedgerError(evil)) == shown
    assert str(Reverted(evil, [evil])).count(shown) == 2
    assert str(ConfigError(evil, [Finding(evil, evil), Finding("", "fine")])).split("\n") == [
        f"{shown} has 2 problems:", f"  {shown}: {shown}", "  fine"
    ]  # fmt: skip


def test_the_name_of_a_file_is_shown_so(said: Shell) -> None:
    told = said("verify", "none\x1b[2J.json").err
    assert "\x1b" not in told
    assert "none\\x1b[2J.json" in told
