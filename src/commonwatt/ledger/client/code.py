"""Whether the contracts of a community are those of this package, or of a release before it, and name each other.

Anybody can put any code at an address, and name any address in it. What was fixed when a contract was created, its
immutables, stands in its code: the rest of the code is compared, and they are read from it, so that no contract is
asked who it is. What a contract stores is its own creation's work, too, so the creating transaction, of which an event
tells, is compared as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from commonwatt.errors import LedgerError, VerificationError
from commonwatt.ledger.client.abi import COMMUNITY, DEMANDS, DISPUTES, OFFERS, SETTLEMENT, TOKEN, Contract, contract
from commonwatt.ledger.node import ZERO_ADDRESS, Log, Node
from commonwatt.ledger.wallet import created_address
from commonwatt.proof import Domain, checksum_address, keccak

THIS: Final = "this version"
"""The release whose contracts lie in the package."""
LINKS: Final = {"settlement": SETTLEMENT, "community": COMMUNITY, "disputes": DISPUTES, "demands": DEMANDS}
"""The contracts of a community by the immutables that name them, each one after a contract that names it."""
LISTED: Final = (*LINKS.values(), TOKEN, OFFERS)
"""The contracts of which a release is kept."""
_BEGINNING: Final = 256
"""How many blocks are looked at first, and then twice as many again and again, for how a contract was created."""
_WORD: Final = 32
_APPOINTED: Final = keccak(b"OperatorAppointed(address)")
_CREATED: Final = keccak(b"Created(address)")


@dataclass(frozen=True)
class Immutable:
    """Where the code has an immutable. at : places of its words; size : what its type takes of a word [bytes]"""

    at: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class Build:
    """A contract as a release compiled it.

    code : hash of its code, with zeros where its immutables stand
    creation : hash of what creates it, without the arguments, and its length [bytes]
    """

    code: bytes
    creation: tuple[bytes, int]
    immutables: Mapping[str, Immutable]

    @classmethod
    def of(cls, compiled: Contract) -> Build:
        """As the package has it."""
        creation = compiled.bytecode
        return cls(keccak(compiled.runtime), (keccak(creation), len(creation)), _immutables(compiled.immutables))

    @classmethod
    def listed(cls, entry: Mapping[str, Any]) -> Build:
        """From the list of releases."""
        code, creation = (bytes.fromhex(entry[key].removeprefix("0x")) for key in ("code", "creation"))
        return cls(code, (creation, entry["creationBytes"]), _immutables(entry["immutables"]))

    def as_json(self) -> dict[str, Any]:
        """As it stands in the list of releases."""
        (creation, length), places = self.creation, self.immutables.items()
        immutables = {name: {"at": list(each.at), "bytes": each.size} for name, each in places}
        hashes = {"code": f"0x{self.code.hex()}", "creation": f"0x{creation.hex()}", "creationBytes": length}
        return {**hashes, "immutables": immutables}

    def fixed(self, code: bytes) -> dict[str, bytes] | None:
        """What the immutables are in this code, by their names, 32 bytes each; None when the code is another.

        Whoever wrote the code wrote them, too: one that says different things at different places, or more than its
        type holds, makes another code.
        """
        rest, values = bytearray(code), {}
        for name, immutable in self.immutables.items():
            words = {code[at : at + _WORD] for at in immutable.at}
            word = words.pop()
            if words or len(word) != _WORD or any(word[: _WORD - immutable.size]):
                return None
            values[name] = word
            for at in immutable.at:
                rest[at : at + _WORD] = bytes(_WORD)
        return values if keccak(bytes(rest)) == self.code else None

    def creates(self, data: bytes) -> bool:
        """Whether a transaction with this data runs the release's constructor."""
        creation, length = self.creation
        return len(data) >= length and keccak(data[:length]) == creation


@cache
def builds(name: str) -> Mapping[str, Build]:
    """The builds of a contract that are known, by release. Raises LedgerError for a damaged installation."""
    try:
        listed = json.loads((files("commonwatt.ledger") / "artifacts" / "releases.json").read_text("utf-8"))
    except OSError as error:
        raise LedgerError("The list of released contracts is missing from this installation.") from error
    before = {release: Build.listed(each[name]) for release, each in listed.items() if name in each}
    return {THIS: Build.of(contract(name)), **before}


