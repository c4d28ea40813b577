"""JSON from others: one reading of it, or none."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonwatt.records.strict_json import DEEPEST, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**77), 10**77) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.booleans())
def test_what_was_written_is_read(value: object, ascii_only: bool, mark: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert loads(("\ufeff" if mark else "") + text, 10**6) == value
    assert loads(text.encode(), 10**6) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": {"c": 2, "c": 2}}', "'c' stands there twice"),
        ('[{"\\u0061": 1, "a": 1}]', "'a' stands there twice"),
        ("[NaN]", "NaN is no number"),
        ("-Infinity", "-Infinity is no number"),
        ("[1.0]", "1.0 is no whole number"),
        ("[1e3]", "1e3 is no whole number"),
        ("9" * 80, "more than 78 digits"),
        ("-" + "9" * 100_000, "more than 78 digits"),
        ('["\\ud83d"]', "a text holds half a character"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "nested more than 64 deep"),
        ('{"a":' * 100_000, "nested more than 64 deep"),
        ("[1, 2", "it breaks off in line 1, before its end"),
        ("[1] [2]", r"it is no JSON \(line 1, column 5\)"),
        ('"a\nb"', r"it is no JSON \(line 1, column 3\)"),
        (b"\xff[]", "it is not UTF-8"),
        ("", "it is empty"),
        (" \n\t", "it is empty"),
        ('{"a": "b', "it breaks off in line 1, before its end"),
        ('{\n"a": 1,\n', "it breaks off in line 2, before its end"),
        ("[1,\n 2,, 3]", r"it is no JSON \(line 2, column 4\)"),
        ("\ufeff\ufeff[]", r"it is no JSON \(line 1, column 1\)"),
        ("[" + "1," * 1000 + "1]", "longer than 1000"),
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read(text: bytes | str, reason: str) -> None:
    longest = 1000 if reason.startswith("longer") else 10**6
    with pytest.raises(ValueError, match=reason):
        loads(text, longest)


def test_brackets_in_texts_are_no_depth() -> None:
    value = ["[" * 1000, '"{\\', {"}": "]" * 1000}]
    assert loads(json.dumps(value), 10_000) == value


@pytest.mark.parametrize("text", ['"\\' * 200_000, '"' * 400_001, "\\" * 400_000, '["' + '\\"' * 200_000])
def test_the_time_grows_with_the_length(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(ValueError, match=r"."):
        loads(text, 10**6)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("text", ["1e400", "1" + "0" * 50 + ".5", "NaN"])
def test_fractions_are_bounded_where_they_are_allowed(text: str) -> None:
    assert loads("[0.25, 1e3, 7]", 100, fractions=True) == [0.25, 1000, 7]
    with pytest.raises(ValueError, match=r"bounds|no number"):
        loads(text, 100, fractions=True)
