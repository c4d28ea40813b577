"""The firmware signs, in MicroPython, the bytes that `proof.sign` gives, and believes whom `proof` believes."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from firmware_cases import Errands, needs_micropython
from hypothesis import given
from hypothesis import strategies as st
from profiles import dear

from commonwatt.errors import SignatureError
from commonwatt.meter.delivery import Delivery
from commonwatt.proof import Domain, Key, keccak, recover, sign, type_hash
from commonwatt.records import Reading
from commonwatt.records.schema import MAX_SIGNED

pytestmark = needs_micropython

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GENERATOR_X = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798
SECRETS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
COUNTS = st.integers(0, MAX_SIGNED)
DIGESTS = st.binary(min_size=32, max_size=32)


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@given(SECRETS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_reading_is_signed_with_the_same_bytes(
    errands: Errands, secret: bytes, chain: int, slot: int, wh_in: int, wh_out: int, number: int
) -> None:
    key, domain = Key(secret), Domain(chain, b"\x09" * 20)
    signed = sign(domain, Reading(key.address, slot, wh_in, wh_out, number), key)
    found = errands.ask("readings.sign_reading", secret, domain.separator, key.address, slot, wh_in, wh_out, number)
    assert unhex(found) == signed.signature


@pytest.mark.parametrize("secret", [1, 2, 15, 16, 1 << 252, ORDER // 2, ORDER - 1])
@pytest.mark.parametrize("digest", [0, 1, ORDER - 1, ORDER, ORDER + 1, (1 << 256) - 1])
def test_the_ends_of_the_range_are_signed_with_the_same_bytes(errands: Errands, secret: int, digest: int) -> None:
    key, data = Key(secret.to_bytes(32, "big")), digest.to_bytes(32, "big")
    assert unhex(errands.ask("secp256k1.sign", key.secret, data)) == key.sign_digest(data)
    assert unhex(errands.ask("secp256k1.address", key.secret)) == key.address


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, ORDER.to_bytes(32, "big"), b"\x01" * 31, b"\x01" * 33])
def test_what_is_no_secret_signs_nothing(errands: Errands, secret: bytes) -> None:
    with pytest.raises(ValueError, match="A private key is 32 bytes"):
        errands.ask("secp256k1.sign", secret, bytes(32))


@pytest.mark.parametrize("number", [-1, 1 << 63])
def test_a_number_that_fits_no_reading_is_not_signed(errands: Errands, number: int) -> None:
    with pytest.raises(ValueError, match="at least 0 and below"):
        errands.ask("readings.sign_reading", b"\x01" * 32, bytes(32), bytes(20), number, 0, 0, 1)


def test_a_signature_pauses_after_each_window(errands: Errands) -> None:
    assert errands.ask("pauses", b"\x07" * 32, bytes(32)) >= 64


def test_a_reading_is_signed_within_15_milliseconds(errands: Errands) -> None:
    arguments = [b"\x07" * 32, bytes(32), bytes(20), 900, 10, 0, 1]
    assert errands.ask("cpu_milliseconds", "@readings.sign_reading", arguments, 20) <= 15


@given(SECRETS, COUNTS, COUNTS, COUNTS)
@dear(2)
def test_a_demand_is_known_by_who_signed_it(errands: Errands, secret: bytes, number: int, mwh: int, until: int) -> None:
    key, domain, meter = Key(secret), Domain(9, b"\x09" * 20), b"\x05" * 20
    signed = sign(domain, Delivery(meter, number, mwh, until), key)
    asked = ("readings.demanded_by", domain.separator, meter, number, mwh, until, signed.signature)
    assert unhex(errands.ask(*asked)) == key.address


def agree(errands: Errands, digest: bytes, signature: bytes) -> None:
    """Both know the same signer, or both know none."""
    try:
        ours = recover(digest, signature)
    except SignatureError:
        with pytest.raises(ValueError, match="signature"):
            errands.ask("secp256k1.recover", digest, signature)
    else:
        assert unhex(errands.ask("secp256k1.recover", digest, signature)) == ours


@given(DIGESTS, st.binary(min_size=32, max_size=32), st.integers(1, ORDER // 2), st.sampled_from([27, 28]))
def test_signatures_that_nobody_made_belong_to_the_same_key_or_to_none(
    errands: Errands, digest: bytes, r: bytes, s: int, v: int
) -> None:
    agree(errands, digest, r + s.to_bytes(32, "big") + bytes([v]))


@pytest.mark.parametrize("r", [0, 1, GENERATOR_X, ORDER - 1, ORDER, (1 << 256) - 1])
@pytest.mark.parametrize("s", [0, 1, ORDER // 2, ORDER // 2 + 1, ORDER - 1, ORDER])
@pytest.mark.parametrize("v", [0, 26, 27, 28, 29, 255])
def test_signatures_at_the_ends_of_the_range_are_judged_alike(errands: Errands, r: int, s: int, v: int) -> None:
    agree(errands, b"\x03" * 32, r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v]))


@pytest.mark.parametrize("length", [0, 64, 66])
def test_signatures_of_another_length_are_judged_alike(errands: Errands, length: int) -> None:
    agree(errands, b"\x03" * 32, b"\x1b" * length)


@pytest.mark.parametrize("v", [27, 28])
@pytest.mark.parametrize("digest", [0, 5, ORDER - 5, ORDER, ORDER + 5])
def test_sums_of_equal_and_of_opposite_points_are_judged_alike(errands: Errands, digest: int, v: int) -> None:
    signature = GENERATOR_X.to_bytes(32, "big") + (5).to_bytes(32, "big") + bytes([v])
    agree(errands, digest.to_bytes(32, "big"), signature)


def test_hashes_of_every_length_are_the_same(errands: Errands) -> None:
    for length in range(300):
        data = bytes(length % 251 for length in range(length))
        assert unhex(errands.ask("keccak.keccak", data)) == keccak(data)


@given(st.binary(min_size=1, max_size=64), st.binary(max_size=200))
@dear(4)
def test_hmac_is_that_of_the_standard_library(errands: Errands, key: bytes, message: bytes) -> None:
    assert unhex(errands.ask("secp256k1.hmac_sha256", key, message)) == hmac.digest(key, message, hashlib.sha256)


def test_type_hashes_are_those_of_the_records(errands: Errands) -> None:
    for name, record in (("READING", Reading), ("DELIVERY", Delivery)):
        assert unhex(errands.ask("bytes_of", f"readings.{name}")) == type_hash(record)
