"""Proof of stake by voting tokens, age and reputation: nobody is paid, and who seals next is drawn.

Source: Vangulick, Cornélusse, Ernst (PSCC 2018), see `draw`. Ours, because that description leaves it open:

- Chance. Every member's hash chain is fixed beforehand; each block reveals its sealer's next secret, and
  seed = keccak(parent's seed ‖ secret). So the draw after a block is known once the block is, the same to everybody,
  and a sealer's only choice is to seal or to be silent.
- Rank. The draw orders all members. The first may seal a period after the parent, each next one a period later, should
  those before it be silent; its block weighs less.
- Epochs. Tokens are read from the contract `Stake` at the end of the day before.
- Guilt. Whoever signs two blocks of one height is excluded from the block on that carries both signatures.

A claim is rlp([number, secret, evidence]); a seal signs keccak(rlp([network, number, unsealed])), so that two seals
are evidence without their blocks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import rlp

from commonwatt.errors import SignatureError
from commonwatt.ledger.network.consensus import stake
from commonwatt.ledger.network.consensus.draw import DRAWS, Terms, ranking, weights
from commonwatt.ledger.network.consensus.hash_chain import HashChain
from commonwatt.ledger.network.consensus.interface import (
    Header,
    History,
    SealError,
    Snapshots,
    Turn,
    check_signature,
    check_time,
)
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key, recover

_EVIDENCE = b"evidence"


@dataclass(frozen=True)
class Rules:
    """What the members agree on.

    network : 32 bytes that tell this network's seals from any other's; the first draw's seed as well
    members : tips and tokens until the contract holds a table
    contract : address of `Stake`; None keeps `members` for ever
    alpha, beta, gamma : shares of the weight by tokens, by age and by reputation, not all of them 0
    draw : the paper's argmax W/U, or argmin -ln(U)/W, which is proportional to W
    period : seconds from a block to the next one, and between ranks
    window : blocks that age and reputation look back
    day : seconds of an epoch
    """

    network: bytes
    members: Mapping[bytes, stake.Entry]
    contract: bytes | None = None
    alpha: int = 1
    beta: int = 0
    gamma: int = 0
    draw: Literal["paper", "proportional"] = "proportional"
    period: int = 5
    window: int = 100
    day: int = 86_400


@dataclass(frozen=True)
class Member:
    """Who may be drawn.

    tip, tokens : as in the table
    link : what the hash of the next secret must be
    revealed : how many secrets are known
    """

    tip: bytes
    tokens: int
    link: bytes
    revealed: int = 0


@dataclass(frozen=True)
class Standing:
    """What counts after a block.

    day : of its time
    sealers : of the last `window` blocks, newest first
    order : who may seal next, the first drawn first
    """

    seed: bytes
    day: int
    members: Mapping[bytes, Member]
    sealers: tuple[bytes, ...] = ()
    guilty: frozenset[bytes] = frozenset()
    order: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Bytes of the standing."""
        members = [[address, each.tip, each.tokens, each.link, each.revealed] for address, each in self.members.items()]
        return bytes(rlp.encode([self.seed, self.day, members, self.sealers, sorted(self.guilty), self.order]))

    @staticmethod
    def decode(data: bytes) -> Standing:
        """The standing of these bytes."""
        seed, day, rows, sealers, guilty, order = rlp.decode(data)
        members = {
            address: Member(tip, _integer(tokens), link, _integer(revealed))
            for address, tip, tokens, link, revealed in rows
        }
        return Standing(seed, _integer(day), members, tuple(sealers), frozenset(guilty), tuple(order))


@dataclass(frozen=True)
class Claim:
    """What a header says before it is sealed; `evidence` is empty or what `convict` takes."""

    number: int
    secret: bytes
    evidence: bytes = b""

    def encode(self) -> bytes:
        """Bytes for the header."""
        return bytes(rlp.encode([_bytes(self.number), self.secret, self.evidence]))


