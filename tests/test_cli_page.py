"""Every command tells what it does and how it is used, and the page of commands says the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from inspect import getdoc
from pathlib import Path

import pytest
from cyclopts import App

from commonwatt.cli import app

ROOT = Path(__file__).parents[1]


def commands(group: App, words: tuple[str, ...]) -> Iterator[tuple[str, App]]:
    """All commands that do something, with the words that call them."""
    for name in group:
        if not name.startswith("-"):
            command = group[name]
            called = (*words, name)
            if command.default_command:
                yield " ".join(called), command
            yield from commands(command, called)


COMMANDS = dict(commands(app, ("commonwatt",)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(name: str) -> None:
    told = str(getdoc(COMMANDS[name].default_command))
    assert f"\nExample: {name}" in told, f"the docstring of {name} has no line 'Example: {name} …'"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str) -> None:
    options = COMMANDS[name].assemble_argument_collection(parse_docstring=True)
    # A group of options that several commands share explains each of them itself.
    unexplained = [each.name for each in options if not each.parameter.help and not each.children]
    assert unexplained == [], f"the docstring of {name} does not say what these are"


@pytest.mark.parametrize("columns", ["40", "200"])
def test_the_page_is_what_the_commands_say_of_themselves(columns: str) -> None:
    tool = [sys.executable, str(ROOT / "tools" / "generate_cli_page.py"), "--check"]
    found = subprocess.run(tool, env=os.environ | {"COLUMNS": columns}, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
