"""The package's public face: nothing leaks, nothing is forgotten. Which room may import which is `make check`'s."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import commonwatt

ROOMS = [module.name for module in pkgutil.iter_modules(commonwatt.__path__, "commonwatt.") if module.ispkg]


def imports_for_type_checkers() -> set[str]:
    tree = ast.parse(Path(commonwatt.__file__).read_text("utf-8"))
    branches = [node for node in tree.body if isinstance(node, ast.If)]
    froms = [node for branch in branches for node in branch.body if isinstance(node, ast.ImportFrom)]
    return {name.asname or name.name for node in froms for name in node.names}


def python(code: str) -> list[str]:
    """What a fresh interpreter prints."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_public_names_are_those_of_all() -> None:
    assert sorted(commonwatt.__all__) == [name for name in dir(commonwatt) if not name.startswith("_")]
    assert sorted(commonwatt.__all__) == sorted(commonwatt._WHERE)


def test_type_checkers_see_every_public_name() -> None:
    assert imports_for_type_checkers() == set(commonwatt.__all__)


@pytest.mark.parametrize("name", commonwatt.__all__)
def test_public_names_lead_somewhere(name: str) -> None:
    assert getattr(commonwatt, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'simulate_all'"):
        _ = commonwatt.simulate_all


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_have_what_they_offer(room: str) -> None:
    module = importlib.import_module(room)
    offered = getattr(module, "__all__", [])
    assert [name for name in offered if not hasattr(module, name)] == []
    assert len(set(offered)) == len(offered)


def test_importing_the_package_imports_nothing_else() -> None:
    assert python("import sys, commonwatt; print(*(m for m in sys.modules if m.startswith('commonwatt.')))") == []
