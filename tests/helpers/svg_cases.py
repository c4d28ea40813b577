"""What every picture of the product has to be."""

from __future__ import annotations

import re
from xml.etree import ElementTree


def check_svg(text: str) -> None:
    """Well-formed, named, described, finite, no negative extent, nothing beside the frame."""
    root = ElementTree.fromstring(text)  # noqa: S314  (our own output)
    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert names[0] == "svg"
    assert names[1:3] == ["title", "desc"]
    assert "script" not in names
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    for element in root.iter():
        for key, value in element.attrib.items():
            assert not re.search(r"nan|inf(?!o)", value, re.IGNORECASE), (key, value)
        if element.tag.endswith("rect"):
            extent = [float(element.attrib[key]) for key in ("width", "height")]
            assert min(extent) >= 0
            assert float(element.attrib.get("x", "0")) + extent[0] <= left + width + 0.1
            assert float(element.attrib.get("y", "0")) + extent[1] <= top + height + 0.1
