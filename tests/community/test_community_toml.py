"""community.toml: what is read, and what is said about a file that is wrong."""

from __future__ import annotations

import re
from datetime import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from commonwatt.community.billing import PartyTable
from commonwatt.community.model import PV, Battery, LedgerChoice, Load, Owner, Stage, Terms
from commonwatt.community.points import PointTable
from commonwatt.community.roles import Role
from commonwatt.community.schema import (
    SECTIONS,
    BandTable,
    BatteryTable,
    HeatPumpTable,
    LevyTable,
    MandateTable,
    PriceFileTable,
    PVTable,
    VatTable,
)
from commonwatt.community.table import Table
from commonwatt.community.tariff import Band, Flat, Levy, PriceFile, Rate, TimeOfUse
from commonwatt.community.toml import draft, parse
from commonwatt.errors import ConfigError

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/community-toml.md"
GOOD = (HERE / "good.toml").read_text()


def broken_files() -> list[tuple[str, str, list[str]]]:
    cases = (HERE / "broken.txt").read_text().split("\n\n")[1:]
    unescaped = [case.strip("\n").replace("\\n", "\0").split("\n") for case in cases]
    lines = [[line.replace("\0", "\n") for line in case] for case in unescaped]
    return [(case[0][2:], case[1][2:], [line[2:] for line in case[2:]]) for case in lines]


@pytest.mark.parametrize(("old", "new", "expected"), broken_files())
def test_each_mistake_is_told_in_one_sentence(old: str, new: str, expected: list[str]) -> None:
    assert GOOD.count(old) >= 1
    broken = GOOD.replace(old, new, 1)
    with pytest.raises(ConfigError) as caught:
        parse(broken, "village.toml")
    assert [str(finding) for finding in caught.value.findings] == expected
    assert str(caught.value).startswith(f"village.toml has {len(expected)} problem")


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    wrong = GOOD.replace('"0.32"', "0.32").replace('"15min"', '"7min"').replace("kwp = 6.0", "kwp = 0")
    wrong = wrong.replace("[ledger]\nwindow", "[ledger]\nwindows").replace('gate = "12:00"', 'gate = "12"')
    paths = [finding.path for finding in draft(wrong).findings]
    assert paths == [
        "community.slot",
        "tariff.retail",
        "ledger.windows",
        "market.day_ahead.gate",
        "members.home-02.pv.kwp",
    ]


def test_a_wrong_default_is_told_once() -> None:
    wrong = GOOD.replace("battery = { kw = 4.0 }", 'battery = { kw = "4" }').replace('"60"', "60")
    assert [finding.path for finding in draft(wrong).findings] == ["defaults.battery.kw", "defaults.collateral"]


def test_tables_that_are_no_tables() -> None:
    text = 'community = 1\ngrid = []\ntariff = 1\nmarket = 2\nledger = "x"\nsimulation = 5\ndefaults = 3\nmembers = 4\n'
    text += "plants = 6\nbilling = 7\nlive = 8\n"
    assert {finding.path for finding in draft(text).findings} == set(SECTIONS)


def test_an_empty_file_is_told_what_it_needs() -> None:
    assert [str(finding) for finding in draft("# nothing yet\n").findings] == [
        "community: is missing: the file needs a table [community]",
        "tariff: is missing: the file needs a table [tariff]",
        "members: is missing: a community has at least one member",
    ]


def test_a_good_file_is_read_to_the_last_key() -> None:
    community = parse(GOOD, "good.toml")
    assert (community.name, community.currency, community.timezone) == ("Lindenhof", "EUR", "Europe/Berlin")
    assert (community.slot_seconds, community.grid, community.profiles) == (900, "simbench:rural2", ())
    assert community.seed == "Lindenhof"
    assert community.ledger == LedgerChoice("embedded", window=3600, grace=3600)
    assert community.market == (
        Stage("day_ahead", "fixed", time(12), {"price": "0.20"}),
        Stage("real_time", "sdr"),
    )
    tariff = community.tariff
    assert (tariff.retail, tariff.feed_in, tariff.network_fee) == (Flat(320_000), Flat(80_000), 20_000)
    assert tariff.levies == (Levy("concession", 10_000, grid=True, local=False),)
    assert (tariff.vat_name, tariff.vat) == ("VAT", Fraction(19, 100))
    first, second, third = community.members
    assert (first.id, first.index, first.load) == ("home-01", 0, Load("simbench:H0-A", 3200.0))
    assert (second.pv, second.battery) == (PV("simbench:PV5", 6.0), None)
    assert third.battery == Battery(7.0, 4.0)
    assert {member.collateral for member in community.members} == {60_000_000}


