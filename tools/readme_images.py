"""Draw the README's picture: the demo's day without its ledger, which changes nothing in the plot."""

from __future__ import annotations

from pathlib import Path

import commonwatt
from commonwatt.cli import DEMO_START
from commonwatt.report.plots import balance_svg

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Write docs/images/balance.svg."""
    result = commonwatt.simulate(ROOT / "examples" / "village.toml", DEMO_START, ledger="none")
    (ROOT / "docs" / "images" / "balance.svg").write_text(balance_svg(result), encoding="utf-8")


if __name__ == "__main__":
    main()
