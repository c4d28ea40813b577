"""The command that shows a bill to a person. Heavy imports are inside."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from commonwatt.cli.options import JsonPath, write_json
from commonwatt.errors import ConfigError, Finding, OutputError

_ASCII = str.maketrans({"−": "-", "ø": "~", "…": "..."})


def show(
    bill: Path,
    *,
    html: Annotated[
        Path | None, Parameter(help="Write one page to print to this file, whose name ends in .html.")
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Show a bill on one screen: energy, charges, the largest slots, who checked what. Nothing is asked of a chain.

    Example: commonwatt show commonwatt-demo/bills/home-05.json --html home-05.html

    Parameters
    ----------
    bill
        The bill, as written by simulate --out or settle --out.
    """
    from commonwatt.member.summary import summary
    from commonwatt.report.bill.text import bill_lines

    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise ConfigError("The request", [Finding("html", f"is the name of a page, which ends in .html, not '{html}'")])
    found = summary(bill)
    if html is not None:
        from commonwatt.report.bill.page import bill_page

        _write(html, bill_page(found, bill))
    if json_path:
        write_json(asdict(found), json_path)
    if json_path != "-":
        for line in bill_lines(found, bill):
            print(_printable(line))


def _printable(line: str) -> str:
    """The line in letters that this terminal has; a minus stays one."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return line.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return line


def _write(file: Path, page: str) -> None:
    """Whole or not at all, where its owner alone can read it."""
    from commonwatt.exchange.folder import write_private

    part = file.with_name(f"{file.name}.part")
    try:
        write_private(part, page)
        part.replace(file)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(f"{file} cannot be written: {error.strerror}.") from None
