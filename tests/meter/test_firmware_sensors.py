"""What the firmware's sensors say of the registers of a metering chip, and of a simulated home."""

from __future__ import annotations

import pytest
from firmware_cases import Errands, needs_micropython

pytestmark = needs_micropython

VRMS, IRMSB, AENERGYA, AENERGYB = 0x31C, 0x31B, 0x31E, 0x31F
UV, UA, HOME_NJ, RELAY_NJ = 38, 10, 42_700_000, -42_700_000
MWH = 3_600_000_000


@pytest.fixture
def chip(errands: Errands) -> Errands:
    errands.ask("Bus", [AENERGYA, AENERGYB], keep="bus")
    errands.ask("@bus.set", AENERGYA, 999)
    errands.ask("sensors.Ade7953", "@bus", UV, UA, HOME_NJ, RELAY_NJ, keep="sensor")
    return errands


def registers(chip: Errands, **values: int) -> None:
    for name, value in values.items():
        chip.ask("@bus.set", globals()[name], value & 0xFFFFFFFF)


def test_the_chip_is_unlocked_right_before_it_is_tuned(chip: Errands) -> None:
    assert chip.ask("@bus.all_written") == [[0x38, 0xFE, "0xad", 16], [0x38, 0x120, "0x0030", 16]]


def test_voltage_current_and_mean_power_are_those_of_the_relays_circuit(chip: Errands) -> None:
    registers(chip, VRMS=6_052_631, IRMSB=1_000_000, AENERGYB=-5)
    chip.ask("@sensor.sample", 1000)
    registers(chip, AENERGYB=-10)
    assert chip.ask("@sensor.sample", 1200) == [229_999, 10_000, 10 * 42_700_000 // 200 // 1000]


def test_the_homes_energy_is_counted_in_each_direction_and_nothing_is_lost_between(chip: Errands) -> None:
    counts = [100, -40, 3, 0, -1, 2_000_000, -700_000]
    for place, count in enumerate(counts):
        registers(chip, AENERGYA=count)
        chip.ask("@sensor.sample", 200 * place)
    energy = sum(count for count in counts if count > 0), -sum(count for count in counts if count < 0)
    assert chip.ask("@sensor.counters") == [each * HOME_NJ // MWH for each in energy]


def test_a_simulated_home_draws_more_while_its_relay_is_on(errands: Errands) -> None:
    errands.ask("Ticks", keep="ticks")
    errands.ask("Relay", "@ticks", keep="relay")
    errands.ask("sensors.Simulated", "@relay", 230_000, [4000, -2000], 10_000, keep="sensor")
    assert errands.ask("@sensor.sample", 0) == [230_000, 0, None]
    errands.ask("@relay.set", 1)
    assert errands.ask("@sensor.sample", 997) == [230_000, 10_000, None]
    assert errands.ask("@sensor.counters") == [230_000 * 14_000 * 997 // MWH, 0]
    errands.ask("@relay.set", 0)
    errands.ask("@sensor.sample", 1994)
    assert errands.ask("@sensor.counters")[1] == 230_000 * 2000 * 997 // MWH
