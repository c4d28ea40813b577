"""ECDSA over secp256k1 in pure MicroPython: signatures as Ethereum wants them, and whose they are.

A multiple of the generator is the sum of 64 entries of a table, one for each half byte of the scalar. Making the table
takes an ESP32-S3 minutes, so the build makes it (`tools/build_firmware.py`) and it is read from flash, entry by entry.
After each of these 64 windows `pause` is called: a signature takes the better part of a second there, and the relay
must not wait for it. Not constant time.

Points are in Jacobian coordinates: (x, y, z) stands for (x/z², y/z³), and None for the point at infinity.
Sources: SEC 1 and SEC 2, version 2.0; formulas madd-2007-bl and dbl-2009-l of the Explicit-Formulas Database;
RFC 6979 for the nonce; EIP-2 for the low s.
"""

import hashlib

from keccak import keccak

P = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
WINDOWS = 64
# Next to this file: 15 multiples of 16^w · G for each window w, from low to high, as x and y of 32 bytes.
TABLE = __file__.rpartition("/")[0] + "/table.bin" if "/" in __file__ else "table.bin"
_ENTRY = 64


def nothing():
    """The pause of who need not pause."""


def sign(secret, digest, pause=nothing):
    """Deterministic signature of a 32-byte digest: r‖s‖v, 65 bytes, low s, v = 27 or 28.

    secret : 32 bytes between 1 and the order of the curve, else ValueError
    """
    key, message = scalar(secret), int.from_bytes(digest, "big")
    for nonce in _nonces(secret, digest):
        x, y = _affine(_multiple(nonce, pause))
        r = x % N
        s = pow(nonce, N - 2, N) * (message + r * key) % N
        pause()
        if r and s:
            break
    odd = y & 1
    if s > N // 2:
        s, odd = N - s, odd ^ 1
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((27 + odd,))


def recover(digest, signature, pause=nothing):
    """Address of the key that signed `digest`, 20 bytes.

    Raises ValueError when the signature is not 65 bytes r‖s‖v with low s, or is nobody's.
    """
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise ValueError("A signature is 65 bytes r, s, v with v 27 or 28.")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if s > N // 2:
        raise ValueError("The signature has a high s value and is refused because it could be altered.")
    if not (0 < r < N and s):
        raise ValueError("The signature belongs to no key.")
    y = pow(r * r * r + 7, (P + 1) // 4, P)
    if y * y % P != (r * r * r + 7) % P:
        raise ValueError("The signature belongs to no key.")
    if (y & 1) != signature[64] - 27:
        y = P - y
    inverse = pow(r, N - 2, N)
    pause()
    ours = _multiple(-int.from_bytes(digest, "big") * inverse % N, pause)
    point = _add(ours, _times((r, y, 1), s * inverse % N, pause))
    if point is None:
        raise ValueError("The signature belongs to no key.")
    return _address(point)


def address(secret, pause=nothing):
    """The Ethereum address of a secret, 20 bytes. Raises ValueError as `sign` does."""
    return _address(_multiple(scalar(secret), pause))


def scalar(secret):
    """The number that a secret of 32 bytes is. Raises ValueError."""
    key = int.from_bytes(secret, "big")
    if len(secret) != 32 or not 0 < key < N:
        raise ValueError("A private key is 32 bytes between 1 and the order of secp256k1.")
    return key


def hmac_sha256(key, message):
    """HMAC-SHA-256 (RFC 2104) with a key of at most 64 bytes, 32 bytes."""
    key = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def _nonces(secret, digest):
    """The candidates of RFC 6979, section 3.2, in their order."""
    # The digest modulo the order is the RFC's bits2octets.
    seed = secret + (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
    key, value = bytes(32), b"\x01" * 32
    for more in (b"\x00" + seed, b"\x01" + seed):
        key = hmac_sha256(key, value + more)
        value = hmac_sha256(key, value)
    while True:
        value = hmac_sha256(key, value)
        found = int.from_bytes(value, "big")
        if 0 < found < N:
            yield found
        key = hmac_sha256(key, value + b"\x00")
        value = hmac_sha256(key, value)


def _multiple(number, pause):
    """`number` times the generator, for 0 <= number < N."""
    digits, point = number.to_bytes(32, "big"), None
    with open(TABLE, "rb") as table:
        for window in range(WINDOWS):
            byte = digits[31 - (window >> 1)]
            digit = byte >> 4 if window & 1 else byte & 15
            if digit:
                table.seek((window * 15 + digit - 1) * _ENTRY)
                point = _add_affine(point, table.read(_ENTRY))
            pause()
    return point


def _add_affine(point, entry):
    """A point plus an entry of the table, which it never equals or opposes: lower windows add up to less."""
    x2, y2 = int.from_bytes(entry[:32], "big"), int.from_bytes(entry[32:], "big")
    if point is None:
        return x2, y2, 1
    x1, y1, z1 = point
    zz = z1 * z1 % P
    h = (x2 * zz - x1) % P
    slope = (y2 * (z1 * zz % P) - y1) % P
    hh = h * h % P
    hhh = h * hh % P
    v = x1 * hh % P
    x3 = (slope * slope - hhh - 2 * v) % P
    return x3, (slope * (v - x3) - y1 * hhh) % P, z1 * h % P


def _add(one, two):
    """The sum of any two points."""
    if one is None or two is None:
        return one or two
    x1, y1, z1 = one
    x2, y2, z2 = two
    zz1, zz2 = z1 * z1 % P, z2 * z2 % P
    u1, s1 = x1 * zz2 % P, y1 * (z2 * zz2 % P) % P
    h, slope = (x2 * zz1 - u1) % P, (y2 * (z1 * zz1 % P) - s1) % P
    if not h:
        return None if slope else _double(one)
    hh = h * h % P
    hhh, v = h * hh % P, u1 * hh % P
    x3 = (slope * slope - hhh - 2 * v) % P
    return x3, (slope * (v - x3) - s1 * hhh) % P, z1 * z2 % P * h % P


def _double(point):
    """Twice a point that is not at infinity."""
    x, y, z = point
    yy = y * y % P
    four = 4 * x * yy % P
    slope = 3 * x * x % P
    x3 = (slope * slope - 2 * four) % P
    return x3, (slope * (four - x3) - 8 * yy * yy) % P, 2 * y * z % P


def _times(point, number, pause):
    """`number` times a point, for 0 < number < N."""
    small = [None, point]
    for _ in range(14):
        small.append(_add(small[-1], point))
    found = None
    for place in range(WINDOWS - 1, -1, -1):
        if found is not None:
            for _ in range(4):
                found = _double(found)
        found = _add(found, small[(number >> (4 * place)) & 15])
        pause()
    return found


def _affine(point):
    x, y, z = point
    inverse = pow(z, P - 2, P)
    square = inverse * inverse % P
    return x * square % P, y * square * inverse % P


def _address(point):
    x, y = _affine(point)
    return keccak(x.to_bytes(32, "big") + y.to_bytes(32, "big"))[12:]
