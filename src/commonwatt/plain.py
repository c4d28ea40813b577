"""Words for a person's terminal. Text from others, documents, nodes and names, may not steer or repaint it."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 2000


def plain(text: object, longest: int = LONGEST) -> str:
    """The text on one line, every character seen: what controls a terminal, breaks a line or turns the direction of
    writing is written as in Python. Beyond `longest` characters it is cut.

    >>> plain("paid \\x1b[2J\\u202e in full")
    'paid \\\\x1b[2J\\\\u202e in full'
    """
    given = str(text)
    cut = given if len(given) <= longest else f"{given[:longest]}…"
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)


def many(count: int, noun: str) -> str:
    """So many of something.

    >>> many(1, "home"), many(2, "home")
    ('1 home', '2 homes')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"
