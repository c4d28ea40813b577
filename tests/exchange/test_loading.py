"""A community that knows its tables: from a file or a dict, with other values, with the digest of its files."""

from __future__ import annotations

import pickle
import tomllib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from exchange_cases import COMMUNITY, written

from commonwatt.errors import ConfigError
from commonwatt.exchange import checking
from commonwatt.exchange.loading import load

PRICES = "time,price\n2026-06-15T00:00,0.05\n2026-06-15T01:00,0.06\n"
WITH_FILE = {"tariff.feed_in": {"file": "prices.csv"}}


def test_a_file_and_its_tables_are_one_community(tmp_path: Path) -> None:
    file = written(tmp_path)
    tables = tomllib.loads(COMMUNITY)
    found = [load(file), load(str(file)), load(tables), load(load(file))]
    assert {each.digest for each in found} == {checking.load(file).digest}
    assert len({each.members for each in found}) == 1
    assert [each.folder for each in found[:2]] == [tmp_path, tmp_path]


def test_files_are_relative_to_the_folder(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(PRICES)
    tables = load(written(tmp_path)).with_(WITH_FILE).document
    assert load(tables, folder=tmp_path).with_({"ledger.kind": "none"}).folder == tmp_path
    with pytest.raises(ConfigError, match="nowhere"):
        load(tables, folder=tmp_path / "nowhere")


def test_what_a_file_says_is_part_of_the_digest_when_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(PRICES)
    community = load(written(tmp_path)).with_(WITH_FILE)
    assert community.as_now().digest == community.digest
    (tmp_path / "prices.csv").write_text(PRICES.replace("0.06", "0.07"))
    assert community.as_now().digest != community.digest
    assert community.as_now().digest == community.with_({}).digest
    (tmp_path / "prices.csv").unlink()
    with pytest.raises(ConfigError, match=r"prices\.csv"):
        community.as_now()


def test_other_values_are_checked_and_the_first_community_stays(tmp_path: Path) -> None:
    community = load(written(tmp_path))
    digest, tables = community.digest, str(community.document)
    other = community.with_({"tariff.retail": "0.5"})
    assert other.digest != digest == load(tmp_path / "community.toml").digest
    assert str(community.document) == tables
    with pytest.raises(ConfigError) as caught:
        community.with_({"tariff.retail": 0.5, "tariff.feed_in": "x"})
    assert {finding.path for finding in caught.value.findings} == {"tariff.retail", "tariff.feed_in"}
    assert "community.toml with tariff.retail = 0.5, tariff.feed_in = 'x' has 2 problems" in str(caught.value)


def test_it_goes_to_another_process_whole(tmp_path: Path) -> None:
    community = load(written(tmp_path))
    again = pickle.loads(pickle.dumps(community))  # noqa: S301
    assert again == community
    assert again.with_({"tariff.retail": "0.5"}) == community.with_({"tariff.retail": "0.5"})


def test_it_tells_what_it_is(tmp_path: Path) -> None:
    community = load(written(tmp_path))
    assert repr(community).startswith(f"<Community {community.name}: {len(community.members)} members (")


@pytest.mark.parametrize("given", [7, None, ["community.toml"]])
def test_what_is_no_community_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match=r"is a file, tables, or what commonwatt\.load gives"):
        load(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [None, "tariff.retail", ["tariff.retail"]])
def test_values_that_have_no_keys_are_refused(tmp_path: Path, values: object) -> None:
    with pytest.raises(ConfigError, match="with_: takes values by dotted key"):
        load(written(tmp_path)).with_(values)  # type: ignore[arg-type]


def test_numbers_are_those_of_toml_whatever_they_are_in_python(tmp_path: Path) -> None:
    community = load(written(tmp_path))
    key = "members.*.battery.kwh"
    sizes: list[object] = [np.float32(8), np.int64(8), Decimal(8), Fraction(8), 8.0]
    found = {member.battery for size in sizes for member in community.with_({key: size}).members if member.battery}
    assert {battery.kwh for battery in found} == {8}
    assert len({community.with_({key: size}).digest for size in (np.float32(8), Decimal(8), 8.0)}) == 1


def test_a_folder_is_for_tables_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="folder: is for tables"):
        load(written(tmp_path), folder=tmp_path)
    with pytest.raises(ConfigError, match="community: is missing"):
        load({})
