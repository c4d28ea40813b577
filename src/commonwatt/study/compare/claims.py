"""A claim of a paper beside what came out when it was put to the test."""

from __future__ import annotations

from dataclasses import dataclass

Cell = str | int | float | None


@dataclass(frozen=True)
class Claim:
    """One claim.

    auction, scheduling : the paper's words for the two kinds of algorithm; reason : why, after its text
    test : what was run here; heads, rows : what came out, `heads` names each row's cells
    finding : what that says of the claim, composed from the figures
    """

    title: str
    auction: str
    scheduling: str
    reason: str
    test: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    finding: str
