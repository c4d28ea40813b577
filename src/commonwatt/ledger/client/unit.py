"""Lane units, in which a community's contract counts: how it stores them, and what one is worth in its currency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from commonwatt.errors import LedgerError
from commonwatt.ledger.client.abi import SETTLEMENT, TOKEN, contract
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.units import MICRO, IntArray

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient

_ETHER_DECIMALS: Final = 18


def lanes(packed: bytes, what: str) -> IntArray:
    """Amounts by member [lane units], of eight bytes each. Raises LedgerError for one that does not fit 63 bits."""
    found = np.frombuffer(packed, dtype=">i8").astype(np.int64)
    if found.size and found.min() < 0:
        raise LedgerError(f"The {what} of member {found.argmin()} does not fit 63 bits.")
    return found


def unit_of(client: LedgerClient) -> int:
    """What one lane unit is worth [micro-currency]: so many base units, of which the asset has 10^decimals.

    Raises LedgerError when that is no whole number of micro-currency.
    """
    asset = bytes(client.view(SETTLEMENT, "asset")[0])
    decimals = _ETHER_DECIMALS
    if asset != ZERO_ADDRESS:
        function = contract(TOKEN).functions["decimals"]
        (decimals,) = function.outputs.decode(client.node.call(asset, function.encode()))
    unit, rest = divmod(client.terms.lane_unit * MICRO, 10**decimals)
    if rest or not unit:
        raise LedgerError("The contract counts money in other steps than millionths of the currency.")
    return int(unit)