def test_defaults_complete_devices_and_mandates_but_give_no_devices() -> None:
    text = GOOD.replace('collateral = "60"', 'mandate = { max_buy = "0.30", sell_wh = 0 }').replace(
        "annual_kwh = 3200", 'mandate = { max_buy = "0.28" }, battery = { kwh = 5.0, kw = 1.0 }'
    )
    first, second, third = parse(text, "x").members
    assert first.terms == Terms(max_buy=280_000, sell_wh=0)
    assert second.terms == third.terms == Terms(max_buy=300_000, sell_wh=0)
    assert (first.battery, second.battery) == (Battery(5.0, 1.0), None)


def test_agents_and_forecasts_are_chosen_for_all_or_for_one() -> None:
    text = (
        GOOD.replace('collateral = "60"', 'agent = "zip"\nforecast = "my.py:F"') + '[simulation]\ndeadline = "2min"\n'
    )
    community = parse(text.replace("annual_kwh = 3200", 'agent = "my.py:A", annual_kwh = 3200'), "x")
    assert [member.agent for member in community.members] == ["my.py:A", "zip", "zip"]
    assert {member.forecast for member in community.members} == {"my.py:F"}
    assert community.deadline == 120
    plain = parse(GOOD, "x")
    assert {(member.agent, member.forecast) for member in plain.members} == {("truthful", "last-week")}
    assert plain.deadline == 10


def test_a_heat_pump_comes_on_top_of_the_load() -> None:
    pump = 'heat_pump = { profile = "simbench:Air_Parallel_1", annual_kwh = 3000 }, annual_kwh = 3200'
    first, second, _ = parse(GOOD.replace("annual_kwh = 3200", pump), "x").members
    assert first.loads == (Load("simbench:H0-A", 3200.0), Load("simbench:Air_Parallel_1", 3000.0))
    assert second.loads == (second.load,)


def test_operators_are_counted_or_named() -> None:
    counted = parse(GOOD.replace('window = "1h"', "operators = 3\nthreshold = 2"), "x").ledger
    named = parse(GOOD.replace('window = "1h"', 'operators = ["co-op", "grid"]'), "x").ledger
    assert (counted.operators, counted.threshold) == (("operator", "operator-2", "operator-3"), 2)
    assert (named.operators, named.threshold) == (("co-op", "grid"), 1)
    assert len(parse(GOOD.replace('window = "1h"', "operators = 255"), "x").ledger.operators) == 255


def test_members_need_not_use_anything() -> None:
    homes = GOOD.partition("[members]\n")[2]
    others = """
    plant = { role = "prosumer", bus = "LV2.101 Bus 7", pv = { profile = "simbench:PV5", kwp = 30.0 } }
    cellar = { role = "storage", bus = "LV2.101 Bus 8", battery = { kwh = 50.0 } }
    co-op = { role = "operator" }
    wires = { role = "grid-company" }
    office = { role = "regulator" }
    fitter = { role = "service-provider" }
    """
    # What homes have by default is not for those who have no use for it.
    text = GOOD.replace(
        'collateral = "60"', 'agent = "zip"\nload = "simbench:H0-B"\nannual_kwh = 3000\nmandate = { sell_wh = 9 }'
    )
    text = text.replace(homes, homes + others).replace('load = "simbench:H0-C", ', "")
    members = {member.id: member for member in parse(text, "x").members}
    assert [member.role for member in members.values()] == [Role(number) for number in (1, 2, 1, 2, 3, 4, 5, 6, 7)]
    assert members["home-02"].load == members["plant"].load == Load("simbench:H0-B", 3000.0)
    assert members["cellar"].loads == ()
    assert members["cellar"].battery == Battery(50.0, 4.0)
    for name in ("co-op", "wires", "office", "fitter"):
        assert members[name].terms == Terms(buy_wh=0, sell_wh=0)
        assert (members[name].load, members[name].bus, members[name].battery) == (None, None, None)
        assert members[name].agent == "truthful"
    alone = parse(GOOD.replace(homes, homes + others), "x").members[3]
    assert (alone.id, alone.loads, alone.pv) == ("plant", (), PV("simbench:PV5", 30.0))


