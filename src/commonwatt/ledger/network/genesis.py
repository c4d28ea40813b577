"""genesis.json: what the members of a network agree on before it begins.

The hash of the whole document is in block 0, so nodes of two documents that differ in anything never share a chain.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError

from commonwatt.community.fields import Address
from commonwatt.community.sentences import findings_of
from commonwatt.community.table import Table
from commonwatt.errors import ConfigError, Finding
from commonwatt.ledger.chain.evm import Genesis
from commonwatt.ledger.network.consensus.interface import Consensus
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key
from commonwatt.records import strict_json

MOST_CHAIN_ID = 4_503_599_627_370_476
"""The highest that MetaMask takes; JavaScript computes with it exactly."""
LEAST_BASE_FEE = 7
"""Wei per gas, where the base fee stays while blocks are at most half full."""
_LONGEST = 1 << 20
_MOST_MEMBERS = 1000
_MOST_WEI = 10**36


def _wei(value: object) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,40}", value):
        raise ValueError('must be an amount of wei in quotes, such as "1000000000000000000" for one ether')
    if int(value) > _MOST_WEI:
        raise ValueError(f"is more than {_MOST_WEI} wei")
    return int(value)


Wei = Annotated[int, BeforeValidator(_wei)]


class PoaTable(Table):
    """Proof of authority: the members are the first authorities."""

    kind: Literal["poa"]
    period: int = Field(5, ge=1, le=3600, description="seconds between blocks")
    stagger: int = Field(2, ge=1, le=3600, description="seconds until the next authority steps in for a silent one")


class PowTable(Table):
    """Proof of work."""

    kind: Literal["pow"]
    period: int = Field(15, ge=2, le=3600, description="seconds between blocks that the work is steered to")
    hashes: int = Field(1 << 20, ge=1, le=1 << 80, description="hashes that the first blocks take on average")
    reward: int = Field(0, ge=0, le=10**18, description="what a block pays to its sealer, in Gwei")


def _hash(value: object) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{64}", value):
        raise ValueError('must be a hash in quotes: "0x" and 64 digits from 0 to 9 and a to f')
    return bytes.fromhex(value[2:])


class StakeTable(Table):
    """A member of a network by proof of stake."""

    tip: Annotated[bytes, BeforeValidator(_hash)] = Field(description="last value of the member's hash chain")
    tokens: int = Field(ge=0, le=2**64 - 1, description="voting tokens")


class PosTable(Table):
    """Proof of stake by voting tokens, age and reputation."""

    kind: Literal["pos"]
    period: int = Field(5, ge=1, le=3600, description="seconds between blocks, and between those who may step in")
    alpha: int = Field(1, ge=0, le=1000, description="share of the weight by tokens")
    beta: int = Field(0, ge=0, le=1000, description="share of the weight by age")
    gamma: int = Field(0, ge=0, le=1000, description="share of the weight by reputation")
    draw: Literal["paper", "proportional"] = Field("proportional", description="which draw chooses the sealer")
    window: int = Field(100, ge=1, le=10_000, description="blocks that age and reputation look back")
    day: int = Field(86_400, ge=60, le=10**7, description="seconds for which a table of tokens holds")
    contract: Address | None = Field(None, description="address of the contract Stake")
    secrets: int = Field(1 << 20, ge=1, le=1 << 24, description="blocks that a member's hash chain lasts for")
    stakes: dict[Address, StakeTable] = Field(
        min_length=1, max_length=_MOST_MEMBERS, description="the members' hash chains and tokens at the beginning"
    )


def _kind(value: object) -> str:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"<{kind}>"


ConsensusTable = Annotated[
    Annotated[PoaTable, Tag("<poa>")] | Annotated[PowTable, Tag("<pow>")] | Annotated[PosTable, Tag("<pos>")],
    Discriminator(
        _kind, custom_error_type="kind", custom_error_message='must be a table with a kind: "poa", "pow" or "pos"'
    ),
]


class GenesisTable(Table):
    """The document."""

    chain_id: int = Field(ge=1, le=MOST_CHAIN_ID, description="the number that transactions are signed for")
    time: int = Field(ge=0, le=2**40, description="time of block 0, unix seconds")
    gas_limit: int = Field(10_000_000, ge=1_000_000, le=1_000_000_000, description="gas of a block")
    base_fee: int = Field(LEAST_BASE_FEE, ge=LEAST_BASE_FEE, le=10**12, description="first base fee, wei per gas")
    consensus: ConsensusTable = Field(description="how the nodes agree")
    members: list[Address] = Field(
        min_length=1, max_length=_MOST_MEMBERS, description="addresses of the nodes that seal blocks"
    )
    readers: list[Address] = Field(
        default=[], max_length=_MOST_MEMBERS, description="addresses of the nodes that may only read"
    )
    balances: dict[Address, Wei] = Field(default={}, description="ether at the beginning, wei by address")


@dataclass(frozen=True)
class Agreement:
    """A genesis.json that has been read."""

    table: GenesisTable
    chain: Genesis

    @property
    def nodes(self) -> frozenset[bytes]:
        """Addresses of the nodes that belong to the network from its beginning."""
        return frozenset((*self.table.members, *self.table.readers))

    def engine(self, key: Key | None = None, chains: int = 1) -> Consensus:
        """A consensus engine for one node.

        key : of the member that seals there
        chains : how many of its hash chains it holds, for a network by stake
        """
        match self.table.consensus:
            case PoaTable() as poa:
                from commonwatt.ledger.network.consensus.poa import Poa

                return Poa(self.table.members, period=poa.period, stagger=poa.stagger)
            case PowTable() as pow_:
                from commonwatt.ledger.network.consensus.pow import Pow

                target = (1 << 256) // pow_.hashes - 1
                return Pow(period=pow_.period, first_target=target, reward=pow_.reward)
            case PosTable() as pos:
                return _stake_engine(pos, self.chain.extra_data, key, chains)


def read(path: Path) -> Agreement:
    """Read a genesis.json. Raises ConfigError with every finding."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Finding("", f"cannot be read: {error}")]) from None
    return parse(text, str(path))


