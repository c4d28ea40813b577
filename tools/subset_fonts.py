"""Make `src/commonwatt/billing/fonts/*.ttf`: of DejaVu Sans Condensed the letters that names in Europe are written in.

    apt-get install fonts-dejavu-extra
    pip install -e '.[pdf]'
    python tools/subset_fonts.py

Same font and package versions, same bytes. Hints and layout tables are for screens and other scripts, and left out.
"""

from __future__ import annotations

from pathlib import Path

SOURCE = Path("/usr/share/fonts/truetype/dejavu")
FOLDER = Path(__file__).parents[1] / "src/commonwatt/billing/fonts"
# Latin with its extensions, Greek, Cyrillic, Armenian, Georgian, old Greek, punctuation, currencies, arrows.
BLOCKS = (
    (0x0020, 0x024F),
    (0x02B0, 0x036F),
    (0x0370, 0x052F),
    (0x0531, 0x058F),
    (0x10A0, 0x10FF),
    (0x1E00, 0x1FFF),
    (0x2000, 0x206F),
    (0x20A0, 0x20BF),
    (0x2116, 0x2122),
    (0x2190, 0x2193),
    (0x2212, 0x2212),
)


def main() -> None:
    from fontTools.subset import Options, Subsetter  # a heavy import that only this script needs
    from fontTools.ttLib import TTFont

    options = Options(
        hinting=False,
        layout_features=[],
        glyph_names=False,
        name_IDs=[0, 1, 2, 3, 4, 5, 6, 13, 14],
        notdef_outline=True,
    )
    options.drop_tables += ["FFTM", "GPOS", "GSUB", "GDEF", "kern", "MATH"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("DejaVuSansCondensed", "DejaVuSansCondensed-Bold"):
        font = TTFont(SOURCE / f"{name}.ttf", recalcTimestamp=False)
        licence = "\n\n".join(str(font["name"].getDebugName(number)).strip() for number in (0, 13))
        (FOLDER / "LICENSE-DejaVu.txt").write_text(licence.replace("\r\n", "\n") + "\n", "utf-8")
        subsetter = Subsetter(options)
        subsetter.populate(unicodes=[letter for first, last in BLOCKS for letter in range(first, last + 1)])
        subsetter.subset(font)
        font.save(FOLDER / f"{name}.ttf")


if __name__ == "__main__":
    main()