class Contracts:
    """The contracts of one community, from its Settlement on, every one of them a release's, and all of the same.

    releases : those that the contracts looked at can be of
    addresses : of the contracts, by name
    codes : hashes of their code as it stands there, by name

    Raises VerificationError that says which contract differs, or names another than the community's. An asset that is
    no CommunityToken is whose it is, and any ERC-20 token may be the money: nothing is said of it.
    """

    def __init__(self, node: Node, settlement: bytes) -> None:
        self._node = node
        self._fixed = {"settlement": settlement.rjust(_WORD, b"\0")}
        self.releases: set[str] = set(builds(SETTLEMENT))
        self.addresses: dict[str, bytes] = {}
        self.codes: dict[str, bytes] = {}
        for link, name in LINKS.items():
            if link in self._fixed:  # a release may do without
                self.add(name, _address(self._fixed[link]))
        asset = _address(self._fixed.get("asset", ZERO_ADDRESS))
        if asset != ZERO_ADDRESS and self._known(TOKEN, node.code(asset)):
            self.add(TOKEN, asset)

    @property
    def release(self) -> str:
        """The release that they are of; the package's own, where another has the same contracts."""
        return next(release for release in builds(SETTLEMENT) if release in self.releases)

    def add(self, name: str, address: bytes) -> None:
        """Look at one more contract, such as Offers, that has to belong to the community."""
        code, at = self._node.code(address), checksum_address(address)
        where = f"The {name} at {at}"
        _require(bool(code), f"There is no contract at {at} on this chain, where the {name} should be.")
        known, before = self._known(name, code), ", ".join(each for each in builds(name) if each != THIS)
        listed = f" and the releases before it that it knows: {before}" if before else ""
        _require(bool(known), f"{where} has other code than {THIS} of Commonwatt{listed}.")
        same, others = self.releases & known.keys(), " or ".join(sorted(self.releases))
        _require(bool(same), f"{where} is of {' or '.join(known)}, the community's other contracts of {others}.")
        for key, value in sorted(known[min(same)].items(), key=lambda each: each[0] not in LINKS):
            expected = _domain(self._node.chain_id, address).get(key)
            _require(expected in (None, value), f"{where} takes signatures for another chain or contract than its own.")
            if expected is None:
                self._agree(where, key, value)
        self._created(name, address, where, same)
        self.releases, self.addresses[name], self.codes[name] = same, address, keccak(code)

    def _known(self, name: str, code: bytes) -> dict[str, dict[str, bytes]]:
        """The immutables of a contract with this code, by the releases of which it may be."""
        found = {release: build.fixed(code) for release, build in builds(name).items()}
        return {release: values for release, values in found.items() if values is not None}

    def _agree(self, where: str, key: str, value: bytes) -> None:
        """What two contracts of a community both hold is the same: who the others are, and the terms."""
        held = self._fixed.setdefault(key, value)
        if held == value:
            return
        if key not in LINKS:
            raise VerificationError(f"{where} has another {key} than the community's other contracts.")
        one, other = (checksum_address(_address(each)) for each in (value, held))
        raise VerificationError(f"{where} names another {LINKS[key]} than its community's: {one}, not {other}.")

    def _created(self, name: str, address: bytes, where: str, releases: set[str]) -> None:
        """A constructor of others could have stored what no event tells, such as an operator or a balance more."""
        event = _APPOINTED if name == COMMUNITY else _CREATED
        first = self._first(address, event)
        made = self._node.transaction(first.transaction) if first else None
        own = made is not None and not made.to and created_address(made.sender, made.nonce) == address
        by = own and made is not None and any(builds(name)[each].creates(made.data) for each in releases)
        _require(by, f"{where} was created by other code than a release's, which may have stored anything in it.")

    def _first(self, address: bytes, event: bytes) -> Log | None:
        """A contract's oldest such event, looked for from the chain's beginning on, where they mostly are."""
        first, last, head = 0, _BEGINNING, self._node.head.number
        while first <= head:
            if logs := self._node.logs(first, min(last, head), address, event):
                return logs[0]
            first, last = last + 1, 2 * last
        return None


def _domain(chain_id: int, address: bytes) -> Mapping[str, bytes]:
    """The immutables of OpenZeppelin's EIP712, by their names there."""
    domain = Domain(chain_id, address)
    short = {key: text.encode().ljust(_WORD - 1, b"\0") + bytes([len(text)]) for key, text in (
        ("_name", domain.name), ("_version", domain.version),
    )}  # fmt: skip
    return {
        **short,
        "_hashedName": keccak(domain.name.encode()),
        "_hashedVersion": keccak(domain.version.encode()),
        "_cachedChainId": chain_id.to_bytes(_WORD, "big"),
        "_cachedThis": address.rjust(_WORD, b"\0"),
        "_cachedDomainSeparator": domain.separator,
    }


def _immutables(given: Mapping[str, Mapping[str, Any]]) -> dict[str, Immutable]:
    return {name: Immutable(tuple(each["at"]), each["bytes"]) for name, each in given.items()}


def _address(word: bytes) -> bytes:
    return word[-len(ZERO_ADDRESS) :]


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise VerificationError(otherwise)
