"""The image and its neighbours say what is there: files, ports, commands, volumes."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from services import program

from commonwatt.cli import app
from commonwatt.service.initial import Wanted, begin

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def instructions(name: str) -> list[str]:
    """What follows an instruction, lines joined."""
    return re.findall(rf"^{name} (.+)$", DOCKERFILE.replace("\\\n", ""), re.MULTILINE)


def test_what_is_copied_is_there_and_not_kept_from_the_image() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    copied = [word for each in instructions("COPY") if not each.startswith("--from") for word in each.split()[:-1]]
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / name).exists() for name in copied)


def test_it_runs_a_command_that_is_there_as_somebody_without_rights() -> None:
    assert (instructions("ENTRYPOINT"), instructions("USER")) == (['["commonwatt"]'], ["commonwatt"])
    app.parse_args(json.loads(instructions("CMD")[-1]), exit_on_error=False, print_error=False)


def test_its_extras_are_those_of_the_package() -> None:
    import tomllib

    extras = re.search(r'"\.\[([\w,]+)\]"', DOCKERFILE)
    assert extras
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert {"live"} <= set(extras[1].split(",")) <= set(known)


def test_ports_are_those_of_a_box_that_init_made(tmp_path: Path) -> None:
    program("mosquitto")
    wanted = Wanted("Village", "EUR", "Europe/Berlin", "box.local", Path("/bin/true"), "commonwatt")
    begin(tmp_path / "box", wanted, datetime.now(UTC))
    made = re.findall(r'^(?:address|broker) = ".*:(\d+)"$', (tmp_path / "box/community.toml").read_text(), re.MULTILINE)
    assert instructions("EXPOSE")[0].split() == made
    assert f"127.0.0.1:{made[0]}/healthz" in DOCKERFILE
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))["scrape_configs"][0]
    assert (scraped["scheme"], scraped["static_configs"][0]["targets"]) == ("https", [f"127.0.0.1:{made[0]}"])


def test_the_neighbours_have_their_files_and_volumes() -> None:
    named = set[str]()
    for service in COMPOSE["services"].values():
        for source in (each.split(":")[0] for each in service["volumes"]):
            assert not source.startswith(".") or (DEPLOY / source).is_file()
            if not source.startswith("."):
                named.add(source)
    assert named == set(COMPOSE["volumes"])
    exchange = COMPOSE["services"]["exchange"]
    assert (DEPLOY / exchange["build"]["context"] / exchange["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert (exchange["read_only"], exchange["cap_drop"]) == (True, ["ALL"])


def test_the_first_step_that_it_names_is_a_command() -> None:
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    (line,) = re.findall(r"run --rm exchange (.+)$", text, re.MULTILINE)
    app.parse_args(shlex.split(line), exit_on_error=False, print_error=False)
