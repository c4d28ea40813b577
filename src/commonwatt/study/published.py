"""The studies that `commonwatt study` runs, with where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Study:
    """A study. name : of its command; source : as one cites it, empty where it is our own; doi : None = not known"""

    name: str
    what: str
    source: str = ""
    doi: str | None = None


STUDIES: Final = (
    Study(
        "saini",
        "five homes in India: every trade, bill and block of the paper, recomputed",
        "V. K. Saini, C. S. Purohit, R. Kumar, A. S. Al-Sumaiti, Proof of Work Consensus Based Peer to Peer Energy "
        "Trading in the Indian Residential Community, Energies 2023, 16, 1253",
        "10.3390/en16031253",
    ),
    Study(
        "residential",
        "a neighbourhood in summer and winter: the paper's claims put to the test",
        "T. AlSkaif, J. L. Crespo-Vazquez, M. Sekuloski, G. van Leeuwen, J. P. S. Catalão, Blockchain-Based Fully "
        "Peer-to-Peer Energy Trading Strategies for Residential Energy Systems, IEEE Transactions on Industrial "
        "Informatics 2021",
    ),
    Study("cheat", "a day with a dishonest operator, and every attack that was thought of"),
    Study(
        "coupling",
        "two communities on two chains trade what one has to spare: both posts become final or neither",
        "A. Salian, S. Shah, J. Shah, K. Samdani, Review of Blockchain Enabled Decentralized Energy Trading Mechanisms",
    ),
    Study(
        "linkage",
        "pseudonyms on a ledger: how well the amounts of quarter hours betray whose they are",
        "SET, IJRASET 11(IV), 2023",
    ),
)
