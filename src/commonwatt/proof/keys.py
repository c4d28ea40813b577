"""secp256k1 keys of members, agents, meters, relays and operators."""

from __future__ import annotations

from functools import cached_property

from coincurve import PrivateKey, PublicKey

from commonwatt.errors import SignatureError
from commonwatt.proof.keccak import keccak

# Half the order of secp256k1: a signature with a larger s is malleable and refused, as by the contracts.
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_HALF_ORDER_BYTES = _HALF_ORDER.to_bytes(32, "big")


class Key:
    """A private key. Its representation never shows the secret."""

    def __init__(self, secret: bytes) -> None:
        try:
            if len(secret) != 32:
                raise ValueError
            self._private = PrivateKey(secret)
        except ValueError:
            raise SignatureError("A private key is 32 bytes between 1 and the order of secp256k1.") from None

    @classmethod
    def derive(cls, seed: bytes, purpose: str) -> Key:
        """A key for simulations: the same seed and purpose give the same key."""
        return cls(keccak(seed + purpose.encode()))

    @cached_property
    def address(self) -> bytes:
        """The Ethereum address, 20 bytes."""
        return _address(self._private.public_key)

    @property
    def secret(self) -> bytes:
        """The 32 secret bytes, for a key file only."""
        return self._private.secret

    def sign_digest(self, digest: bytes) -> bytes:
        """Deterministic low-s signature of a 32-byte digest: r‖s‖v, 65 bytes, v = 27 or 28."""
        signature = self._private.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([signature[64] + 27])

    def __repr__(self) -> str:
        return f"Key({checksum_address(self.address)})"


def recover(digest: bytes, signature: bytes) -> bytes:
    """Address of the key that signed `digest`, 20 bytes.

    Raises SignatureError when the signature is not 65 bytes r‖s‖v with low s, or recovers to no key.
    """
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise SignatureError("A signature is 65 bytes r, s, v with v 27 or 28.")
    if signature[32:64] > _HALF_ORDER_BYTES:
        raise SignatureError("The signature has a high s value and is refused because it could be altered.")
    try:
        public = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception for some malformed signatures
        raise SignatureError("The signature belongs to no key.") from error
    return _address(public)


def checksum_address(address: bytes) -> str:
    """EIP-55 text of a 20-byte address.

    >>> checksum_address(bytes.fromhex("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"))
    '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed'
    """
    text = address.hex()
    nibbles = keccak(text.encode()).hex()
    return "0x" + "".join(
        char.upper() if int(nibble, 16) >= 8 else char for char, nibble in zip(text, nibbles, strict=False)
    )


def _address(public: PublicKey) -> bytes:
    return keccak(public.format(compressed=False)[1:])[12:]
