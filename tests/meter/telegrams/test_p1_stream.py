"""P1 telegrams out of a stream: cut anywhere, joined late, in either half of the year."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram_cases import NOON, heard, p1, telegram

from commonwatt.meter.telegrams import Settings, driver
from commonwatt.meter.telegrams.dsmr import LONGEST_LINE, LONGEST_TELEGRAM, Stream, crc16

READER = driver("dsmr", Settings())
NOISE = st.sampled_from([b"", b"\r\n", b"rest)\r\n!ABCD\r\n", b"\x00\xff", b"/cut\r\n1-0:1.8.1(", b"x" * 5000, b"!\n"])


def stream(*pieces: bytes) -> tuple[object, list[object], list[str]]:
    state, samples, complaints = heard(READER, [("", piece, NOON) for piece in pieces])
    return state, list(samples), complaints


@given(parts=st.lists(st.tuples(NOISE, st.integers(0, 999_999)), max_size=3), data=st.data())
def test_any_cut_of_a_stream_gives_the_same_samples_and_complaints(
    parts: list[tuple[bytes, int]], data: st.DataObject
) -> None:
    whole = b"".join(noise + p1(brought=f"{wh // 1000:06d}.{wh % 1000:03d}") for noise, wh in parts)
    cuts = sorted({0, len(whole), *data.draw(st.lists(st.integers(0, len(whole)), max_size=12))})
    pieces = [whole[first:last] for first, last in pairwise(cuts)]
    assert stream(*pieces) == stream(whole)


@given(whole=st.binary(max_size=300), cut=st.integers(0, 300))
def test_any_cut_of_any_bytes_gives_the_same(whole: bytes, cut: int) -> None:
    assert stream(whole[:cut], whole[cut:]) == stream(whole)


def test_byte_by_byte_is_as_good_as_at_once() -> None:
    whole = p1() * 2
    assert stream(*(bytes([byte]) for byte in whole)) == stream(whole)
    assert len(stream(whole)[1]) == 2


def test_who_joins_in_the_middle_waits_for_the_next_telegram_without_complaint() -> None:
    _, samples, complaints = stream(p1()[60:] + p1())
    assert (len(samples), complaints) == (1, [])


def test_a_telegram_that_is_cut_off_is_told_and_the_next_one_read() -> None:
    _, samples, complaints = stream(p1()[:60] + b"\r\n" + p1())
    assert (len(samples), complaints) == (1, ["A telegram was cut off before its end."])


@pytest.mark.parametrize("endless", [b"/" + b"x" * 10, b"/x\n" + b"y\n" * 5, b"\xff" * 9])
def test_a_stream_that_never_ends_a_telegram_is_not_kept(endless: bytes) -> None:
    state, samples, _ = stream(*[endless] * 5000)
    assert samples == []
    assert isinstance(state, Stream)
    assert len(state.line) <= LONGEST_LINE
    assert len(state.telegram) <= LONGEST_TELEGRAM


@given(place=st.integers(0, len(p1()) - 8), bit=st.integers(0, 7))
def test_a_flipped_bit_never_gives_a_sample(place: int, bit: int) -> None:
    broken = bytearray(p1())
    broken[place] ^= 1 << bit
    assert stream(bytes(broken))[1] == []


def test_the_checksum_is_that_of_the_standard() -> None:
    assert crc16(b"123456789") == 0xBB3D


@pytest.mark.parametrize(
    ("stamp", "utc"),
    [
        ("261025015959S", datetime(2026, 10, 24, 23, 59, 59, tzinfo=UTC)),
        ("261025023000S", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("261025023000W", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("261025030000W", datetime(2026, 10, 25, 2, 0, tzinfo=UTC)),
        ("260329015959W", datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)),
        ("260329030000S", datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
    ],
)
def test_the_hour_that_comes_twice_is_told_apart_by_its_letter(stamp: str, utc: datetime) -> None:
    at = int(utc.timestamp() * 1000)
    _, samples, complaints = heard(READER, [("", p1(time=stamp), at + 700)])
    assert (samples[0].at, samples[0].arrived, samples[0].dated, complaints) == (at, at + 700, True, [])


def test_where_winter_is_two_hours_ahead_settings_say_so() -> None:
    reader = driver("dsmr", Settings(winter_minutes=120))
    _, samples, _ = heard(reader, [("", p1(time="260115140000W"), NOON)])
    assert samples[0].at == int(datetime(2026, 1, 15, 12, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize("time", ["", "260615140000"])
def test_a_telegram_without_a_full_time_counts_when_it_arrives(time: str) -> None:
    _, samples, complaints = heard(READER, [("", p1(time=time), NOON)])
    assert (samples[0].at, samples[0].dated, complaints) == (NOON, False, [])


def test_a_clock_that_is_ahead_of_this_machine_still_counts_and_is_told() -> None:
    _, samples, complaints = heard(READER, [("", p1(time="260615150000S"), NOON)])
    assert (samples[0].at, samples[0].dated) == (NOON + 3_600_000, True)
    assert complaints == ["The device's clock is 1 h 0 min ahead of this machine's; set the one that is wrong."]


def test_both_tariffs_are_added_and_power_is_positive_into_the_home() -> None:
    lines = ["1-0:1.8.1(000001.000*kWh)", "1-0:1.8.2(000002.500*kWh)", "1-0:2.8.1(000000.001*kWh)"]
    lines += ["1-0:2.8.2(000000.002*kWh)", "1-0:1.7.0(00.000*kW)", "1-0:2.7.0(01.234*kW)"]
    _, samples, _ = heard(READER, [("", telegram(lines), NOON)])
    assert (samples[0].import_mwh, samples[0].export_mwh, samples[0].power_mw) == (3_500_000, 3_000, -1_234_000)


def test_a_meter_without_tariffs_has_its_total() -> None:
    _, samples, _ = heard(READER, [("", telegram(["1-0:1.8.0(000001.000*kWh)"]), NOON)])
    assert (samples[0].import_mwh, samples[0].export_mwh, samples[0].power_mw) == (1_000_000, None, None)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["1-0:1.8.1(000001.000*kWh)"], "The telegram has 1-0:1.8.1 without the other tariff."),
        (["1-0:1.8.0(000001.000*kWh)"] * 2, "The telegram has 1-0:1.8.0 twice."),
        (["1-0:1.8.0(000001.000*m3)"], "1-0:1.8.0 is '000001.000*m3', which is not in kWh or Wh."),
        (["1-0:1.8.0(000001.000)"], "1-0:1.8.0 is '000001.000', which is not in kWh or Wh."),
        (["1-0:32.7.0(230.0*V)"], "The telegram has no register of energy."),
    ],
)
def test_a_telegram_that_says_too_little_or_too_much_is_told(lines: list[str], sentence: str) -> None:
    assert heard(READER, [("", telegram(lines), NOON)])[1:] == ([], [sentence])
