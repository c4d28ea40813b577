"""The one tree of errors.

CommonwattError
├── ConfigError            community.toml is wrong; carries every finding
├── DataError              a profile, price or meter file cannot be used
│   └── GapError           it does not cover the slots that were asked for
├── RecordError            a signed record cannot be accepted
│   ├── SignatureError     the signature is not by the key that the record names
│   └── SequenceError      a record number was used before
├── MarketError            a mechanism cannot clear what it was given
│   └── PromiseBroken      what it cleared does not hold what it promises; carries mechanism, slot and check
├── LedgerError            the chain refused, or does not hold what it should
│   ├── NodeError          a node cannot be reached or does not answer as it should; carries its URL
│   ├── Reverted           a contract reverted; carries the custom error's name
│   └── NotAdopted         the members adopted another charter; carries slot and digests
├── ChildError             a process of the service's own does not answer; carries its name
├── BrokerError            the meters' broker cannot be reached, or does not do what it is told; carries its place
├── MeterError             a meter answers, and not as its settings say; carries where it was asked
├── StoreError             the exchange's own file, or what a member's commands remember, cannot be used
├── OutputError            a file that was asked for cannot be written
└── VerificationError      a bill, a clearing, a chain or a contract is not what it claims to be

Every error prints as one sentence that a person can act on, whatever others wrote into it (`plain`).
`exit_code` is what the shell sees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from commonwatt.plain import plain


class CommonwattError(Exception):
    """Root of all errors that a user can cause or meet."""

    exit_code = 1

    def __str__(self) -> str:
        return plain(super().__str__())


@dataclass(frozen=True)
class Finding:
    """One thing wrong in a configuration: where (a dotted key path) and what, as a sentence."""

    path: str
    message: str

    def __str__(self) -> str:
        return plain(f"{self.path}: {self.message}" if self.path else self.message)


class ConfigError(CommonwattError):
    """A configuration has one or more findings; all of them are carried and printed."""

    exit_code = 2

    def __init__(self, source: str, findings: Sequence[Finding]) -> None:
        self.source = source
        self.findings = tuple(findings)
        super().__init__(f"{source} has {len(self.findings)} problem{'s' if len(self.findings) != 1 else ''}")

    def __str__(self) -> str:
        return "\n".join([f"{plain(self.args[0])}:", *(f"  {finding}" for finding in self.findings)])


class DataError(CommonwattError):
    """A profile, price or meter file is missing, malformed, or does not cover the period asked for."""

    exit_code = 3


class GapError(DataError):
    """A price or meter file has no value for a slot that was asked for."""


class RecordError(CommonwattError):
    """A record breaks a rule of its schema, or of the mandate it claims."""

    exit_code = 4


class SignatureError(RecordError):
    """A signature does not recover to the key that the record names."""


class SequenceError(RecordError):
    """A record number was used before, or goes backwards."""


class MarketError(CommonwattError):
    """A mechanism was given something it cannot clear."""

    exit_code = 5


class PromiseBroken(MarketError):
    """A clearing does not hold what its mechanism promises, so it is not to be settled.

    slot : start [unix s]; check : name, such as "limits"; meaning, figure : what is off, and by how much
    told : figure and meaning as a person reads them
    reason : the sentence without slot and figure, so that it is one for all slots with the same fault
    alone : the sentence without slot, where there is only one
    trade : of a check of prices, the trade that is furthest off: `member`, `price` and its `limit` [unit/kWh]
    """

    def __init__(
        self,
        mechanism: str,
        slot: int,
        check: str,
        meaning: str,
        figure: int,
        told: str,
        trade: Mapping[str, int] | None = None,
    ) -> None:
        self.mechanism, self.slot, self.check, self.figure = mechanism, slot, check, figure
        self.trade = dict(trade or {})
        self.reason = f"{mechanism} broke its promise, by {meaning}."
        self.alone = f"{mechanism} broke its promise, by {told}."
        when = f"{datetime.fromtimestamp(slot, UTC):%Y-%m-%d %H:%M} UTC"
        super().__init__(f"{mechanism} broke its promise in the slot of {when}, by {told}.")


class LedgerError(CommonwattError):
    """The chain refused a transaction or does not hold what it should."""

    exit_code = 6


class NodeError(LedgerError):
    """A node cannot be reached, does not answer as one, or puts nothing into blocks: the same may go through later.

    `url` is where it was asked.
    """

    def __init__(self, url: str, sentence: str) -> None:
        self.url = url
        super().__init__(sentence)


class Reverted(LedgerError):
    """A contract reverted.

    `name` is the custom error's name, `arguments` its decoded values.
    """

    def __init__(self, name: str, arguments: Sequence[object] = (), *, doing: str = "the transaction") -> None:
        self.name, self.arguments, self.doing = name, tuple(arguments), doing
        values = ", ".join(map(str, self.arguments))
        super().__init__(f"The contract refused {doing}: {name}({values}).")


class NotAdopted(LedgerError):
    """The members adopted another charter for a slot than the exchange goes by.

    `slot` [unix s] is the first such one, `charter` the digest of the exchange's file, `adopted` that of the members'.
    """

    def __init__(self, slot: int, charter: bytes, adopted: bytes) -> None:
        self.slot, self.charter, self.adopted = slot, charter, adopted
        when = f"{datetime.fromtimestamp(slot, UTC):%Y-%m-%d %H:%M} UTC"
        super().__init__(
            f"From {when} on the members adopted the charter 0x{adopted.hex()}, not the file 0x{charter.hex()}: have "
            "them vote on it, or go by theirs."
        )


class ChildError(CommonwattError):
    """A process that the service starts for itself does not answer. `name` is what it is called."""

    exit_code = 12

    def __init__(self, name: str, sentence: str) -> None:
        self.name = name
        super().__init__(sentence)


class BrokerError(CommonwattError):
    """The broker that meters speak to cannot be started or reached, or does not do what it is told.

    `place` is where it is, such as "192.0.2.7:8883".
    """

    exit_code = 11

    def __init__(self, place: str, sentence: str) -> None:
        self.place = place
        super().__init__(sentence)


class MeterError(CommonwattError):
    """A meter answers, and cannot be read as its settings say; one that is silent, as inverters are at night, is none.

    `place` is where it was asked, such as "192.0.2.7:502".
    """

    exit_code = 10

    def __init__(self, place: str, sentence: str) -> None:
        self.place = place
        super().__init__(sentence)


class StoreError(CommonwattError):
    """The exchange's own file is missing, locked, from another run, or damaged; or what `verify` remembers is."""

    exit_code = 7


class OutputError(CommonwattError):
    """A report, a table or a file of figures that was asked for cannot be written."""

    exit_code = 9


class VerificationError(CommonwattError):
    """A document does not prove what it claims, or a contract is not what it claims to be."""

    exit_code = 8
