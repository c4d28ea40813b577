"""Keccak, keys, EIP-712 signatures and Merkle trees. Pure: no file, clock or chance."""

from commonwatt.proof.baskets import sign_basket, verify_order
from commonwatt.proof.keccak import Keccak, keccak
from commonwatt.proof.keys import Key, checksum_address, recover
from commonwatt.proof.merkle import Tree, led_by, places_beside, root_of, root_of_empty
from commonwatt.proof.typed import Domain, hash_struct, sign, type_hash, verify

__all__ = [
    "Domain",
    "Keccak",
    "Key",
    "Tree",
    "checksum_address",
    "hash_struct",
    "keccak",
    "led_by",
    "places_beside",
    "recover",
    "root_of",
    "root_of_empty",
    "sign",
    "sign_basket",
    "type_hash",
    "verify",
    "verify_order",
]
