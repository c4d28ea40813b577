"""Bills on account of members who trade on net: each reckons its share from what its registers come to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from month_cases import CHAINED, OCTOBER, October, counted, sealed, settled, write_export
from shell import Shell

from commonwatt.billing.outputs import write
from commonwatt.errors import VerificationError
from commonwatt.member import on_account

NETTED = CHAINED.replace('by = "registers"', 'by = "net"')


@pytest.mark.parametrize("key", ["", '\nkey = "static"\nshares = "0.4, 0.1, 0.25, 0.2"'], ids=["pro rata", "static"])
def test_who_trades_on_net_reckons_its_share_too(said: Shell, tmp_path: Path, key: str) -> None:
    text = NETTED.replace('price = "0.1107"', f'price = "0.1107"{key}')
    billed = settled(tmp_path, OCTOBER, [write_export(tmp_path / "a.csv", OCTOBER, counted(OCTOBER, 1))], text)
    write(billed, tmp_path)
    pages = {sheet.bill.member: sheet for sheet in billed.sheets}
    for name in ("anna", "ben", "cleo", "plant"):
        found = said("verify", tmp_path / f"bills/{name}.json", "--card", tmp_path / f"cards/{name}.json")
        assert found.code == 0, found.err
        assert "In each of 745 slots its share is the rule's, less than a Wh off" in found.out
        assert "at the prices of the community's page" in found.out
        content = json.loads((tmp_path / f"bills/{name}.json").read_text())["content"]
        shared = {each["direction"]: sum(each["shared"]) for each in content["netted"]}
        assert sum(shared.values()) > 0
        days = pages[name].days
        assert shared == {"import": sum(day.bought for day in days), "export": sum(day.sold for day in days)}


def less_netted(document: dict[str, Any]) -> None:
    netted = document["content"]["netted"][0]
    place = next(at for at, shared in enumerate(netted["shared"]) if shared > 5)
    netted["shared"][place] -= 2


def netted_otherwise(document: dict[str, Any]) -> None:
    for each in document["content"]["netted"]:
        each["wh"][0] += 1


def more_than_the_registers(document: dict[str, Any]) -> None:
    document["content"]["netted"][0]["wh"][0] += 1


def nothing_netted(document: dict[str, Any]) -> None:
    del document["content"]["netted"]


def less_energy(document: dict[str, Any]) -> None:
    line = document["content"]["documents"][0]["lines"][0]
    line["wh"] -= 1000


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        (less_netted, r"Slot \d+: ben shared \d+ Wh, by the rule it is"),
        (netted_otherwise, "what was netted goes both ways"),
        (more_than_the_registers, "what was netted is not what the registers come to"),
        (nothing_netted, "the bill shares otherwise than the page says"),
        (less_energy, r": local energy is \d+ Wh"),
    ],
)
def test_nor_can_an_operator_make_up_what_was_netted(
    lie: Callable[[dict[str, Any]], None], told: str, tmp_path: Path, october_by: October
) -> None:
    billed = october_by(
        NETTED.replace('collateral = "none"', 'kind = "none"'),
    )
    write(billed, tmp_path)
    document = json.loads((tmp_path / "bills/ben.json").read_text())
    lie(document)
    with pytest.raises(VerificationError, match=told):
        on_account.adds_up(on_account.whole(sealed(document)))
