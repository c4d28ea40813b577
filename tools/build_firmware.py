"""What is copied onto a meter: `python tools/build_firmware.py FOLDER` fills it, build/firmware when none is named.

The firmware's own files, the delivery controller of `commonwatt.meter`, which is one file for both Pythons, and the
table of multiples of secp256k1's generator. The table is made here and not committed: 61 kB that a tenth of a second
gives anew, and nobody could read in a review.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from coincurve import PublicKey

ROOT = Path(__file__).parents[1]
FIRMWARE = ROOT / "firmware"
SHARED = ROOT / "src" / "commonwatt" / "meter" / "controller.py"
WINDOWS, DIGITS = 64, 15


def main() -> None:
    """Fill the folder and say what is in it."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "firmware"
    files = build(folder)
    print(f"{folder} holds {len(files)} files, {sum(file.stat().st_size for file in files)} bytes.")


def build(folder: Path) -> list[Path]:
    """Write the meter's files into the folder, which is made if need be, and return them in their order by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for source in (*sorted(FIRMWARE.glob("*.py")), SHARED):
        shutil.copyfile(source, folder / source.name)
    (folder / "table.bin").write_bytes(table())
    return sorted(path for path in folder.iterdir() if path.is_file())


def table() -> bytes:
    """1 to 15 times 16^w · G for w from 0 to 63, each as x and y of 32 bytes, as `firmware/secp256k1.py` reads it."""
    return b"".join(entry(digit << (4 * window)) for window in range(WINDOWS) for digit in range(1, DIGITS + 1))


def entry(scalar: int) -> bytes:
    """A multiple of the generator: x and y, 64 bytes."""
    return PublicKey.from_secret(scalar.to_bytes(32, "big")).format(compressed=False)[1:]


if __name__ == "__main__":
    main()
