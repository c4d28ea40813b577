import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.errors import SignatureError
from commonwatt.proof import Domain, Key, checksum_address, keccak, recover, sign, verify
from commonwatt.records import Reading, Signed

ORDER_OF_THE_CURVE = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = Key.derive(b"tests", "key")
DIGEST = keccak(b"message")
SIGNATURE = KEY.sign_digest(DIGEST)

secrets = st.integers(1, ORDER_OF_THE_CURVE - 1).map(lambda number: number.to_bytes(32, "big"))
digests = st.binary(min_size=32, max_size=32)


@given(secrets, digests)
def test_a_signature_recovers_to_its_key(secret: bytes, digest: bytes) -> None:
    key = Key(secret)
    signature = key.sign_digest(digest)
    assert recover(digest, signature) == key.address
    assert len(signature) == 65
    assert int.from_bytes(signature[32:64], "big") <= ORDER_OF_THE_CURVE // 2


@given(secrets)
def test_addresses_are_those_of_eth_account(secret: bytes) -> None:
    key = Key(secret)
    assert checksum_address(key.address) == Account.from_key(secret).address
    assert key.secret == secret


def test_the_same_message_has_the_same_signature() -> None:
    assert KEY.sign_digest(DIGEST) == SIGNATURE
    assert Account.unsafe_sign_hash(DIGEST, KEY.secret).signature == SIGNATURE


@given(digests)
def test_a_signature_of_another_message_recovers_to_another_key(digest: bytes) -> None:
    try:
        assert (recover(digest, SIGNATURE) == KEY.address) == (digest == DIGEST)
    except SignatureError:
        assert digest != DIGEST


def test_the_altered_twin_of_a_signature_is_refused() -> None:
    """n - s with the other v signs the same message for the same key, so only the low s may count."""
    s = ORDER_OF_THE_CURVE - int.from_bytes(SIGNATURE[32:64], "big")
    twin = SIGNATURE[:32] + s.to_bytes(32, "big") + bytes([55 - SIGNATURE[64]])
    assert Account._recover_hash(DIGEST, signature=twin) == checksum_address(KEY.address)
    with pytest.raises(SignatureError, match="high s"):
        recover(DIGEST, twin)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 66, 130])
def test_another_length_is_refused(length: int) -> None:
    with pytest.raises(SignatureError, match="65 bytes"):
        recover(DIGEST, (SIGNATURE * 2)[:length])


@pytest.mark.parametrize("v", [0, 1, 2, 26, 29, 30, 37, 255])
def test_another_v_is_refused(v: int) -> None:
    with pytest.raises(SignatureError, match="27 or 28"):
        recover(DIGEST, SIGNATURE[:64] + bytes([v]))


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 1), (1, 0), (0, 0), (ORDER_OF_THE_CURVE, 1), (2**256 - 1, 1), (5, 1)],
    ids=["r=0", "s=0", "both", "r=n", "r beyond", "r on no point"],
)
def test_numbers_that_belong_to_no_key_are_refused(r: int, s: int) -> None:
    with pytest.raises(SignatureError, match="no key"):
        recover(DIGEST, r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\x1b")


@pytest.mark.parametrize(
    "secret",
    [bytes(32), ORDER_OF_THE_CURVE.to_bytes(32, "big"), b"\xff" * 32, b"", b"\x01" * 33],
    ids=["zero", "the order", "beyond", "empty", "too long"],
)
def test_no_key_is_made_of_bytes_that_are_none(secret: bytes) -> None:
    with pytest.raises(SignatureError, match="32 bytes between 1 and the order"):
        Key(secret)


def test_a_key_never_shows_its_secret() -> None:
    assert repr(KEY) == f"Key({checksum_address(KEY.address)})"
    assert KEY.secret.hex() not in repr(KEY) + str(KEY) + f"{KEY}"


def test_derived_keys_depend_on_seed_and_purpose() -> None:
    keys = [Key.derive(seed, purpose).address for seed in (b"one", b"two") for purpose in ("agent", "meter")]
    assert len(set(keys)) == 4
    assert Key.derive(b"one", "agent").address == keys[0]


READING = Reading(KEY.address, 1_780_000_000, 500, 0, 1)
DOMAIN = Domain(1337, bytes(20))


@pytest.mark.parametrize(
    "other",
    [Domain(1, bytes(20)), Domain(1337, b"\x01" * 20), Domain(1337, bytes(20), version="2")],
    ids=["chain", "contract", "version"],
)
def test_a_signature_counts_in_its_own_domain_only(other: Domain) -> None:
    signed = sign(DOMAIN, READING, KEY)
    assert verify(DOMAIN, signed, KEY.address) == signed.hash
    with pytest.raises(SignatureError, match="The Reading is signed by"):
        verify(other, signed, KEY.address)


def test_a_record_changed_after_signing_is_refused() -> None:
    signed = sign(DOMAIN, READING, KEY)
    changed = Signed(Reading(KEY.address, READING.slot, 501, 0, 1), signed.hash, signed.signature)
    with pytest.raises(SignatureError, match="not by"):
        verify(DOMAIN, changed, KEY.address)
