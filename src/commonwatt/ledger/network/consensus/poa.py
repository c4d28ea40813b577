"""Proof of authority: the permissioned network. Known members sign blocks in turn and vote on who belongs to them.

Authorities take turns by their addresses' order: in turn is the next one after the parent's sealer. It seals a period
after the parent; each next one a stagger later, should those before it be silent, and with half the weight. Of any
floor(n/2) + 1 blocks in a row an authority seals at most one, so the chain stands still without a majority. An
authority's block may carry one vote, to admit or to remove somebody; once more than half of the authorities stand
behind it, it takes effect with that block.

The rules of weights and votes are those of Clique (EIP-225, https://eips.ethereum.org/EIPS/eip-225), with three
changes. Turns are counted from the parent's sealer instead of by the block's number, and among those who need not
rest: by number, one outage is enough for whoever is in turn to have stepped in for somebody just before, and so to rest
when its own turn comes, for ever. The times of those out of turn are fixed and checked instead of random. Votes do not
lapse at epochs; an authority has its last 32.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import ClassVar

import rlp

from commonwatt.ledger.network.consensus.interface import (
    Header,
    History,
    SealError,
    Snapshots,
    Turn,
    check_signature,
    check_time,
)
from commonwatt.proof.keys import Key

IN_TURN, OUT_OF_TURN = 2, 1
"""Weights."""
MOST_VOTES = 32
"""Standing votes of one authority; the oldest one gives way."""


@dataclass(frozen=True)
class Vote:
    """A voter's wish that a candidate is admitted to the authorities, or else removed from them."""

    voter: bytes
    candidate: bytes
    admit: bool


