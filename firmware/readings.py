"""What a meter signs and what it obeys: EIP-712 digests of `Reading` and `Delivery`.

Both are records of the project, and their type hashes are those of `commonwatt.records` and `commonwatt.meter`;
`tests/meter/` compares the bytes. Source: EIP-712, https://eips.ethereum.org/EIPS/eip-712.
"""

from binascii import unhexlify

from keccak import keccak
from secp256k1 import nothing, recover, sign

# keccak of the types' text: they are constants, and each would cost a permutation for each signature.
READING = unhexlify("83f4976a3ea09eb14b6754ed9da942e8355cf4db301a2d5c3c3ed8048049a5a8")
DELIVERY = unhexlify("b31b7721d026bfffbea6a2e547d18274928efc38b0f37cec7d1f98888906aae6")


def sign_reading(secret, separator, meter, slot, wh_in, wh_out, sequence, pause=nothing):
    """The meter's signature of what it counted in a slot: r‖s‖v, 65 bytes.

    secret : 32 bytes; separator : the community's EIP-712 domain separator, 32 bytes; meter : address, 20 bytes
    slot : start of the slot [unix s]; wh_in, wh_out : energy from and to the grid [Wh]; all of them, and the sequence,
    are at least 0 and below 2^63
    pause : called some 70 times on the way
    """
    return sign(secret, digest(separator, READING, meter, (slot, wh_in, wh_out, sequence)), pause)


def demanded_by(separator, meter, number, mwh, until, signature, pause=nothing):
    """Who signed the demand that meter deliver energy [mWh] until then [unix s]: an address, 20 bytes.

    Raises ValueError when the signature is nobody's.
    """
    return recover(digest(separator, DELIVERY, meter, (number, mwh, until)), signature, pause)


def digest(separator, type_hash, meter, numbers):
    """What is signed of a record that begins with the meter and goes on with numbers, 32 bytes."""
    words = [type_hash, bytes(12), meter]
    for number in numbers:
        if not 0 <= number < 1 << 63:
            raise ValueError("A number that is signed is at least 0 and below 2^63.")
        words.append(number.to_bytes(32, "big"))
    return keccak(b"\x19\x01" + separator + keccak(b"".join(words)))
