"""A day of three homes, some of whose readings come late or never."""

from __future__ import annotations

from exchange_cases import HEAD, TARIFF, exchange_of

from commonwatt.simulation.result import Result

HOMES = """
[members]
sun = { load = "simbench:H0-A", annual_kwh = 2000, pv = { profile = "simbench:PV1", kwp = 8 }, \
battery = { kwh = 5, kw = 2.5 } }
roof = { load = "simbench:H0-B", annual_kwh = 3000, pv = { profile = "simbench:PV3", kwp = 5 } }
flat = { load = "simbench:H0-C", annual_kwh = 9000 }
"""
MARKETS = {
    "a price, then a pool": """
[market.day_ahead]
mechanism = "fixed"
gate = "12:00"
price = "0.20"

[market.real_time]
mechanism = "sdr"
""",
    "an auction": '\n[market.day_ahead]\nmechanism = "uniform"\ngate = "12:00"\n',
    "a pool": '\n[market.real_time]\nmechanism = "sdr"\n',
    "agreements, then a key": """
[market.neighbours]
mechanism = "bilateral"
gate = "12:00"
roles = "free"

[market.key]
mechanism = "sharing-key"
key = "static"
""",
}


def text(
    market: str = "a price, then a pool",
    late: str = "30 %",
    silent: str = "0 %",
    *,
    window: str = "0s",
    corrections: str = "7d",
    seed: str = "a",
    collateral: str = "20",
) -> str:
    homes = HOMES.replace("[members]", f'[defaults]\ncollateral = "{collateral}"\n\n[members]')
    ledger = f'\n[ledger]\nwindow = "{window}"\ncorrections = "{corrections}"\n'
    simulation = f'\n[simulation]\nlate = "{late}"\nsilent = "{silent}"\n'
    return HEAD + f'seed = "{seed}"\n' + TARIFF + MARKETS[market] + ledger + simulation + homes


def moved(result: Result) -> list[int]:
    """What the run has moved on each balance, by the contract."""
    members = result.community.members
    return [
        balance - member.collateral
        for balance, member in zip(exchange_of(result).client.balances().tolist(), members, strict=True)
    ]
