"""What `verify` believed of a member's bills, remembered from one to the next, as ssh remembers hosts.

Who has no membership card believes the first bill, and from then on every one that names the same chain, block 0,
contract and account; another is refused. A community and a member are known by their names, as a person knows them.
Each has a file of its own, so that what is wrong with one says nothing of the others.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from commonwatt.accounts.document import hex_text
from commonwatt.errors import CommonwattError, OutputError, StoreError, VerificationError
from commonwatt.member.page import require, table
from commonwatt.member.trust import Trust
from commonwatt.proof import keccak
from commonwatt.records import strict_json
from commonwatt.records.schema import to_bytes

FORMAT: Final = "commonwatt-known/1"
STATE: Final = "COMMONWATT_STATE"
"""Names another folder for what Commonwatt remembers of a person's bills."""
_LONGEST: Final = 1 << 16
_LONGEST_NAME: Final = 1000
_NAMED: Final = 24
"""Letters of each name that a file's name shows."""


@dataclass(frozen=True)
class Remembered:
    """What was believed of a member's bill.

    community, member : their names, as the bill has them
    chain, genesis, settlement, account : its number, and the others as text of bytes
    """

    community: str
    member: str
    chain: int
    genesis: str
    settlement: str
    account: str

    @classmethod
    def of(cls, content: Mapping[str, Any], trust: Trust) -> Remembered:
        """What a bill's content and the chain behind it say. Raises VerificationError when it names nobody."""
        names = name_of(content)
        where = trust.place
        return cls(*names, where.chain_id, *map(hex_text, (where.genesis, trust.settlement, trust.account)))

    def differences(self, other: Remembered) -> str:
        """What this one has otherwise than an earlier one, in words."""
        words = {"chain": "chain", "genesis": "block 0", "settlement": "contract Settlement", "account": "account"}
        pairs = ((word, getattr(self, key), getattr(other, key)) for key, word in words.items())
        return "; ".join(f"{word} {own}, before {before}" for word, own, before in pairs if own != before)


class Known:
    """The folder of what is remembered; it need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, community: str, member: str) -> Path:
        """Where a member of a community is remembered; spellings that look alike share it."""
        alike = [" ".join(unicodedata.normalize("NFKC", name).casefold().split()) for name in (community, member)]
        shown = "_".join(re.sub(r"[^A-Za-z0-9]+", "-", name)[:_NAMED].strip("-") for name in alike)
        return self.folder / f"{shown}-{keccak(json.dumps(alike).encode())[:8].hex()}.json"

    def find(self, community: str, member: str) -> Remembered | None:
        """What is remembered; None = nothing. Raises StoreError when it cannot be read."""
        return read(self.file(community, member))

    def require_same(self, told: Remembered) -> None:
        """Raise VerificationError when something else is remembered of the same names. Raises StoreError, too."""
        before = self.find(told.community, told.member)
        if before is None or not (changed := told.differences(before)):
            return
        raise VerificationError(
            f"THIS IS NOT THE COMMUNITY THAT YOU KNOW: the bill of {told.member} in {told.community} is of another one "
            f"than those that were verified here before ({changed}). Somebody may have made it up. Ask your operators, "
            "by another way than the one on which the bill came, and use your membership card with --card. If "
            "they did begin anew, or you let your account be replaced, have the earlier one forgotten by `commonwatt "
            f"forget` with this bill. It is remembered in {self.file(told.community, told.member)}."
        )

    def remember(self, told: Remembered) -> Remembered | None:
        """Keep it, whole or not at all, where its owner alone can read it; returns what was known before.

        Raises StoreError when that cannot be read, OutputError when this cannot be written; what was there stays then.
        """
        before = self.find(told.community, told.member)
        if before == told:
            return before
        file = self.file(told.community, told.member)
        part = file.with_suffix(f".{os.getpid()}.part")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
                json.dump({"format": FORMAT, **asdict(told)}, opened, indent=2)
            part.replace(file)
        except OSError as error:
            raise OutputError(f"{file} cannot be written: {error.strerror}.") from None
        return before

    def forget(self, community: str, member: str) -> bool:
        """Whether there was something to forget. Raises OutputError when it cannot be removed."""
        file = self.file(community, member)
        try:
            file.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise OutputError(f"{file} cannot be removed: {error.strerror}.") from None
        return True

    @property
    def files(self) -> list[Path]:
        """Of all that is remembered."""
        return sorted(self.folder.glob("*.json"))


def at_home(environment: Mapping[str, str] = os.environ) -> Known:
    """What is remembered for this person: below COMMONWATT_STATE, or where the XDG base directories have it.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/
    Raises StoreError where there is no home.
    """
    if named := environment.get(STATE):
        return Known(Path(named) / "known")
    state = environment.get("XDG_STATE_HOME", "")
    try:
        base = Path(state) if Path(state).is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError:
        raise StoreError(f"There is no home folder to remember in; name a folder by {STATE}.") from None
    return Known(base / "commonwatt" / "known")


def name_of(content: Mapping[str, Any]) -> tuple[str, str]:
    """Names of community and member of a bill. Raises VerificationError when it has none."""
    names = content.get("community"), content["member"].get("id")
    named = all(isinstance(each, str) and len(each) <= _LONGEST_NAME for each in names)
    require(named, "The document does not name its community and its member, or by more than a thousand letters.")
    return str(names[0]), str(names[1])


def read(file: Path) -> Remembered | None:
    """What a file remembers; None where there is none. Raises StoreError when it cannot be read."""
    keys = [field.name for field in fields(Remembered)]
    try:
        with file.open("rb") as opened:
            given = strict_json.loads(opened.read(_LONGEST + 1), _LONGEST)
        said = dict(table(given, ("format", *keys), "it"))
        require(said.pop("format") == FORMAT, f"its format is not {FORMAT}")
        require(isinstance(said["community"], str) and isinstance(said["member"], str), "a name is no text")
        require(type(said["chain"]) is int, "the chain is no number")
        for key, size in (("genesis", 32), ("settlement", 20), ("account", 20)):
            to_bytes(said[key], size)
        return Remembered(**said)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, CommonwattError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        raise StoreError(
            f"What was believed of earlier bills cannot be read from {file}: {why}. Mend the file, or move it away."
        ) from None