def test_a_plant_of_several_owners_stands_behind_all_members() -> None:
    plants = """
    [plants.roof]
    bus = "LV2.101 Bus 7"
    pv = { profile = "simbench:PV5", kwp = 30.0 }
    owners = { home-03 = 0.25, home-01 = 1 }
    sell_wh = 90000

    [plants]
    barn = { bus = "LV2.101 Bus 8", pv = { profile = "simbench:PV1", kwp = 9 }, owners = { home-02 = 7 } }
    """
    # Wherever they stand in the file; what homes have by default is not for them.
    before, members = GOOD.split("[members]")
    roof, barn = parse(f"{before}{plants}\n[members]{members}", "x").members[3:]
    assert (roof.index, roof.id, barn.index, barn.id) == (3, "roof", 4, "barn")
    assert roof.owners == (Owner(0, 4), Owner(2, 1))
    assert barn.owners == (Owner(1, 1),)
    assert roof.terms == Terms(min_sell=0, buy_wh=0, sell_wh=90_000)
    assert (roof.role, roof.loads, roof.battery, roof.collateral) == (Role.PROSUMER, (), None, 0)
    assert roof.pv == PV("simbench:PV5", 30.0)


def test_prices_by_time_of_day_and_from_a_file() -> None:
    table = '[{ from = "00:00", price = "0.30" }, { from = "17:30", price = "0.41", days = ["mon", "sun"] }]'
    text = GOOD.replace('"0.32"', table).replace('"0.08"', '{ file = "feed.csv" }')
    tariff = parse(text, "x").tariff
    assert tariff.retail == TimeOfUse((Band(time(0), 300_000), Band(time(17, 30), 410_000, frozenset({0, 6}))))
    assert tariff.feed_in == PriceFile("feed.csv")


def test_a_member_may_be_a_line_or_a_table_and_comments_do_not_matter() -> None:
    line = 'home-03 = { bus = "LV2.101 Bus 5", load = "simbench:H0-G", battery = { kwh = 7.0 } }'
    table = """
        [members.home-03]   # the corner house
        load = 'simbench:H0-G'
        bus = "LV2.101 Bus 5"
        battery.kwh = 7.0
    """
    assert line in GOOD
    assert parse(GOOD.replace(line, table), "x") == parse(GOOD, "x")


def test_the_digest_knows_values_and_leaves_members_out() -> None:
    lines = GOOD.splitlines()
    swapped, fewer = "\n".join([*lines[:-2], lines[-1], lines[-2]]), "\n".join(lines[:-1])
    dearer = GOOD.replace('"0.32"', '"0.33"')
    read = [parse(text, "x") for text in (GOOD, swapped, fewer, dearer)]
    assert len({each.whole for each in read}) == 4
    assert len({each.digest for each in read[:3]}) == 1
    assert read[3].digest != read[0].digest


def test_the_digest_knows_who_owns_plants() -> None:
    roof = 'roof = { bus = "LV2.101 Bus 7", pv = { profile = "simbench:PV5", kwp = 20.0 }, owners = { home-02 = 2 } }'
    owned = f"{GOOD}\n[plants]\n{roof}\n"
    lines = GOOD.splitlines()
    fewer = owned.replace(lines[-1], "")
    swapped = owned.replace("\n".join(lines[-2:]), "\n".join([lines[-1], lines[-2]]))
    other = owned.replace("owners = { home-02", "owners = { home-03")
    read = [parse(text, "x").digest for text in (owned, fewer, swapped, other)]
    assert len(set(read)) == 4  # also where the plant alone has another number


@given(st.integers(0, 10**12))
def test_prices_are_exact(price: int) -> None:
    text = f"{price // 10**6}.{price % 10**6:06d}"
    rate = draft(GOOD.replace('"0.32"', f'"{text}"')).tariff
    assert rate is not None
    assert rate.retail == Flat(price)


