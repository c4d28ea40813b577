"""Virtual meters: what each generator makes is signed, checked and kept beside the home's, and settles nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from by_slot import proven, verify_bill
from exchange_cases import COMMUNITY, START, begin, exchange_of, homes_of, short_days, snapshot, written

from commonwatt.errors import Reverted, SignatureError
from commonwatt.exchange import tables
from commonwatt.exchange.states import Readings
from commonwatt.exchange.steps import witnessed
from commonwatt.exchange.told import told
from commonwatt.ledger.client.abi import COMMUNITY as CONTRACT
from commonwatt.meter import SimulatedMeter
from commonwatt.proof import Domain, Key, recover
from commonwatt.records import Reading, Signed
from commonwatt.simulation.api import simulate
from commonwatt.simulation.homes import Homes
from commonwatt.units import MAX_ORDER_WH

METERED = f"{COMMUNITY}\n[ledger]\ngenerator_meters = true\n"
SUN, ROOF = 0, 1
GENERATOR = 2
DOMAIN = Domain(2024, bytes(19) + b"\1")
SLOT = 9_000
KEYS = {member: Key.derive(b"generators", str(member)) for member in (2, 5)}
METERS = {member: key.address for member, key in KEYS.items()}


def reading(member: int, slot: int = SLOT, net: int = -700, sequence: int = 8) -> Signed[Reading]:
    return SimulatedMeter(KEYS[member], DOMAIN).read(slot, max(net, 0), max(-net, 0), sequence)


def test_generators_are_metered_beside_their_homes(tmp_path: Path) -> None:
    with short_days():
        result = simulate(written(tmp_path, METERED), START)
    exchange, keys, client = exchange_of(result), homes_of(result).keys, result.books.client
    assert client
    assert keys.generators.keys() == {SUN, ROOF}
    for member, key in keys.generators.items():
        device = keys.inverters[member].address
        assert client.view(CONTRACT, "devices", device) == (member, GENERATOR, False, key.address)
        assert client.view(CONTRACT, "deviceOfMeter", key.address) == (device,)
        assert client.view(CONTRACT, "memberOfMeter", key.address) == (member,)
        with pytest.raises(Reverted, match="UnknownMeter"):
            client.home_of_meter(key.address, result.period.start)
    assert len({*keys.meters, *keys.generators.values(), *keys.inverters.values()}) == 5 + 2 + 2
    made = result.arrays["generation"] - result.arrays["curtailed"]
    rows = exchange.store.rows(tables.generators)
    assert [(row.slot, row.member) for row in rows] == [(s, m) for s in result.period.starts for m in (SUN, ROOF)]
    for row in rows:
        assert (row.wh_in, row.wh_out) == (0, made[row.member, (row.slot - result.period.start) // 3600])
        assert recover(exchange.domain.digest(row.hash), row.signature) == keys.generators[row.member].address
    assert sum(row.wh_out for row in rows) == made.sum() > 0
    assert "generator not read" not in {entry.what for entry in exchange.store.rows(tables.journal)}
    assert all(verify_bill(bill, client) for bill in proven(result.books, result.bills))
    result.close()


def test_no_trade_settles_by_them(tmp_path: Path) -> None:
    with short_days():
        without, with_ = (simulate(written(tmp_path / name, text), START) for name, text in PAIR.items())
    assert with_.trades.equals(without.trades)
    assert with_.flows.equals(without.flows)
    assert exchange_of(with_).client.balances().tolist() == exchange_of(without).client.balances().tolist()
    without.close()
    with_.close()


PAIR = {"without": COMMUNITY, "with": METERED}


def test_a_run_that_was_killed_goes_on_with_them(tmp_path: Path) -> None:
    with short_days():
        whole = simulate(written(tmp_path / "whole", METERED), START)
        broken = begin(tmp_path / "broken", METERED)
        for _ in range(5):
            broken.advance()
        broken.close()
        resumed = begin(tmp_path / "broken", METERED).run()
    assert snapshot(resumed) == snapshot(whole)
    assert resumed.exchange.store.rows(tables.generators) == whole.exchange.store.rows(tables.generators)
    whole.close()
    resumed.close()


def test_without_a_ledger_nobody_signs(tmp_path: Path) -> None:
    with short_days():
        result = simulate(written(tmp_path, METERED), START, ledger="none")
    assert type(result.simulated) is Homes
    assert not result.exchange.store.rows(tables.generators)
    result.close()


BAD: dict[str, tuple[dict[int, Signed[Reading]], str]] = {
    "missing": ({}, "no reading came"),
    "of another key": ({5: replace(reading(2), record=replace(reading(2).record, meter=METERS[5]))}, "is signed by"),
    "of another generator": ({5: reading(2)}, "is signed by"),
    "not numbered": ({5: reading(5, sequence=0)}, "sent reading number 0 again; the next is 1 or later"),
    "replayed from another ledger": (
        {5: SimulatedMeter(KEYS[5], Domain(1, bytes(20))).read(SLOT, 0, 700, 8)},
        "is signed by",
    ),
    "early": ({5: reading(5, SLOT + 900)}, "reports slot 9900 where slot 9000 is due"),
    "late": ({5: reading(5, SLOT - 900)}, "reports slot 8100 where slot 9000 is due"),
    "overflowing": ({5: reading(5, net=-(MAX_ORDER_WH + 1))}, "reports more than"),
    "without a signature": ({5: replace(reading(5), signature=b"")}, "65 bytes"),
    "altered": ({5: replace(reading(5), record=replace(reading(5).record, wh_out=701))}, ""),
}


@pytest.mark.parametrize("name", BAD)
def test_a_reading_that_cannot_be_believed_is_left_out_alone(name: str) -> None:
    bad, reason = BAD[name]
    found = witnessed({2: reading(2), **bad}, METERS, SLOT, DOMAIN)
    assert dict(found.believed) == {2: reading(2)}
    assert found.refused.keys() == {5}
    assert reason in found.refused[5]


def test_a_reading_of_no_generator_is_not_looked_at() -> None:
    found = witnessed({2: reading(2), 5: reading(5), 9: reading(5)}, METERS, SLOT, DOMAIN)
    assert found.believed.keys() == {2, 5}
    assert not found.refused


@pytest.mark.parametrize("lie", ["silent", "forged"])
def test_a_slot_settles_without_what_its_generators_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    with short_days():
        honest = simulate(written(tmp_path / "honest", METERED), START)
        run = begin(tmp_path / "lying", METERED)
    homes = homes_of(run)
    true: Callable[..., dict[int, Signed[Reading]]] = homes.read_generators

    def false(slot: int, *rest: object) -> dict[int, Signed[Reading]]:
        given = true(slot, *rest)
        del given[SUN]
        return given if lie == "silent" else given | {SUN: given[ROOF]}

    monkeypatch.setattr(homes, "read_generators", false)
    result = run.run()
    assert snapshot(result) == snapshot(honest)
    assert {row.member for row in result.exchange.store.rows(tables.generators)} == {ROOF}
    entries = [entry for entry in result.exchange.store.rows(tables.journal) if entry.what == "generator not read"]
    assert len(entries) == result.period.count
    assert {json.loads(entry.detail)["member"] for entry in entries} == {SUN}
    honest.close()
    result.close()


def test_a_home_is_not_settled_by_its_generator_s_meter(tmp_path: Path) -> None:
    with short_days():
        run = begin(tmp_path, METERED)
        run.advance()
        homes, event = homes_of(run), run.exchange.next
    assert event
    slot = event.at - 3600
    net = homes.deliver(told(run.exchange.committed[slot]))["net"]
    honest = homes.read(slot, net)
    swapped = (homes.generators[SUN].read(slot, 0, int(-net[SUN]), 1), *honest.signed[1:])
    with pytest.raises(SignatureError):
        run.exchange.end_slot(event, Readings(net, swapped))  # type: ignore[arg-type]
    assert not run.exchange.store.rows(tables.readings)
    run.close()
