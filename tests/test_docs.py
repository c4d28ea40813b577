"""What README.md and docs/ say must be there: links, commands, options, examples."""

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

import commonwatt
from commonwatt import errors
from commonwatt.cli import app

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

SHELL = re.compile(r"^```(?:sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)")
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
NAME = re.compile(r"`([a-z_]+(?:\.[A-Za-z_]\w*)+)`")
NAMED_FILE = re.compile(r"\b((?:tests|contracts|examples|benchmarks|tools|src)/[\w./-]*\w)")
ERROR = re.compile(r"^\| `(\w+)` \| (\d+) \|", re.MULTILINE)
ROOMS = {module.name for module in pkgutil.iter_modules(commonwatt.__path__)}


def commands(page):
    """The words of each command in the page's shell fences, without comments."""
    for fence in SHELL.findall(page.read_text("utf-8")):
        for line in fence.replace("\\\n", " ").splitlines():
            if words := shlex.split(line.removeprefix("$ "), comments=True):
                yield words


@each_page
def test_links_lead_to_files(page):
    targets = [target for target in LINK.findall(page.read_text("utf-8")) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@each_page
def test_files_that_are_named_exist(page):
    names = sorted(set(NAMED_FILE.findall(page.read_text("utf-8"))))
    assert [name for name in names if not (ROOT / name).exists()] == []


@each_page
def test_commands_exist_with_these_options(page):
    for program, *arguments in commands(page):
        if Path(program).name == "commonwatt":
            # Parsed, not run; an unknown command or option raises.
            app.parse_args(arguments, exit_on_error=False, print_error=False)


@each_page
def test_make_targets_exist(page):
    targets = set(TARGET.findall((ROOT / "Makefile").read_text("utf-8")))
    named = {words[1] for words in commands(page) if words[0] == "make" and len(words) > 1}
    assert named <= targets


@each_page
def test_examples_give_what_they_show(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert doctest.testfile(str(page), module_relative=False).failed == 0


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in DOCS]
    assert [page for page in pages if f": {page}\n" not in navigation] == []


def leads_somewhere(name):
    """Whether `room.module.name` is there: the longest part that is a module, then attributes."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(["commonwatt", *parts[:cut]]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part, None) or getattr(found, "__annotations__", {}).get(part)
        return found is not None
    return False


@each_page
def test_names_lead_to_code(page):
    names = {name.removeprefix("commonwatt.") for name in NAME.findall(page.read_text("utf-8"))}
    assert [name for name in sorted(names) if name.partition(".")[0] in ROOMS and not leads_somewhere(name)] == []


def test_every_error_is_explained_with_its_exit_code():
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    rows = ERROR.findall((ROOT / "docs" / "errors.md").read_text("utf-8"))
    assert sorted(rows) == sorted((each.__name__, str(each.exit_code)) for each in classes)
