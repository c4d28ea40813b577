"""The whole residential study, with its time: `python benchmarks/residential.py`, JSON out. About five minutes."""

from _measure import clocks, show

from commonwatt.study.residential.page import as_json
from commonwatt.study.residential.study import run

begun = clocks()
found = as_json(run())
wall, cpu = (end - start for start, end in zip(begun, clocks(), strict=True))
del found["runs"]
show({"wall": round(wall, 1), "cpu": round(cpu, 1), **found}, "polars")
