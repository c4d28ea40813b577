"""Messages of real devices and of their makers' pages, each read as it says beside it."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import pytest
from telegram_cases import heard

from commonwatt.meter.telegrams import Settings, driver

CASES = sorted((Path(__file__).parent / "cases").iterdir())
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_a_message_is_read_as_it_is_meant(case: Path) -> None:
    says = tomllib.loads((case / "case.toml").read_text("utf-8"))
    reader = driver(says["driver"], Settings(**says.get("settings", {})))
    ends = "\r\n" if says.get("crlf") else "\n"
    messages = [(each["topic"], each["payload"].replace("\n", ends).encode(), each["at"]) for each in says["messages"]]
    _, samples, complaints = heard(reader, messages)
    assert complaints == []
    assert len(samples) == len(says["samples"])
    for sample, expected in zip(samples, says["samples"], strict=True):
        assert (sample.at, sample.dated) == (expected["at"], expected["dated"])
        for register in ("import_mwh", "export_mwh", "power_mw"):
            found, due = getattr(sample, register), expected.get(register)
            assert (found is None) == (due is None), register
            assert found is None or abs(found - due) <= says["tolerance_mwh"], register


@each_case
def test_every_topic_that_a_device_uses_is_subscribed_to(case: Path) -> None:
    says = tomllib.loads((case / "case.toml").read_text("utf-8"))
    topics = driver(says["driver"], Settings(**says.get("settings", {}))).topics()
    assert {each["topic"] for each in says["messages"]} - {""} <= set(topics)


@each_case
def test_each_case_says_where_its_messages_are_from(case: Path) -> None:
    says = tomllib.loads((case / "case.toml").read_text("utf-8"))
    assert len(says["source"]) > 20
    assert says["read"] >= date(2026, 11, 30)
    assert says["origin"] in ("quoted", "made")