@dataclass(frozen=True)
class Council:
    """Who may seal after a block.

    authorities : sorted addresses
    votes : the standing ones, of authorities only, oldest first; at most one per voter and candidate
    recent : who sealed the last blocks, newest first
    """

    authorities: tuple[bytes, ...]
    votes: tuple[Vote, ...] = ()
    recent: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Bytes of the council."""
        votes = [[vote.voter, vote.candidate, int(vote.admit)] for vote in self.votes]
        return bytes(rlp.encode([self.authorities, votes, self.recent]))

    @staticmethod
    def decode(data: bytes) -> Council:
        """The council of these bytes."""
        authorities, votes, recent = rlp.decode(data)
        standing = (Vote(voter, candidate, bool(admit)) for voter, candidate, admit in votes)
        return Council(tuple(authorities), tuple(standing), tuple(recent))

    def resting(self) -> tuple[bytes, ...]:
        """Those who must let others seal first."""
        return self.recent[: len(self.authorities) // 2]

    def order(self) -> list[bytes]:
        """Those who may seal next, from the address after the last sealer's on; the first is in turn."""
        place = bisect(self.authorities, self.recent[0]) if self.recent else 0
        resting = self.resting()
        return [each for each in self.authorities[place:] + self.authorities[:place] if each not in resting]

    def sealed(self, sealer: bytes, vote: Vote | None) -> Council:
        """The council after a block."""
        # One more than must rest now, for a council that grows.
        recent = (sealer, *self.recent)[: len(self.authorities) // 2 + 1]
        council = Council(self.authorities, self.votes, recent)
        return council._cast(vote) if vote else council

    def _cast(self, vote: Vote) -> Council:
        """A vote replaces the voter's earlier one on the candidate; one for what is so already only withdraws that."""
        votes = [each for each in self.votes if (each.voter, each.candidate) != (vote.voter, vote.candidate)]
        if vote.admit == (vote.candidate in self.authorities):
            return Council(self.authorities, tuple(votes), self.recent)
        own = [each for each in votes if each.voter == vote.voter]
        if len(own) == MOST_VOTES:
            votes.remove(own[0])
        votes.append(vote)
        agreeing = [each for each in votes if each.candidate == vote.candidate]
        if 2 * len(agreeing) <= len(self.authorities):
            return Council(self.authorities, tuple(votes), self.recent)
        changed = set(self.authorities) ^ {vote.candidate}
        standing = (each for each in votes if each.candidate != vote.candidate and each.voter in changed)
        return Council(tuple(sorted(changed)), tuple(standing), self.recent)


class Poa:
    """The engine of one node.

    authorities : addresses at the genesis, at least one
    period : seconds from a block to the next one
    stagger : seconds between those who may step in
    """

    name: ClassVar[str] = "poa"
    exclusive: ClassVar[bool] = False

    def __init__(self, authorities: Iterable[bytes], *, period: int = 5, stagger: int = 2) -> None:
        self.wishes: dict[bytes, bool | None] = {}
        """What this node votes for, candidate by candidate: True admits, False removes, None withdraws a vote."""
        self._period, self._stagger = period, stagger
        first = Council(tuple(sorted(authorities)))
        self._councils: Snapshots[Council] = Snapshots(lambda _: first, _after, Council.encode, Council.decode)

    def council(self, block: Header, history: History) -> Council:
        """Who may seal after a block, and which votes stand."""
        return self._councils.at(block, history)

    def sealers(self, block: Header, history: History) -> Collection[bytes]:
        """The authorities."""
        return self.council(block, history).authorities

    def turn(self, parent: Header, history: History, member: bytes, now: int) -> Turn | None:  # noqa: ARG002
        """The period after the parent and the stagger of one's place; None for strangers and those who must rest."""
        council = self.council(parent, history)
        if member not in council.order():
            return None
        return Turn(self._earliest(parent, council, member), self._claim(council, member), member)

    def check(self, header: Header, history: History) -> None:
        """Signature, authority, rest, time and vote. Raises SealError."""
        check_signature(header, header.unsealed)
        parent = history.header(header.parent)
        council = self.council(parent, history)
        if header.coinbase not in council.authorities:
            raise SealError(f"0x{header.coinbase.hex()} is no authority")
        if header.coinbase in council.resting():
            raise SealError(f"0x{header.coinbase.hex()} sealed one of the last {len(council.authorities) // 2} blocks")
        check_time(header, self._earliest(parent, council, header.coinbase))
        vote = decode_vote(header)
        if vote and not vote.admit and council.authorities == (vote.candidate,):
            raise SealError("its vote would remove the last authority")

    def weight(self, header: Header, history: History) -> int:
        """2 in turn, 1 out of turn."""
        council = self.council(history.header(header.parent), history)
        return IN_TURN if council.order()[0] == header.coinbase else OUT_OF_TURN

    def reward(self, header: Header) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def seal(self, unsealed: bytes, turn: Turn, key: Key) -> bytes | None:  # noqa: ARG002
        """The authority's signature."""
        return key.sign_digest(unsealed)

    def _earliest(self, parent: Header, council: Council, member: bytes) -> int:
        return parent.timestamp + self._period + self._stagger * council.order().index(member)

    def _claim(self, council: Council, member: bytes) -> bytes:
        """A vote for one of this node's wishes, when whether one stands is not as it wishes."""
        for candidate in sorted(self.wishes):
            inside = candidate in council.authorities
            wanted = self.wishes[candidate] not in (None, inside)
            stands = any((vote.voter, vote.candidate) == (member, candidate) for vote in council.votes)
            if stands != wanted and not (wanted and council.authorities == (candidate,)):
                return encode_vote(candidate, admit=inside != wanted)  # what is so already withdraws
        return b""


def encode_vote(candidate: bytes, *, admit: bool) -> bytes:
    """A claim that votes. The claim of a block without a vote is empty."""
    return bytes(rlp.encode([candidate, b"\1" if admit else b""]))


def decode_vote(header: Header) -> Vote | None:
    """The vote that a block carries. Raises SealError."""
    if not header.claim:
        return None
    try:
        candidate, admit = rlp.decode(header.claim)
        if isinstance(candidate, bytes) and len(candidate) == 20 and admit in (b"", b"\1"):
            return Vote(header.coinbase, candidate, bool(admit))
    except (rlp.DecodingError, ValueError, TypeError):
        pass
    raise SealError("its claim is no vote")


def _after(council: Council, header: Header, history: History) -> Council:  # noqa: ARG001
    return council.sealed(header.coinbase, decode_vote(header))
