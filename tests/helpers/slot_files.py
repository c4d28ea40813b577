"""Files with one slot."""

from __future__ import annotations

from pathlib import Path

POSITIONS = "member,net_wh\na,500\nb,300\nc,-400\nd,0\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "slot.csv"
    file.write_text(text, encoding="utf-8")
    return file
