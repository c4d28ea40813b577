"""How the interface is reached, and how much of it one may use."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from commonwatt.service.api.limits import Allowance

# A thousand homes' readings of a day come from one gateway within a minute.
_PER_ADDRESS: Final = Allowance(rate=20, burst=400)
_PER_ACCOUNT: Final = Allowance(rate=10, burst=200)
# Each is written to the disk, whoever it is.
_SIGN_INS: Final = Allowance(rate=0.2, burst=20)


@dataclass(frozen=True)
class Settings:
    """What an operator decides of the interface, and its clocks.

    domains : authorities that pages and programs reach it by, such as "grid.local" or "192.0.2.7:8000"; whoever signs
        in signs for one of them
    secure : they reach it by TLS alone, here or at a proxy before it
    per_address, per_account : how much may be asked from one address of the network, and by one account
    sign_ins : how often one may sign in from one address
    clock : what members' wallets go by too, also where the market's time is another [unix s]
    ticks : seconds that only go forward
    """

    domains: tuple[str, ...] = ("localhost",)
    secure: bool = False
    per_address: Allowance = _PER_ADDRESS
    per_account: Allowance = _PER_ACCOUNT
    sign_ins: Allowance = _SIGN_INS
    clock: Callable[[], float] = time.time
    ticks: Callable[[], float] = time.monotonic

    @property
    def scheme(self) -> str:
        """Of its addresses."""
        return "https" if self.secure else "http"

    @property
    def cookie(self) -> str:
        """The session's. With this prefix browsers take it from the host itself by TLS alone (RFC 6265bis)."""
        return "__Host-commonwatt" if self.secure else "commonwatt"
