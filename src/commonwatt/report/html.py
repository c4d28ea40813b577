"""What the terminal shows, as HTML for a notebook's cell: text and colours, no script."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import RenderableType

_CELL: Final = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:1.3;font-family:ui-monospace,Menlo,Consolas,'
    'DejaVu Sans Mono,monospace">{code}</pre>'
)


def as_html(shown: RenderableType, width: int) -> str:
    """The screen as one element. width : [columns]"""
    from rich.console import Console

    console = Console(file=StringIO(), record=True, width=width, highlight=False, force_jupyter=False)
    console.print(shown)
    return console.export_html(code_format=_CELL, inline_styles=True)
