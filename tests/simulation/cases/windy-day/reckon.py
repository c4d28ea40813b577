"""Reckons the windy day in plain loops over whole numbers, without Commonwatt: `python reckon.py > expected.json`.

README.md does the same by hand. Energy is Wh, positive into the home; money is micro-EUR, prices micro-EUR per kWh.
"""

import json
from fractions import Fraction
from typing import Any

MEMBERS = ("anna", "ben", "carla", "dora")
LOAD = {"anna": 2500, "ben": 300, "carla": 400, "dora": 600}
SUN = {"anna": 0, "ben": 2000, "carla": 1600, "dora": 1200}
MARKUP, NETWORK_FEE, CONCESSION_FEE, VAT = 45_000, 10_000, 20_000, Fraction(19, 100)
AGREED, POWER, CAPACITY = 50_000, 500, 1000
HOURS = range(24)
SUNNY = range(10, 16)
Hour = dict[str, Any]


def spot(hour: int) -> int:
    if hour in SUNNY:
        return {10: -30_000, 12: -67_000, 14: -1_000}[hour // 2 * 2]
    return 5_000 if 6 <= hour < 10 else 80_000


def nearest(value: Fraction) -> int:
    """Halves away from zero."""
    whole = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return whole if value >= 0 else -whole


def paid(wh: int, price: int) -> int:
    """Towards zero; wh >= 0."""
    amount = wh * abs(price) // 1000
    return amount if price >= 0 else -amount


def prices(hour: int) -> dict[str, int]:
    feed_in, retail = spot(hour), spot(hour) + MARKUP
    gross = nearest((retail + CONCESSION_FEE) * (1 + VAT))
    ceiling = gross - nearest(NETWORK_FEE * (1 + VAT))
    return {"retail": retail, "feed_in": feed_in, "gross": gross, "ceiling": ceiling, "floor": max(feed_in, 0)}


def in_proportion(total: int, wishes: dict[str, int]) -> dict[str, int]:
    """Floors, then one each to the largest remainders, ties to the first."""
    whole = sum(wishes.values())
    shares = {name: total * wish // whole for name, wish in wishes.items()}
    left = sorted(wishes, key=lambda name: -(total * wishes[name] % whole))
    for name in left[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def day(curtails: tuple[str, ...]) -> dict[str, object]:
    stored, lines = 0, []
    for hour in HOURS:
        price, sun = prices(hour), hour in SUNNY
        made = {name: SUN[name] * sun for name in MEMBERS}
        net = {name: LOAD[name] - made[name] for name in MEMBERS}
        battery = min(POWER, CAPACITY - stored, -net["dora"]) if net["dora"] < 0 else -min(POWER, stored, net["dora"])
        stored, net["dora"] = stored + battery, net["dora"] + battery
        # The day before: the largest surplus serves anna, who alone needs something while the sun shines.
        trades, wanted = [], max(net["anna"], 0)
        if price["floor"] <= AGREED <= price["ceiling"]:
            for seller in sorted(MEMBERS, key=lambda name: net[name]):
                if net[seller] < 0 and wanted:
                    wh = min(-net[seller], wanted)
                    trades.append(("anna", seller, wh, AGREED))
                    wanted -= wh
        # At delivery: who curtails feeds in what it sold, where the utility would have to be paid.
        held = dict.fromkeys(MEMBERS, 0)
        for name in curtails:
            sold = sum(wh for _, seller, wh, _ in trades if seller == name)
            if price["feed_in"] < 0:
                held[name] = max(-net[name] - sold, 0)
                net[name] += held[name]
        # After it: what is left, at the middle of ceiling and floor.
        grid = dict(net)
        for buyer, seller, wh, _ in trades:
            grid[buyer], grid[seller] = grid[buyer] - wh, grid[seller] + wh
        demand = {name: wh for name, wh in grid.items() if wh > 0}
        supply = {name: -wh for name, wh in grid.items() if wh < 0}
        if demand and supply and price["ceiling"] >= price["floor"]:
            local = min(sum(demand.values()), sum(supply.values()))
            buys, sells = in_proportion(local, demand), in_proportion(local, supply)
            assert list(buys) == ["anna"]
            middle = nearest(Fraction(price["ceiling"] + price["floor"], 2))
            for seller, wh in sells.items():
                trades.append(("anna", seller, wh, middle))
                grid["anna"], grid[seller] = grid["anna"] - wh, grid[seller] + wh
        lines.append(
            {"prices": price, "net": net, "held": held, "grid": grid, "trades": [list(trade) for trade in trades]}
        )
    return {"hours": lines, "bills": {name: bill(name, lines) for name in MEMBERS}}


def bill(name: str, lines: list[Hour]) -> dict[str, int]:
    found = charges([line["grid"][name] for line in lines], lines, [local(name, line) for line in lines])
    neighbours = 0
    for line in lines:
        for buyer, seller, wh, price in line["trades"]:
            neighbours += paid(wh, price) * ((buyer == name) - (seller == name))
    alone = charges([line["net"][name] for line in lines], lines, [0] * len(lines))
    return {
        **found,
        "neighbours": neighbours,
        "total": sum(found.values()) + neighbours,
        "without_market": sum(alone.values()),
    }


def local(name: str, line: Hour) -> int:
    return sum(wh * ((buyer == name) - (seller == name)) for buyer, seller, wh, _ in line["trades"])


def charges(grid: list[int], lines: list[Hour], bought: list[int]) -> dict[str, int]:
    energy = sum(paid(max(wh, 0), line["prices"]["retail"]) for wh, line in zip(grid, lines, strict=True))
    feed_in = sum(-paid(max(-wh, 0), line["prices"]["feed_in"]) for wh, line in zip(grid, lines, strict=True))
    network_fee = paid(sum(max(wh, 0) for wh in bought), NETWORK_FEE)
    concession_fee = paid(sum(max(wh, 0) for wh in grid), CONCESSION_FEE)
    vat = nearest(VAT * (energy + network_fee + concession_fee))
    return {
        "energy": energy, "feed_in": feed_in, "network_fee": network_fee, "concession_fee": concession_fee, "vat": vat,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps({"carla holds back": day(("carla",)), "nobody holds back": day(())}, indent=1))
