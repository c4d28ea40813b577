"""The community's books of all months, in a folder: the files as they came, what was settled, and what was sent.

    2026-10/community.toml     as it was when the bills were made, with the files that it names
    2026-10/readings/1/…       the files of the first delivery; 2, 3 … are those that were sent again
    2026-10/settled.sqlite     the exchange's store of the month
    2026-10/bills.json         the bills as they were sent, and the community's page
    2026-10/issued.json        their documents, and their root; written last and once, nothing changes the two

A month goes by the file with which its bills were made; what was begun before that and did not come to its end is begun
anew. Bills that were sent stay as they are: what is settled anew afterwards is on the next ones.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from commonwatt.accounts.document import Anchored, anchored
from commonwatt.billing.lines import Key, Line, MemberBill
from commonwatt.billing.month import Month
from commonwatt.community.model import Community
from commonwatt.errors import RecordError, StoreError
from commonwatt.exchange import rows
from commonwatt.exchange.folder import alone, remove
from commonwatt.exchange.plugins import named_files
from commonwatt.exchange.rules import Rules
from commonwatt.exchange.store import Store
from commonwatt.proof import keccak

FORMAT: Final = "commonwatt-issued/1"
_COMMUNITY: Final = "community.toml"


@dataclass(frozen=True)
class Issued:
    """What was sent for a month.

    on : the date of its documents; next : the number that the next document of the books has
    root : of the bills, 32 bytes in hexadecimal digits
    """

    format: str
    on: date
    next: int
    root: str
    bills: tuple[MemberBill, ...]


_ISSUED: Final = TypeAdapter(Issued)


@dataclass(frozen=True)
class Shelf:
    """A month's folder. It is made when the first delivery is kept."""

    path: Path
    month: Month

    @property
    def community_file(self) -> Path | None:
        """community.toml as the month goes by it; None where there are no bills yet."""
        file = self.path / _COMMUNITY
        return file if self._issued.exists() and file.exists() else None

    def deliveries(self) -> list[list[Path]]:
        """The files of each delivery, in the order in which they came."""
        folders = [folder for folder in self._readings.glob("*") if folder.name.isdecimal()]
        return [sorted(folder.iterdir()) for folder in sorted(folders, key=lambda folder: int(folder.name))]

    def holds(self, files: Sequence[Path]) -> bool:
        """Whether each of these files was delivered before, byte by byte; then it is not what is sent again now."""
        known = {keccak(file.read_bytes()) for delivery in self.deliveries() for file in delivery}
        return bool(known) and all(file.is_file() and keccak(file.read_bytes()) in known for file in files)

    def begin(self, file: Path, community: Community) -> None:
        """Keep the community's file and all that it names, and drop what was settled by another one before.

        Only where there are no bills yet.
        """
        remove(self._settled)
        for name in named_files(community):
            kept = self.path / name
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copyfile(file.parent / name, kept)
        part = self.path / f"{_COMMUNITY}.part"
        shutil.copyfile(file, part)
        part.replace(self.path / _COMMUNITY)

    def keep(self, files: Sequence[Path]) -> None:
        """Keep a delivery, all of it or nothing."""
        self._readings.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = max((int(each.parent.name) for each in self._readings.glob("[0-9]*/*")), default=0) + 1
        part = self._readings / f"{number}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for place, file in enumerate(files):
            shutil.copyfile(file, part / f"{place:02}-{file.name}")
        part.replace(self._readings / str(number))

    def store(self) -> Store:
        """The exchange's store of the month."""
        return Store(self._settled)

    def settled(self, rules: Rules) -> Store:
        """The store of a month that is settled whole. Raises StoreError where it is not, or not any more."""
        if self._settled.exists():
            store = self.store()
            if rows.last_ended(store) + rules.period.seconds == rules.period.end:
                return store
            store.close()
        raise StoreError(
            f"{self._settled} is missing, or not whole; settle {self.month} again first, without --meters: it is made "
            "from the readings that are kept."
        )

    def issued(self) -> Issued | None:
        """What was sent; None before. Raises StoreError when the file is damaged."""
        file = self._issued
        try:
            found = _ISSUED.validate_json(file.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValidationError) as error:
            raise StoreError(f"{file} cannot be read: {str(error).splitlines()[0]}.") from None
        if found.format != FORMAT:
            raise StoreError(f"{file} is of another version ({found.format}) of Commonwatt.")
        return found

    def sent(self) -> tuple[Issued, Anchored] | None:
        """What was sent, with the community's page and the bills; None before.

        Raises StoreError where it is not there any more as it was.
        """
        if (issued := self.issued()) is None:
            return None
        try:
            found = anchored(json.loads(self._sent.read_bytes()))
        except (OSError, ValueError, TypeError, RecordError):
            found = None
        parts = 1 + len(issued.bills)
        if found is None or (found.tree.root.hex(), len(found.contents)) != (issued.root, parts):
            raise StoreError(
                f"{self._sent} is missing, or not as it was sent; put it back: its root is 0x{issued.root}."
            )
        return issued, found

    def issue(self, issued: Issued, contents: Sequence[Mapping[str, Any]]) -> None:
        """Keep what is sent. Once: it is refused where there is something already.

        contents : the community's page and the bills
        """
        if self._issued.exists():
            raise StoreError(f"{self._issued} is there already: bills that were sent are not made again.")
        _write(self._sent, json.dumps(contents, ensure_ascii=True, separators=(",", ":")).encode())
        _write(self._issued, _ISSUED.dump_json(issued, indent=1))

    @property
    def _sent(self) -> Path:
        return self.path / "bills.json"

    @property
    def _issued(self) -> Path:
        return self.path / "issued.json"

    @property
    def _settled(self) -> Path:
        return self.path / "settled.sqlite"

    @property
    def _readings(self) -> Path:
        return self.path / "readings"


