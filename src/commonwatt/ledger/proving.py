"""How one's own node proves that an answer is its own: by a secret that only who may read the node's folder has.

Whoever asks sends a challenge that it has not used before; the proof is an HMAC-SHA256 over it and the answer (RFC
2104). So another program that takes the node's place while that is away cannot answer for it.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

CHALLENGE: Final = "x-commonwatt-challenge"
PROOF: Final = "x-commonwatt-proof"
"""Headers of the question and of the answer."""


def proof(secret: str, challenge: str, answer: bytes) -> str:
    """The header's value. answer : the body"""
    return hmac.new(secret.encode(), challenge.encode() + b"\n" + answer, sha256).hexdigest()