class Pos:
    """The engine of one node. Two seals of one height that `check` meets become evidence.

    chains : of the node's own member; none where it only reads
    """

    name: ClassVar[str] = "pos"
    exclusive: ClassVar[bool] = True

    def __init__(self, rules: Rules, chains: Iterable[HashChain] = ()) -> None:
        self._rules = rules
        self._chains = {chain.tip: chain for chain in chains}
        self._standings: Snapshots[Standing] = Snapshots(self._first, self._after, Standing.encode, Standing.decode)
        self._evidence: dict[bytes, bytes] | None = None
        """By culprit; None until it is recalled."""

    def standing(self, block: Header, history: History) -> Standing:
        """What counts after a block."""
        return self._standings.at(block, history)

    def sealers(self, block: Header, history: History) -> Collection[bytes]:
        """Members by the table that holds, without those who were excluded."""
        return self.standing(block, history).order

    def turn(self, parent: Header, history: History, member: bytes, now: int) -> Turn | None:  # noqa: ARG002
        """A period after the parent and another one per rank; None for strangers, culprits and exhausted chains."""
        standing = self.standing(parent, history)
        if member not in standing.order:
            return None
        known = standing.members[member]
        secret = self._chains[known.tip].secret(known.revealed) if known.tip in self._chains else None
        if secret is None:
            return None
        known_evidence = self._recalled(history)
        culprits = sorted(known_evidence.keys() & set(standing.order) - {member})
        evidence = known_evidence[culprits[0]] if culprits else b""
        claim = Claim(parent.number + 1, secret, evidence)
        return Turn(self._earliest(parent, standing, member), claim.encode(), member)

    def check(self, header: Header, history: History) -> None:
        """Signature, membership, secret, time and evidence. Raises SealError."""
        check_signature(header, self._digest(header.number, header.unsealed))
        claim = decode_claim(header)
        if claim.number != header.number:
            raise SealError(f"its claim is for number {claim.number}")
        parent = history.header(header.parent)
        standing = self.standing(parent, history)
        if header.coinbase in standing.guilty:
            raise SealError(f"0x{header.coinbase.hex()} has sealed two blocks of one height and is excluded")
        if header.coinbase not in standing.order:
            raise SealError(f"0x{header.coinbase.hex()} is no member")
        if keccak(claim.secret) != standing.members[header.coinbase].link:
            raise SealError("it does not reveal its sealer's next secret")
        check_time(header, self._earliest(parent, standing, header.coinbase))
        if claim.evidence and self.convict(claim.evidence) not in standing.order:
            raise SealError("its evidence is against nobody who may seal")
        self._witness(header, history)

    def weight(self, header: Header, history: History) -> int:
        """More for those drawn first; members who were excluded count, or a branch without their evidence would win."""
        standing = self.standing(history.header(header.parent), history)
        return len(standing.members) - standing.order.index(header.coinbase)

    def reward(self, header: Header) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    def seal(self, unsealed: bytes, turn: Turn, key: Key) -> bytes | None:
        """The member's signature over the block and its number."""
        return key.sign_digest(self._digest(_integer(rlp.decode(turn.claim)[0]), unsealed))

    def convict(self, evidence: bytes) -> bytes:
        """Who made both of two different seals of one height. Raises SealError when nobody did.

        evidence : rlp([number, unsealed, seal, unsealed, seal])
        """
        try:
            number, first, seal, second, other = rlp.decode(evidence)
            signers = {
                recover(self._digest(_integer(number), hash_), by) for hash_, by in ((first, seal), (second, other))
            }
        except (rlp.DecodingError, SignatureError, ValueError, TypeError) as error:
            raise SealError("its evidence is not two seals") from error
        if seal == other or len(signers) != 1:
            raise SealError("its evidence proves nothing")
        return signers.pop()

    # What is known after a block

    def _first(self, genesis: Header) -> Standing:
        members = {address: Member(row.tip, row.tokens, row.tip) for address, row in self._rules.members.items()}
        return self._drawn(Standing(self._rules.network, genesis.timestamp // self._rules.day, members))

    def _after(self, before: Standing, header: Header, history: History) -> Standing:
        claim = decode_claim(header)
        sealer = before.members[header.coinbase]
        known = replace(sealer, link=claim.secret, revealed=sealer.revealed + 1)
        standing = replace(
            before,
            seed=keccak(before.seed + claim.secret),
            members={**before.members, header.coinbase: known},
            sealers=(header.coinbase, *before.sealers)[: self._rules.window],
            guilty=before.guilty | ({self.convict(claim.evidence)} if claim.evidence else set()),
        )
        return self._drawn(self._of_day(standing, header, history))

    def _of_day(self, standing: Standing, header: Header, history: History) -> Standing:
        """On a day's first block: the members of the table as it stood on the last block of the day before."""
        day = header.timestamp // self._rules.day
        if day == standing.day or self._rules.contract is None:
            return standing
        table = stake.read(history, header.parent, self._rules.contract)
        members = {address: _member(standing.members.get(address), row) for address, row in table.items()}
        return replace(standing, day=day, members=members or standing.members)

    def _drawn(self, standing: Standing) -> Standing:
        rules, sealers = self._rules, standing.sealers
        terms = {
            address: Terms(
                tokens=member.tokens,
                age=sealers.index(address) if address in sealers else len(sealers),
                blocks=sealers.count(address),
            )
            for address, member in standing.members.items()
            if address not in standing.guilty
        }
        weight = weights(terms, rules.alpha, rules.beta, rules.gamma) if terms else {}
        return replace(standing, order=ranking(standing.seed, weight, DRAWS[rules.draw]))

    # Inside

    def _earliest(self, parent: Header, standing: Standing, member: bytes) -> int:
        return parent.timestamp + self._rules.period * (1 + standing.order.index(member))

    def _digest(self, number: int, unsealed: bytes) -> bytes:
        return keccak(rlp.encode([self._rules.network, _bytes(number), unsealed]))

    def _witness(self, header: Header, history: History) -> None:
        """Remember a seal; two different ones of a height are evidence."""
        place = b"seal:" + header.coinbase + header.number.to_bytes(8, "big")
        first = history.recall(place)
        if first is None:
            history.remember(place, header.unsealed + header.seal)
        elif first[32:] != header.seal:
            evidence = [_bytes(header.number), first[:32], first[32:], header.unsealed, header.seal]
            found = self._recalled(history)
            found[header.coinbase] = rlp.encode(evidence)
            history.remember(_EVIDENCE, rlp.encode(list(found.values())))

    def _recalled(self, history: History) -> dict[bytes, bytes]:
        """The evidence that this node has, by culprit."""
        if self._evidence is None:
            noted = rlp.decode(history.recall(_EVIDENCE) or rlp.encode([]))
            self._evidence = {self.convict(each): each for each in noted}
        return self._evidence


def decode_claim(header: Header) -> Claim:
    """The claim of a header. Raises SealError."""
    try:
        number, secret, evidence = rlp.decode(header.claim)
        if all(isinstance(field, bytes) for field in (number, secret, evidence)) and len(secret) == 32:
            return Claim(_integer(number), secret, evidence)
    except (rlp.DecodingError, ValueError):
        pass
    raise SealError("its claim is not a number, a secret and evidence")


def _member(known: Member | None, row: stake.Entry) -> Member:
    """A member by its new row; a new tip begins a new chain."""
    if known and known.tip == row.tip:
        return replace(known, tokens=row.tokens)
    return Member(row.tip, row.tokens, row.tip)


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "big")
