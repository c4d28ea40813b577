"""The operator's door of a chain that its service runs, and what opens it.

Nothing of a node is here, for whoever knocks need not load one.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from commonwatt.errors import LedgerError
from commonwatt.ledger.keyfile import create
from commonwatt.ledger.network.access import HOST

OPERATOR: Final = "/operator"
"""The door's path."""
SEAL, HOLD = b"seal\n", b"hold\n"
"""What is said on the standard input of an attached chain: to make blocks, or none until it is told to again."""
_TOKEN_FILE: Final = "operator.token"  # noqa: S105 (its name)


def operator_url(port: int) -> str:
    """Where the operator's door of a settable node is."""
    return f"http://{HOST}:{port}{OPERATOR}"


def operator_token(folder: Path) -> str:
    """What opens the operator's door: only who may read the folder's files has it. Raises LedgerError."""
    file = folder / _TOKEN_FILE
    try:
        with suppress(FileExistsError):
            create(file, secrets.token_hex(32), 0o600)
        token = file.read_text("ascii").strip()
        if not re.fullmatch(r"[0-9a-f]{64}", token):
            raise ValueError
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not 64 digits; remove it for another one"
        raise LedgerError(f"The token in {file} cannot be used: {reason}.") from None
    return token