@given(st.integers(0, len(GOOD)), st.integers(0, 12), st.text(max_size=6))
@example(GOOD.index("3200"), 4, "9" * 5000)
@example(GOOD.index("3200"), 4, "[" * 5000)
@example(GOOD.index("3200"), 4, "1" + "0" * 400)
@example(GOOD.index("7.0"), 3, "1" + "0" * 400)
def test_no_file_whatsoever_breaks_the_reader(start: int, length: int, inserted: str) -> None:
    read = draft(GOOD[:start] + inserted + GOOD[start + length :])
    assert (read.community is None) == bool(read.findings)
    foreign = re.compile(r"[Ii]nput|pydantic|validat")
    assert all(
        finding.message and (foreign.search(inserted) or not foreign.search(str(finding))) for finding in read.findings
    )


EXPLAINED: list[tuple[str, type[Table]]] = [
    *((f"## [{name}]", model) for name, model in SECTIONS.items() if name != "defaults"),
    ("## [tariff]", BandTable),
    ("## [tariff]", PriceFileTable),
    ("### [tariff.levies]", LevyTable),
    ("### [tariff.vat]", VatTable),
    ("### heat_pump", HeatPumpTable),
    ("### pv", PVTable),
    ("### battery", BatteryTable),
    ("### mandate", MandateTable),
    ("### billing", PartyTable),
    ("### points", PointTable),
]


@pytest.mark.parametrize(("heading", "model"), EXPLAINED)
def test_every_key_stands_in_the_page(heading: str, model: type[Table]) -> None:
    part = re.split(r"\n##+ ", PAGE.read_text().partition(f"\n{heading}\n")[2])[0]
    keys = {field.alias or name for name, field in model.model_fields.items()}
    assert {key for key in keys if f"| `{key}` |" not in part} == set()


def test_the_examples_of_the_page_are_right() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    parse(blocks[0], str(PAGE))
    for price in re.findall(r"^retail = .*?(?=\nretail|\Z)", blocks[1], re.MULTILINE | re.DOTALL):
        assert draft(GOOD.replace('retail = "0.32"', price)).findings == ()


@pytest.mark.parametrize(
    ("retail", "feed_in"),
    [
        ('"0.32"', '"-0.067"'),
        ('"0.32"', '"0"'),
        # Where the utility itself pays less than nothing, neighbours may have nothing to gain, and the file is right.
        (
            '[{ from = "00:00", price = "0.32" }, { from = "12:00", price = "-0.05" }, { from = "14:00", price = "1"}]',
            '[{ from = "00:00", price = "0.1" }, { from = "12:00", price = "-0.067" }, { from = "14:00", price = "0"}]',
        ),
    ],
)
def test_the_utility_s_prices_may_be_below_zero(retail: str, feed_in: str) -> None:
    text = GOOD.replace('retail = "0.32"', f"retail = {retail}").replace('feed_in = "0.08"', f"feed_in = {feed_in}")
    community = parse(text, "village.toml")
    lowest = [min(prices_of(rate)) for rate in (community.tariff.retail, community.tariff.feed_in)]
    assert lowest == [-50_000 if "-0.05" in retail else 320_000, -67_000 if "-0.067" in feed_in else 0]


def prices_of(rate: Rate) -> list[int]:
    assert not isinstance(rate, PriceFile)
    return [rate.price] if isinstance(rate, Flat) else [band.price for band in rate.bands]


def test_who_curtails_says_so_itself_or_by_default() -> None:
    def curtails(text: str) -> list[bool | None]:
        return [member.pv.curtail if member.pv else None for member in parse(text, "village.toml").members[:3]]

    assert curtails(GOOD) == [None, False, None]
    own = GOOD.replace("kwp = 6.0", "kwp = 6.0, curtail = true")
    assert curtails(own) == [None, True, None]
    everybody = GOOD.replace("[defaults]", "[defaults]\npv = { curtail = true }")
    assert curtails(everybody) == [None, True, None]
    assert curtails(everybody.replace("kwp = 6.0", "kwp = 6.0, curtail = false")) == [None, False, None]
