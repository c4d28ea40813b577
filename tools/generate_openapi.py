"""Write docs/openapi.json: what the service's interface takes and answers, as it says of itself.

python tools/generate_openapi.py            write the document
python tools/generate_openapi.py --check    exit with 1 when it is stale
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import cast

from commonwatt.service.api.app import application
from commonwatt.service.running import Running

DOCUMENT = Path(__file__).parents[1] / "docs" / "openapi.json"


def document() -> str:
    """The document. Nothing is asked of the exchange for it."""
    return json.dumps(application(cast("Running", None)).openapi(), indent=1) + "\n"


def main() -> None:
    """Write the document, or compare it."""
    if sys.argv[1:] == ["--check"]:
        if DOCUMENT.read_text("utf-8") != document():
            sys.exit("docs/openapi.json is stale; run: python tools/generate_openapi.py")
        return
    DOCUMENT.write_text(document(), "utf-8")


if __name__ == "__main__":
    main()
