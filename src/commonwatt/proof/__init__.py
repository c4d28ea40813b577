"""Keccak, keys, EIP-712 signatures and Merkle trees. Pure: no file, clock or chance."""

from commonwatt.proof.baskets import sign_basket, verify_order
from commonwatt.proof.keccak import keccak
from commonwatt.proof.keys import Key, checksum_address, recover
from commonwatt.proof.merkle import Tree, border_of, proofs_of, root_of, root_of_empty
from commonwatt.proof.typed import Domain, hash_struct, sign, type_hash, verify

__all__ = [
    "Domain",
    "Key",
    "Tree",
    "border_of",
    "checksum_address",
    "hash_struct",
    "keccak",
    "proofs_of",
    "recover",
    "root_of",
    "root_of_empty",
    "sign",
    "sign_basket",
    "type_hash",
    "verify",
    "verify_order",
]
