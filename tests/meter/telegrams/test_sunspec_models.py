"""SunSpec's models: where figures are, which way round, and what a device does not have."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram_cases import NOON, device, floats, halves, heard, meter_203, model, payload

from commonwatt.meter.telegrams import Sample, Settings, driver
from commonwatt.meter.telegrams.sunspec import LAYOUTS, Block, choose, span, survey

READER = driver("sunspec", Settings())
COMMON = model(1, 66, {})


def read(words: Sequence[int], settings: Settings | None = None) -> tuple[list[Sample], list[str]]:
    reader = driver("sunspec", settings) if settings else READER
    return heard(reader, [("", payload(words), NOON)])[1:]


def surveyed(memory: dict[int, int]) -> tuple[Block, ...]:
    """A device's models, from words by address."""
    walk = survey()
    wanted = next(walk)
    while True:
        there = all(wanted.address + place in memory for place in range(wanted.words))
        words = [memory[wanted.address + place] for place in range(wanted.words)] if there else None
        try:
            wanted = walk.send(words)
        except StopIteration as end:
            found: tuple[Block, ...] = end.value
            return found


@pytest.mark.parametrize("number", [201, 202, 203, 204])
@pytest.mark.parametrize(("scale", "factor"), [(0, 1000), (-1, 100), (3, 1_000_000)])
def test_a_meter_of_whole_numbers(number: int, scale: int, factor: int) -> None:
    words = [number, *meter_203(70_000, 66_000, -500, scale)[1:]]
    assert read(words) == ([Sample(NOON, 70_000 * factor, 66_000 * factor, -500_000, NOON)], [])


@pytest.mark.parametrize("number", [211, 212, 213, 214])
def test_a_meter_of_floats(number: int) -> None:
    words = model(number, 124, {26: floats(250.5), 58: floats(66_000.5), 66: floats(1.25)})
    assert read(words) == ([Sample(NOON, 1_250, 66_000_500, 250_500, NOON)], [])


@pytest.mark.parametrize("number", [101, 102, 103])
def test_an_inverter_of_whole_numbers_exports_what_it_makes(number: int) -> None:
    words = model(number, 50, {12: 3210, 13: -1, 22: halves(1_234_567), 24: 1})
    assert read(words) == ([Sample(NOON, None, 12_345_670_000, -321_000, NOON)], [])


@pytest.mark.parametrize("number", [111, 112, 113])
def test_an_inverter_of_floats_exports_what_it_makes(number: int) -> None:
    words = model(number, 60, {20: floats(1500), 30: floats(1024)})
    assert read(words) == ([Sample(NOON, None, 1_024_000, -1_500_000, NOON)], [])


def test_a_der_of_the_newer_models_has_both_directions() -> None:
    injected, absorbed = [0, 1, 0, 5], [0, 0, 0, 900]
    words = model(701, 153, {8: 2000, 114: 0, 17: injected, 21: absorbed, 118: -1})
    assert read(words) == ([Sample(NOON, 90_000, (2**32 + 5) * 100, -2_000_000, NOON)], [])


def test_a_meter_that_counts_power_out_of_the_home_is_turned_by_the_settings() -> None:
    samples, _ = read(meter_203(5, 6, 700), Settings(power_reversed=True))
    assert (samples[0].import_mwh, samples[0].export_mwh, samples[0].power_mw) == (5_000, 6_000, -700_000)
    samples, _ = read(meter_203(5, 6, 700), Settings(swapped=True, power_reversed=True))
    assert (samples[0].import_mwh, samples[0].export_mwh, samples[0].power_mw) == (6_000, 5_000, 700_000)
    samples, _ = read(meter_203(5, 6, 700), Settings(swapped=True))
    assert (samples[0].import_mwh, samples[0].export_mwh, samples[0].power_mw) == (6_000, 5_000, -700_000)


