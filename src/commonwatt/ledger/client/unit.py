"""What one lane unit of a community's contract is worth in its currency, as the contract itself says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from commonwatt.errors import LedgerError
from commonwatt.ledger.client.abi import SETTLEMENT, TOKEN, contract
from commonwatt.ledger.node import ZERO_ADDRESS
from commonwatt.units import MICRO

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient

_ETHER_DECIMALS: Final = 18


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