def parse(text: str, source: str = "genesis.json") -> Agreement:
    """As `read`, of a text."""
    document = _document(text, source)
    try:
        table = GenesisTable.model_validate(document)
    except ValidationError as error:
        raise ConfigError(source, findings_of(error, "", GenesisTable)) from None
    findings = [*_twice("members", table.members), *_twice("readers", table.readers)]
    if len(table.balances) < len(document.get("balances", {})):
        findings.append(Finding("balances", "name an address twice, in other letters"))
    if isinstance(table.consensus, PosTable):
        findings += _stake_findings(table.consensus, table.members)
    if findings:
        raise ConfigError(source, findings)
    # Sorted and without spaces, so that how a file is laid out does not matter.
    digest = keccak(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    chain = Genesis(table.chain_id, table.balances, table.time, table.gas_limit, table.base_fee, digest)
    return Agreement(table, chain)


def _document(text: str, source: str) -> dict[str, Any]:
    problem = "is not a table of JSON"
    try:
        document = strict_json.loads(text, _LONGEST, fractions=True)
        if isinstance(document, dict):
            return document
    except ValueError as error:
        problem = f"cannot be read as JSON: {error}"
    raise ConfigError(source, [Finding("", problem)])


def _stake_findings(table: PosTable, members: list[bytes]) -> list[Finding]:
    strangers = [address for address in table.stakes if address not in members]
    findings = [Finding("consensus.stakes", f"0x{address.hex()} is not among the members") for address in strangers]
    if not table.alpha + table.beta + table.gamma:
        findings.append(Finding("consensus", "needs one of alpha, beta and gamma above 0"))
    return findings


def _twice(name: str, addresses: list[bytes]) -> list[Finding]:
    return [
        Finding(f"{name}[{place + 1}]", f"0x{address.hex()} stands there twice")
        for place, address in enumerate(addresses)
        if address in addresses[:place]
    ]


def _stake_engine(table: PosTable, network: bytes, key: Key | None, chains: int) -> Consensus:
    from commonwatt.ledger.network.consensus.hash_chain import HashChain
    from commonwatt.ledger.network.consensus.pos import Pos, Rules
    from commonwatt.ledger.network.consensus.stake import Entry

    members = {address: Entry(row.tip, row.tokens) for address, row in table.stakes.items()}
    rules = Rules(
        network=network, members=members, contract=table.contract, alpha=table.alpha, beta=table.beta,
        gamma=table.gamma, draw=table.draw, period=table.period, window=table.window, day=table.day,
    )  # fmt: skip
    own = [HashChain.derive(key, number, table.secrets) for number in range(chains)] if key else []
    return Pos(rules, own)
