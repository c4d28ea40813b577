"""Sign-In with Ethereum: the message by which an account proves to a service who it is, read strictly and written.

Sources: ERC-4361 (form and fields), RFC 3986 (authority, URI), RFC 3339 (times), ERC-191 (how wallets sign text).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv6Address
from typing import Final

from commonwatt.errors import RecordError
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import checksum_address, recover

TOLERANCE: Final = 600
"""How far the clock by which a message was issued may be off [s]."""
_ASKS: Final = " wants you to sign in with your Ethereum account:"

# Of RFC 3986; brackets stand around an address of IPv6 alone, which `_has_addresses` reads.
_NAME: Final = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})"
_SEGMENT: Final = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
_SCHEME: Final = r"[A-Za-z][A-Za-z0-9+\-.]*"
_AUTHORITY: Final = rf"(?:(?:{_NAME}|:)*@)?(?:\[[0-9A-Fa-f:.]+\]|{_NAME}*)(?::[0-9]*)?"
_PATH: Final = (
    rf"(?://{_AUTHORITY}(?:/{_SEGMENT}*)*|/(?:{_SEGMENT}+(?:/{_SEGMENT}*)*)?|(?:{_SEGMENT}+(?:/{_SEGMENT}*)*)?)"
)
_REST: Final = rf"(?:\?(?:{_SEGMENT}|[/?])*)?(?:\#(?:{_SEGMENT}|[/?])*)?"
_ORIGIN: Final = re.compile(rf"(?:({_SCHEME})://)?({_AUTHORITY})")
_URI: Final = re.compile(rf"{_SCHEME}:{_PATH}{_REST}")
_STATEMENT: Final = r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;= ]*"
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+\-][0-9]{2}:[0-9]{2})"
)


@dataclass(frozen=True)
class SignIn:
    """What a wallet signs. None is a field that the message does not have.

    domain : authority of the page or program that asks for it, such as "grid.local:8000"
    account : whose it is [address]
    uri : what it is for
    issued_at, expiration_time, not_before : as the message writes them (RFC 3339); `instant` reads them
    """

    domain: str
    account: bytes
    uri: str
    chain_id: int
    nonce: str
    issued_at: str
    scheme: str | None = None
    statement: str | None = None
    expiration_time: str | None = None
    not_before: str | None = None
    request_id: str | None = None
    resources: tuple[str, ...] | None = None

    def __str__(self) -> str:
        """The message, byte by byte."""
        optional = {
            "Expiration Time": self.expiration_time, "Not Before": self.not_before, "Request ID": self.request_id
        }  # fmt: skip
        lines = [
            (f"{self.scheme}://" if self.scheme is not None else "") + self.domain + _ASKS,
            checksum_address(self.account),
            "",
            *([] if self.statement is None else [self.statement]),
            "",
            f"URI: {self.uri}",
            "Version: 1",
            f"Chain ID: {self.chain_id}",
            f"Nonce: {self.nonce}",
            f"Issued At: {self.issued_at}",
            *(f"{name}: {value}" for name, value in optional.items() if value is not None),
            *([] if self.resources is None else ["Resources:", *(f"- {each}" for each in self.resources)]),
        ]
        return "\n".join(lines)

    def check(self, domains: Collection[str], scheme: str, chain_id: int, now: float) -> None:
        """Raise RecordError unless it is for this service, for this chain and for this time.

        domains : authorities that the service is reached by; scheme : https or http; now : its clock [unix s]
        """
        if self.domain not in domains:
            known = " or ".join(sorted(domains))
            raise RecordError(f"The message is for {self.domain}; sign in here at {known}, and nowhere else.")
        origin = f"{scheme}://{self.domain}"
        own = self.uri.startswith(origin) and self.uri[len(origin) :][:1] in ("", "/", "?", "#")
        if self.scheme not in (None, scheme) or not own:
            raise RecordError(f"The message is for {self.uri}; sign in here for {origin}.")
        if self.chain_id != chain_id:
            raise RecordError(f"The message is for chain {self.chain_id}; this community's is {chain_id}.")
        if abs(instant(self.issued_at) - now) > TOLERANCE:
            raise RecordError(
                f"The message was issued at {self.issued_at}, by a clock that is not this exchange's; take the times "
                "that come with the nonce."
            )
        if self.expiration_time is not None and instant(self.expiration_time) <= now:
            raise RecordError(f"The message expired at {self.expiration_time}; sign another one.")
        if self.not_before is not None and instant(self.not_before) > now:
            raise RecordError(f"The message is not valid before {self.not_before}.")


def instant(time: str) -> float:
    """A time of a message [unix s]. Raises ValueError for one that is on no calendar."""
    return datetime.fromisoformat(time.upper()).timestamp()


def digest(text: str) -> bytes:
    """What a wallet signs of a text (`personal_sign`), 32 bytes."""
    said = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n%d" % len(said) + said)


def signer(text: str, signature: bytes) -> bytes:
    """The account whose wallet signed this text (`personal_sign`) [address]. Raises SignatureError."""
    return recover(digest(text), signature)


def read(text: str) -> SignIn:
    """The message. Raises RecordError that names the first line that is not as it has to be."""
    lines = _Lines(text)
    origin = lines.take("", _ASKS, _is_origin, f"a domain, and then:{_ASKS}")
    account = lines.take("", "", _is_account, "an address of 0x and 40 digits, with the checksum of ERC-55")
    lines.take("", "", _matches(""), "nothing")
    statement = lines.statement()
    lines.take("", "", _matches(""), "nothing")
    uri = lines.take("URI: ", "", _is_uri, "a URI")
    lines.take("Version: ", "", _matches("1"), "1")
    chain_id = lines.take("Chain ID: ", "", _matches("0|[1-9][0-9]{0,77}"), "a number")
    nonce = lines.take("Nonce: ", "", _matches("[A-Za-z0-9]{8,}"), "at least 8 letters and digits")
    issued_at = lines.take("Issued At: ", "", _is_time, "a time")
    expiration_time = lines.may("Expiration Time: ", _is_time, "a time")
    not_before = lines.may("Not Before: ", _is_time, "a time")
    request_id = lines.may("Request ID: ", _matches(f"{_SEGMENT}*"), "letters, digits and signs of a path")
    resources = None if lines.may("Resources:", _matches(""), "nothing") is None else lines.resources()
    lines.end()
    scheme, domain = _ORIGIN.fullmatch(origin).groups()  # type: ignore[union-attr]
    return SignIn(
        domain, bytes.fromhex(account[2:]), uri, int(chain_id), nonce, issued_at, scheme, statement, expiration_time,
        not_before, request_id, resources,
    )  # fmt: skip


class _Lines:
    """The lines of a message, taken one after the other."""

    def __init__(self, text: str) -> None:
        self._lines, self._at = text.split("\n"), 0

    def take(self, before: str, after: str, fits: Callable[[str], bool], what: str) -> str:
        """What the next line has between these. Raises RecordError where it does not fit."""
        line = self._lines[self._at] if self._at < len(self._lines) else None
        if line is not None and line.startswith(before) and line.endswith(after):
            found = line[len(before) : len(line) - len(after)]
            if fits(found):
                self._at += 1
                return found
        name = f"'{before}' and {what}" if before else what
        raise RecordError(f"Line {self._at + 1} of a sign-in message has to be {name}.")

    def may(self, before: str, fits: Callable[[str], bool], what: str) -> str | None:
        """What the next line has after this; None where it begins otherwise."""
        if self._at < len(self._lines) and self._lines[self._at].startswith(before):
            return self.take(before, "", fits, what)
        return None

    def statement(self) -> str | None:
        """The statement, which stands between two empty lines and may be empty; None where there is one line less."""
        if self._lines[self._at :][:1] == [""] and self._lines[self._at + 1 :][:1] != [""]:
            return None
        return self.take("", "", _matches(_STATEMENT), "a sentence without other signs than a URI has")

    def resources(self) -> tuple[str, ...]:
        """The URIs of a list."""
        found = list[str]()
        while (each := self.may("- ", _is_uri, "a URI")) is not None:
            found.append(each)
        return tuple(found)

    def end(self) -> None:
        """Raises RecordError where something is left."""
        if self._at < len(self._lines):
            raise RecordError(f"Line {self._at + 1} of a sign-in message is unknown, or not in its place.")


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text) is not None


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    return found is not None and found[2] != "" and _has_addresses(text)


def _is_account(text: str) -> bool:
    return _matches("0x[0-9a-fA-F]{40}")(text) and checksum_address(bytes.fromhex(text[2:])) == text


def _is_uri(text: str) -> bool:
    return _URI.fullmatch(text) is not None and _has_addresses(text)


def _has_addresses(text: str) -> bool:
    """Whether what stands in brackets is an address of IPv6."""
    try:
        return all(IPv6Address(each) for each in re.findall(r"\[(.*?)\]", text))
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    try:
        return _TIME.fullmatch(text) is not None and instant(text) is not None
    except (ValueError, OverflowError):
        return False
