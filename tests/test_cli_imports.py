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
