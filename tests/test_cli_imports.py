"""Help appears at once: no heavy package is imported before a command runs."""

import subprocess
import sys

import pytest

HEAVY = {"coincurve", "eth", "eth_abi", "numpy", "polars", "power_grid_model", "pydantic", "sqlalchemy"}
HEAVY |= {"httpx", "starlette", "uvicorn"}
SCRIPT = """
import sys
from commonwatt.cli import main
try:
    main()
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["simulate", "--help"],
        ["study", "--help"],
        ["bench", "day", "--help"],
        ["chain", "node", "--help"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    command = [sys.executable, "-c", SCRIPT, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.strip()
    imported = set(run.stderr.split())
    assert "commonwatt" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "examples/village.toml", "--dir", "nowhere"],
        ["live", "demo", "examples/village.toml", "--start", "2026-06-15", "--dir", "nowhere"],
        ["meter", "emulate", "a.toml", "http://box", "--start", "2026-06-15", "--dir", "nowhere", "--secret", "none"],
        ["meter", "report", "http://box", "--key", "none", "--wh-in", "1"],
        ["agent", "show", "http://box", "--key", "none"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("package", ["websockets", "prometheus_client"])
def test_without_the_packages_of_a_living_exchange_one_is_told_what_to_install(
    arguments: list[str], package: str
) -> None:
    command = [sys.executable, "-c", f"import sys; sys.modules['{package}'] = None\n{SCRIPT}", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert 'install them: pip install "commonwatt[live]"' in run.stderr
    assert "Traceback" not in run.stderr
