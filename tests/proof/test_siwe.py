"""A sign-in message is what ERC-4361 says, byte by byte, and holds for one service, chain and time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from string import ascii_letters, digits
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import RecordError, SignatureError
from commonwatt.proof import Key
from commonwatt.proof.siwe import TOLERANCE, SignIn, instant, read, signer

EXAMPLE = """\
https://example.com:3388 wants you to sign in with your Ethereum account:
0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2

I accept the ExampleOrg Terms of Service: https://example.com/tos

URI: https://example.com:3388/login
Version: 1
Chain ID: 1
Nonce: 32891756
Issued At: 2021-09-30T16:25:24Z
Expiration Time: 2021-09-30T17:25:24.123+00:00
Not Before: 2021-09-30T16:25:24Z
Request ID: some%20id
Resources:
- ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/
- https://[2001:db8::7]/my-web2-claim.json"""
NOW = instant("2021-09-30T16:25:24Z")
WITHOUT_STATEMENT = EXAMPLE.replace("I accept the ExampleOrg Terms of Service: https://example.com/tos\n", "")

NAMES = st.text(ascii_letters + digits + "-._~!$&'()*+,;=", min_size=1, max_size=12)
PATHS = st.lists(NAMES | st.sampled_from(["", ":@", "%2F"]), max_size=3).map("/".join)
PORTS = st.none() | st.integers(0, 65_535)
HOSTS = NAMES | st.ip_addresses(v=6).map("[{}]".format) | st.ip_addresses(v=4).map(str)
DOMAINS = st.builds(
    lambda user, host, port: user + host + ("" if port is None else f":{port}"),
    st.just("") | NAMES.map("{}@".format), HOSTS, PORTS,
)  # fmt: skip
SCHEMES = st.from_regex(r"[A-Za-z][A-Za-z0-9+.\-]{0,5}", fullmatch=True)
URIS = st.builds(
    lambda scheme, domain, path, query, fragment: f"{scheme}://{domain}/{path}{query}{fragment}",
    SCHEMES, DOMAINS, PATHS, st.just("") | PATHS.map("?{}".format), st.just("") | PATHS.map("#{}".format),
) | st.builds("{}:{}".format, SCHEMES, NAMES)  # fmt: skip
TIMES = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | st.sampled_from(
    ["2026-06-15T12:00:00Z", "2026-06-15t12:00:00.1234567z", "2026-06-15T12:00:00-00:30"]
)
MESSAGES = st.builds(
    SignIn,
    domain=DOMAINS,
    account=st.binary(min_size=20, max_size=20),
    uri=URIS,
    chain_id=st.integers(0, 2**256),
    nonce=st.text(ascii_letters + digits, min_size=8, max_size=40),
    issued_at=TIMES,
    scheme=st.none() | SCHEMES,
    statement=st.none() | st.text(ascii_letters + digits + "-._~:/?#[]@!$&'()*+,;= ", max_size=60),
    expiration_time=st.none() | TIMES,
    not_before=st.none() | TIMES,
    request_id=st.none() | NAMES | st.just(""),
    resources=st.none() | st.lists(URIS, max_size=3).map(tuple),
)


@given(MESSAGES)
def test_what_is_written_reads_as_it_was_meant(message: SignIn) -> None:
    assert read(str(message)) == message


@given(MESSAGES, st.data())
def test_what_is_read_is_written_again_byte_by_byte(message: SignIn, data: st.DataObject) -> None:
    """Also where somebody changed the text, unless it is refused."""
    text = str(message)
    place = data.draw(st.integers(0, len(text)))
    changed = text[:place] + data.draw(st.text(max_size=2)) + text[place + data.draw(st.integers(0, 3)) :]
    with suppress(RecordError):
        assert str(read(changed)) == changed


@pytest.mark.parametrize("text", [EXAMPLE, WITHOUT_STATEMENT, EXAMPLE.split("\nResources")[0], f"{EXAMPLE[:-43]}"])
def test_messages_of_the_standard_are_read(text: str) -> None:
    assert str(read(text)) == text


