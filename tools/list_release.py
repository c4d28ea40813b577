"""List the contracts that lie in the package as those of a release, before the sources change.

    python tools/list_release.py 0.2.0

Members of a community that was founded with that release go on checking their bills with later ones. A release whose
signed records hash otherwise is not listed: later ones cannot check its bills.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from commonwatt.ledger.client.abi import contract
from commonwatt.ledger.client.code import LISTED, Build

FILE = Path(__file__).parent.parent / "src/commonwatt/ledger/artifacts/releases.json"

if __name__ == "__main__":
    (release,) = sys.argv[1:]
    listed = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    listed[release] = {name: Build.of(contract(name)).as_json() for name in LISTED}
    FILE.write_text(f"{json.dumps(listed, indent=2, sort_keys=True)}\n", "utf-8")
