"""Keccak-256 as Ethereum uses it, in MicroPython's viper: words of 32 bits, as the ESP32-S3 has them.

Source: G. Bertoni et al., The Keccak reference, version 3.0, 2011; padded as in Ethereum, with a 1, not SHA-3's 01.
"""

from array import array

import micropython

_RATE = 136
# Lanes in the order in which rho and pi move them, starting from lane 1, and by how many bits each is turned.
_LANES = bytes((10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1))
_TURNS = bytes((1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44))

# The constants of the 24 rounds, the lower half first.
_ROUNDS = array("I", (
    0x1, 0x0, 0x8082, 0x0, 0x808a, 0x80000000, 0x80008000, 0x80000000,
    0x808b, 0x0, 0x80000001, 0x0, 0x80008081, 0x80000000, 0x8009, 0x80000000,
    0x8a, 0x0, 0x88, 0x0, 0x80008009, 0x0, 0x8000000a, 0x0,
    0x8000808b, 0x0, 0x8b, 0x80000000, 0x8089, 0x80000000, 0x8003, 0x80000000,
    0x8002, 0x80000000, 0x80, 0x80000000, 0x800a, 0x0, 0x8000000a, 0x80000000,
    0x80008081, 0x80000000, 0x8080, 0x80000000, 0x80000001, 0x0, 0x80008008, 0x80000000,
))  # fmt: skip


def keccak(data):
    """Hash of `data` [bytes], 32 bytes."""
    padded = bytearray(data)
    padded.extend(bytes(_RATE - len(data) % _RATE))
    padded[len(data)] ^= 0x01
    padded[-1] ^= 0x80
    state, scratch = array("I", bytes(200)), array("I", bytes(40))
    for start in range(0, len(padded), _RATE):
        _absorb(state, memoryview(padded)[start : start + _RATE], _RATE)
        _permute(state, scratch, _ROUNDS, _LANES, _TURNS)
    # Both targets, the ESP32-S3 and x86-64, have the low byte of a word first.
    return bytes(memoryview(state))[:32]


@micropython.viper
def _absorb(state: ptr8, block: ptr8, size: int):
    place = 0
    while place < size:
        state[place] ^= block[place]
        place += 1


@micropython.viper
def _permute(state: ptr32, column: ptr32, rounds: ptr32, lanes: ptr8, turns: ptr8):
    # A lane is two words, the lower half first. What is shifted left may keep bits above the 32nd where words are
    # wider; storing cuts them off, so nothing is shifted right before it was stored.
    at = 0
    while at < 48:
        x = 0
        while x < 10:
            column[x] = state[x] ^ state[x + 10] ^ state[x + 20] ^ state[x + 30] ^ state[x + 40]
            x += 1
        x = 0
        while x < 10:
            y = x + 2 if x < 8 else 0
            z = x - 2 if x > 0 else 8
            low = uint(column[y])
            high = uint(column[y + 1])
            more_low = uint(column[z]) ^ (low << 1) ^ (high >> 31)
            more_high = uint(column[z + 1]) ^ (high << 1) ^ (low >> 31)
            y = x
            while y < 50:
                state[y] = int(uint(state[y]) ^ more_low)
                state[y + 1] = int(uint(state[y + 1]) ^ more_high)
                y += 10
            x += 2
        low = uint(state[2])
        high = uint(state[3])
        x = 0
        while x < 24:
            y = lanes[x] << 1
            turn = uint(turns[x])
            next_low = uint(state[y])
            next_high = uint(state[y + 1])
            if turn < uint(32):
                state[y] = int((low << turn) | (high >> (uint(32) - turn)))
                state[y + 1] = int((high << turn) | (low >> (uint(32) - turn)))
            else:
                turn -= uint(32)
                state[y] = int((high << turn) | (low >> (uint(32) - turn)))
                state[y + 1] = int((low << turn) | (high >> (uint(32) - turn)))
            low = next_low
            high = next_high
            x += 1
        x = 0
        while x < 50:
            y = 0
            while y < 10:
                column[y] = state[x + y]
                y += 1
            y = 0
            while y < 10:
                z = y + 2 if y < 8 else y - 8
                turn_z = y + 4 if y < 6 else y - 6
                state[x + y] = column[y] ^ ((column[z] ^ -1) & column[turn_z])
                y += 1
            x += 10
        state[0] ^= rounds[at]
        state[1] ^= rounds[at + 1]
        at += 2
