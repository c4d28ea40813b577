"""How to cite the project agrees with what it is, and studies are listed with papers that the pages name."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

from shell import Shell

from commonwatt.cli.study import app
from commonwatt.study.published import STUDIES

ROOT = Path(__file__).parents[1]


def test_the_citation_names_this_version_and_its_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = dict(re.findall(r"^([a-z-]+): *(.*)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE))
    assert lines["version"] == project["version"] == version("commonwatt")
    assert lines["license"] == project["license"]
    assert {"cff-version", "message", "title", "authors"} <= set(lines)


def test_every_study_is_listed_and_its_paper_stands_on_a_page(said: Shell) -> None:
    assert {study.name for study in STUDIES} == {name for name in app if not name.startswith("-")}
    code, out, err = said("study")
    assert (code, err) == (0, "")
    pages = " ".join(page.read_text("utf-8") for page in (ROOT / "docs" / "studies").glob("*.md"))
    for study in STUDIES:
        assert f"commonwatt study {study.name}: {study.what}" in out
        assert study.source in out
        if study.doi:
            assert f"https://doi.org/{study.doi}" in out
            assert f"https://doi.org/{study.doi}" in pages
    assert [each["name"] for each in json.loads(said("study", "--json", "-").out)] == [study.name for study in STUDIES]
