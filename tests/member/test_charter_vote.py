"""A charter is proposed, voted and comes into force at midnight, by members' commands: on a file and at a node."""

from __future__ import annotations

from pathlib import Path

import pytest
from acting_cases import Place, json_of

from commonwatt.exchange.checking import load
from commonwatt.ledger.chain.embedded import EmbeddedChain

FROM = "2026-07-10"
MIDNIGHT = 1_783_634_400
"""Of that day in Berlin [unix s]; the chain is at 24 June, and a vote takes seven days."""


def other(place: Place, before: str = 'retail = "0.27"', after: str = 'retail = "0.30"') -> Path:
    """The community's file with another price."""
    text = (place.folder.parent / "community.toml").read_text("utf-8")
    assert before in text
    file = place.folder.parent / "new.toml"
    file.write_text(text.replace(before, after), "utf-8")
    return file


@pytest.fixture
def old(place: Place, finished: Path) -> Path:
    """The community's file, beside the place's folder."""
    file = place.folder.parent / "community.toml"
    file.write_text((finished.parent / "community.toml").read_text("utf-8"), "utf-8")
    return file


def test_a_bill_of_yesterday_verifies_after_a_charter_came_into_force(place: Place, old: Path) -> None:
    new, holds = other(place), f"0x{load(old).digest.hex()}"
    digest = f"0x{load(new).digest.hex()}"
    opened = json_of(place.act("propose", 0, "--charter", new, "--from", FROM, "--community", old, "--json", "-"))
    assert (opened["number"], opened["change"]["charter"], opened["change"]["charterFrom"]) == (0, digest, MIDNIGHT)
    assert f"UTC: the charter {digest} from 2026-07-09 22:00:00 UTC on. 0 yes, 0 no of 5." in place.ask("vote", 3).out
    for member in (0, 1, 3):
        assert place.act("vote", member, 0, "yes").code == 0
    assert place.run("execute", 0).out.startswith("What vote 0 decided holds: block ")
    assert place.shown()["config"] == holds
    # Adopted and not yet in force, then in force.
    for seconds in (1, MIDNIGHT + 60):
        if place.ledger.startswith("http"):
            break
        with EmbeddedChain(Path(place.ledger)) as chain:
            chain.seal(max(seconds, chain.head.timestamp + 1))
        verified = json_of(place.ask("verify", 1, "--community", old, "--json", "-"))
        assert [each["config"] for each in verified["charters"]] == [holds]
        told = place.ask("verify", 1).out
        assert f"Under the charter {holds}. The utility's prices" in told
        assert place.ask("verify", 1, "--community", old, "--community", new).code == 0
        code, _, wrong = place.ask("verify", 1, "--community", new)
        assert code == 8
        assert f"is under the charter {holds}, which is none of the files that you named." in wrong
    if not place.ledger.startswith("http"):
        assert place.shown()["config"] == digest
        # Whoever knows one of the files still acts with it.
        assert place.act("vote", 4, "--community", old).code == 0
        assert place.act("vote", 4, "--community", new).code == 0
    third = other(place, 'retail = "0.27"', 'retail = "0.26"')
    code, _, wrong = place.ask("verify", 1, "--community", old, "--community", third)
    assert code == 8
    assert "is no charter of the community" in wrong


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_operators_pass_a_member_s_proposal_on(place: Place, old: Path) -> None:
    new = other(place)
    words = ("propose", "--charter", new, "--from", FROM, "--turnout", 40, "--community", old)
    change = json_of(place.run(*words, "--json", "-", key=place.keys.members[0]))["change"]
    assert (change["turnout"], change["charter"]) == (40, f"0x{load(new).digest.hex()}")
    alone: tuple[tuple[object, ...], ...] = (("--charter", new), ("--from", FROM))
    for half in alone:
        code, _, wrong = place.run("propose", *half, key=place.keys.members[0])
        assert code == 2
        assert "charter: needs --from" in wrong


@pytest.mark.parametrize(
    ("day", "before", "after", "sentence"),
    [
        ("2026-06-30", "0.27", "0.30", "from: is not after the time at which the vote can end, 2026-07-"),
        ("2026-06-15", "0.27", "0.30", "the first day after it is 2026-07-"),
        ("2026-07-02", "0.27", "0.30", ":00 UTC, by two days; the first day after it is 2026-07-04"),
        ("1971-01-01", "0.27", "0.30", "from: is not after the time"),
        ("0", "0.27", "0.30", "from: is a day such as 2026-07-01, not '0'"),
        ("2026-02-30", "0.27", "0.30", "from: is a day such as"),
        (FROM, "0.27", "0.27", "charter: changes nothing: this file holds then"),
        (FROM, '"1h"', '"30min"', "charter: changes the slot length, which no vote can change"),
        (FROM, "EUR", "CHF", "charter: changes the currency, which no vote can change"),
        (FROM, "Europe/Berlin", "Europe/Zurich", "charter: changes the time zone, which no vote can change"),
        (FROM, "Five homes", "Six homes", "charter: changes the name, which no vote can change"),
        (FROM, "kwp = 8", "kwp = 9", "charter: changes the members, which no vote can change"),
        (FROM, "[market.real_time]", '[ledger]\nwindow = "2h"\n[market.real_time]', "changes the ledger, which no"),
        (FROM, "[tariff]", "[tariff", "new.toml has 1 problem"),
    ],
)
@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_charters_that_cannot_be_proposed(
    place: Place, old: Path, day: str, before: str, after: str, sentence: str
) -> None:
    new = other(place, before, after)
    code, told, wrong = place.act("propose", 0, "--charter", new, "--from", day, "--community", old)
    assert (code, told) == (2, "")
    assert sentence in wrong
    assert place.ask("vote", 3).out == "There is nothing to vote on.\n"


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_without_the_file_that_holds_the_bill_is_compared(place: Place, old: Path) -> None:
    for before, after, sentence in (
        ("EUR", "CHF", "charter: changes the currency, which"),
        ("sun = {", "moon = {", "charter: changes the members, which"),
        ('"1h"', '"30min"', "charter: changes the slot length, which"),
    ):
        code, _, wrong = place.act("propose", 0, "--charter", other(place, before, after), "--from", FROM)
        assert code == 2
        assert sentence in wrong
    code, _, wrong = place.act("propose", 0, "--charter", place.folder / "none.toml", "--from", FROM)
    assert code == 2
    assert "none.toml" in wrong
    assert place.act("propose", 0, "--charter", other(place), "--from", FROM).code == 0


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_a_charter_follows_the_one_adopted_before_it(place: Place, old: Path) -> None:
    first = other(place)
    for number, day in enumerate((FROM, FROM)):
        assert place.act("propose", 0, "--charter", first, "--from", day).code == 0
        for member in (0, 1, 3):
            assert place.act("vote", member, number, "yes").code == 0
    assert place.run("execute", 0).code == 0
    code, _, wrong = place.run("execute", 1)  # repeated
    assert code == 6
    assert "InvalidCharter(" in wrong
    second = other(place, 'retail = "0.27"', 'retail = "0.33"')
    code, _, wrong = place.act("propose", 0, "--charter", second, "--from", FROM)
    assert code == 2
    assert "from: is not after the time at which the last adopted charter holds, 2026-07-09 22:00 UTC" in wrong
    assert "the first day after it is 2026-07-11" in wrong
    assert place.act("propose", 0, "--charter", second, "--from", "2026-07-11").code == 0