@pytest.mark.parametrize(
    "words",
    [
        model(203, 105, {16: 0x8000, 36: halves(1), 44: halves(2)}),
        model(203, 105, {16: 1, 20: 0x8000, 36: halves(1), 44: halves(2)}),
        model(213, 124, {26: [0x7FC0, 0], 58: floats(0.001), 66: floats(0.002)}),
    ],
)
def test_power_that_a_device_does_not_have_is_absent(words: list[int]) -> None:
    samples, complaints = read(words)
    assert (samples[0].power_mw, samples[0].counts, complaints) == (None, True, [])


def test_a_register_that_a_device_does_not_have_is_absent_and_no_zero() -> None:
    words = model(213, 124, {26: floats(1), 58: [0x7FC0, 0], 66: floats(2)})
    assert read(words)[0][0].export_mwh is None
    words = model(701, 153, {17: [0xFFFF] * 4, 21: [0, 0, 0, 7]})
    assert (read(words)[0][0].export_mwh, read(words)[0][0].import_mwh) == (None, 7_000)


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (model(203, 105, {52: 0x8000}), "does not count"),
        (model(213, 124, {58: [0x7F80, 0]}), "infinite"),
        (model(213, 124, {58: floats(-1)}), "negative"),
        (model(213, 124, {58: floats(1e30)}), "more than any meter"),
        (model(203, 50, {}), "50 words where 53 are due"),
        (model(160, 50, {}), "Model 160"),
    ],
)
def test_a_model_that_makes_no_sense_is_told(words: list[int], word: str) -> None:
    samples, complaints = read(words)
    assert samples == []
    assert len(complaints) == 1
    assert word in complaints[0]


@given(number=st.sampled_from(sorted(LAYOUTS)), words=st.lists(st.integers(0, 0xFFFF), min_size=120, max_size=120))
def test_any_words_give_a_sample_or_a_sentence(number: int, words: list[int]) -> None:
    samples, complaints = read([number, 120, *words])
    assert len(samples) + len(complaints) == 1


@pytest.mark.parametrize("base", [40000, 0, 50000])
def test_the_chain_of_models_is_found_at_each_place_where_it_may_begin(base: int) -> None:
    words = device(COMMON, meter_203(1, 2, 3))
    blocks = surveyed({base + place: word for place, word in enumerate(words)})
    assert blocks == (Block(1, base + 2, 66), Block(203, base + 70, 105))


def test_a_device_without_the_marker_has_no_models() -> None:
    assert surveyed({40000 + place: 7 for place in range(200)}) == ()
    assert surveyed({}) == ()


def test_a_chain_that_does_not_end_comes_to_an_end() -> None:
    memory = dict.fromkeys(range(40000, 65536), 0) | {40000: 0x5375, 40001: 0x6E53}
    assert len(surveyed(memory)) == 100
    jump = {40000: 0x5375, 40001: 0x6E53, 40002: 1, 40003: 0xFFFF}
    assert surveyed(jump) == (Block(1, 40002, 0xFFFF),)


@given(words=st.lists(st.integers(0, 0xFFFF), max_size=60))
def test_any_memory_is_walked_through(words: list[int]) -> None:
    memory = {40000: 0x5375, 40001: 0x6E53} | {40002 + place: word for place, word in enumerate(words)}
    assert len(surveyed(memory)) <= 100


def test_a_meter_is_chosen_before_an_inverter_and_a_channel_before_both() -> None:
    blocks = [Block(1, 0, 66), Block(103, 68, 50), Block(203, 120, 105), Block(203, 227, 105)]
    assert choose(blocks, "") == blocks[2]
    assert choose(blocks, "103") == blocks[1]
    assert choose(blocks, "203:1") == blocks[3]
    assert choose(blocks, "203:2") is None
    assert choose(blocks[:1], "") is None


@pytest.mark.parametrize("number", LAYOUTS)
def test_a_model_is_read_in_one_request(number: int) -> None:
    assert span(Block(number, 40070, 200)).words <= 125