def _write(file: Path, content: bytes) -> None:
    """Written whole or not at all, also where the power fails."""
    part = file.with_name(f"{file.name}.part")
    with part.open("wb") as written:
        written.write(content)
        written.flush()
        os.fsync(written.fileno())
    part.replace(file)


@dataclass(frozen=True)
class Archive:
    """The folder of all months."""

    path: Path

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else settles meanwhile, whichever month: numbers of documents count on over all of them.

        Raises StoreError where somebody does, and where a file of the books cannot be read or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with alone(self.path, "are the books that another process settles by; try again when it has ended."):
                yield
        except OSError as error:
            at = f" ({error.filename})" if error.filename else ""
            raise StoreError(f"The books in {self.path} cannot be used: {error.strerror}{at}.") from None

    def shelf(self, month: Month) -> Shelf:
        """The place of a month."""
        return Shelf(self.path / str(month), month)

    def months(self) -> list[Month]:
        """The months whose bills were sent, in order."""
        found = [re.fullmatch("([0-9]{4})-([0-9]{2})", folder.name) for folder in self.path.glob("*")]
        months = sorted(Month(int(name[1]), int(name[2])) for name in found if name)
        return [month for month in months if self.shelf(month).issued()]

    def lines(self) -> dict[tuple[Month, Key], list[tuple[str, Line]]]:
        """All lines that were sent, by the month and what they are for, each with the number of its document."""
        found: dict[tuple[Month, Key], list[tuple[str, Line]]] = {}
        for month in self.months():
            issued = self.shelf(month).issued()
            for document in (each for bill in issued.bills for each in bill.documents) if issued else ():
                for line in document.lines:
                    found.setdefault((line.month, line.key), []).append((document.number, line))
        return found

    def next_number(self) -> int:
        """Of the next document."""
        issued = [self.shelf(month).issued() for month in self.months()]
        return max((each.next for each in issued if each), default=1)


def elsewhere(community: Community) -> list[str]:
    """Files that the community names and the books cannot keep, because they are not beside it or below."""
    return [name for name in named_files(community) if Path(name).is_absolute() or ".." in Path(name).parts]