def test_no_statement_is_not_an_empty_one() -> None:
    assert read(WITHOUT_STATEMENT).statement is None
    assert read(WITHOUT_STATEMENT.replace("\n\n\n", "\n\n\n\n")).statement == ""


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("example.com:3388 wants", " wants", 1),
        ("https://example.com:3388 wants", "https:// wants", 1),
        ("example.com:3388 wants", "[::g] wants", 1),
        (" account:", " account: ", 1),
        ("0xC02a", "0xc02a", 2),
        ("0xC02a", "C02a", 2),
        ("6Cc2\n\n", "6Cc2\n", 3),
        ("I accept", "I äccept", 4),
        ("/tos\n\nURI", "/tos\nURI", 5),
        ("URI: https://example.com:3388/login", "URI: example.com", 6),
        ("URI: https://example.com:3388/login", "URI: https://example.com/%zz", 6),
        ("Version: 1", "Version: 2", 7),
        ("Version: 1", "version: 1", 7),
        ("Chain ID: 1", "Chain ID: 01", 8),
        ("Chain ID: 1", "Chain ID: -1", 8),
        ("Nonce: 32891756", "Nonce: 3289175", 9),
        ("Nonce: 32891756", "Nonce: 3289175\u0666", 9),
        ("Issued At: 2021-09-30T16", "Issued At: 2021-09-31T16", 10),
        ("Issued At: 2021-09-30T16", "Issued At: 2021-09-30 16", 10),
        ("24Z\nExpiration", "24\nExpiration", 10),
        ("Not Before: 2021", "Not before: 2021", 12),
        ("Request ID: some%20id", "Request ID: some id", 13),
        ("Resources:\n", "Resources: \n", 14),
        ("- ipfs", "-ipfs", 15),
        ("claim.json", "claim.json\n", 17),
        ("\n", "\r\n", 1),
    ],
)
def test_each_deviation_is_named_by_its_line(old: str, new: str, line: int) -> None:
    with pytest.raises(RecordError, match=rf"^Line {line} of a sign-in message .*\.$"):
        read(EXAMPLE.replace(old, new))


def test_fields_have_one_order() -> None:
    lines = EXAMPLE.split("\n")
    lines[10], lines[11] = lines[11], lines[10]
    with pytest.raises(RecordError, match=r"Line 12 .* not in its place"):
        read("\n".join(lines))


def changed(**fields: Any) -> Callable[[], None]:
    def check() -> None:
        replace(read(EXAMPLE), **fields).check({"example.com:3388", "grid.local"}, "https", 1, NOW)

    return check


def test_a_message_for_this_service_chain_and_time_holds() -> None:
    for fields in (
        {}, {"scheme": None}, {"uri": "https://example.com:3388"}, {"uri": "https://example.com:3388?next=/"},
        {"expiration_time": None, "not_before": None}, {"domain": "grid.local", "uri": "https://grid.local/"},
        {"issued_at": "2021-09-30T16:35:24Z"},
    ):  # fmt: skip
        changed(**fields)()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"domain": "example.com"}, "sign in here at example.com:3388 or grid.local"),
        ({"domain": "example.com:3388@evil.example"}, "for example.com:3388@evil.example"),
        ({"scheme": "http"}, "sign in here for https://"),
        ({"uri": "http://example.com:3388/login"}, "sign in here for https://"),
        ({"uri": "https://example.com:33888/"}, "sign in here for https://"),
        ({"uri": "https://example.com:3388@evil.example/"}, "sign in here for https://"),
        ({"chain_id": 2}, "for chain 2; this community's is 1"),
        ({"issued_at": "2021-09-30T16:14:00Z"}, "take the times"),
        ({"issued_at": "2021-09-30T16:36:00Z"}, "take the times"),
        ({"expiration_time": "2021-09-30T16:25:24Z"}, "expired"),
        ({"not_before": "2021-09-30T16:25:24.001Z"}, "not valid before"),
    ],
)
def test_a_message_for_something_else_does_not(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(RecordError, match=why) as raised:
        changed(**fields)()
    assert str(raised.value).endswith(".")


def test_a_clock_may_be_off_by_minutes() -> None:
    message = read(EXAMPLE.replace("Expiration Time: 2021-09-30T17", "Expiration Time: 2021-09-30T19"))
    message.check({message.domain}, "https", 1, NOW + TOLERANCE)
    with pytest.raises(RecordError):
        message.check({message.domain}, "https", 1, NOW + TOLERANCE + 1)


def test_wallets_sign_the_text_as_it_stands() -> None:
    key = Key.derive(b"siwe", "wallet")
    signed = Account.from_key(key.secret).sign_message(encode_defunct(text=EXAMPLE)).signature
    assert signer(EXAMPLE, bytes(signed)) == key.address
    assert signer(f"{EXAMPLE} ", bytes(signed)) != key.address
    with pytest.raises(SignatureError):
        signer(EXAMPLE, bytes(64))
