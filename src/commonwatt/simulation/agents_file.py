"""A file of agents with cost curves and links between them, for bilateral trading in one slot.

    {"agents": [{"id": "pv", "a": 1, "b": 2, "p_min": 0, "p_max": 10}, …],
     "links": [{"a": "pv", "b": "shop", "preference": 0.5}, …]}

An agent's power p [kW] is positive when it generates and costs a/2·p² + b·p per hour. Without links everyone may trade
with everyone and has no preference. Every value that cannot be used is a finding with its place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np

from commonwatt.data.table import reading
from commonwatt.errors import ConfigError, Finding
from commonwatt.market import Neighbourhood
from commonwatt.records import strict_json
from commonwatt.units import MAX_ORDER_WH, MAX_PRICE, MICRO, WH_PER_KWH

AGENT: Final = {"a": MAX_PRICE / MICRO, "b": MAX_PRICE / MICRO, "p_min": MAX_ORDER_WH / WH_PER_KWH}
"""Largest value without sign of an agent's keys; p_max is bounded as p_min."""
_LONGEST: Final = 1 << 26
"""Bytes of a file."""


def read_agents(file: Path, retail: int | None, feed_in: int | None) -> tuple[tuple[str, ...], Neighbourhood]:
    """The agents' names, and the agents with their links.

    retail, feed_in : what the utility sells and buys at [micro-currency/kWh]; None = it does not
    Raises ConfigError with all findings, or DataError when the file cannot be read.
    """
    with reading(file), file.open("rb") as opened:
        raw = opened.read(_LONGEST + 1)
    findings: list[Finding] = []
    try:
        given = strict_json.loads(raw, _LONGEST, fractions=True)
    except ValueError as error:
        raise ConfigError(str(file), [Finding("", f"is not JSON: {error}")]) from None
    tables = _table(given, {"agents", "links"}, "", findings)
    names, curves = _agents(tables.get("agents"), findings)
    links = None if tables.get("links") is None else _links(tables["links"], names, findings)
    if findings:
        raise ConfigError(str(file), findings)
    neighbourhood = Neighbourhood.of_agents(curves, links)
    prices = (np.inf if retail is None else retail / MICRO, -np.inf if feed_in is None else feed_in / MICRO)
    buying, selling = (np.full((len(names), 1), price) for price in prices)
    neighbourhood = replace(neighbourhood, homes=replace(neighbourhood.homes, retail=buying, feed_in=selling))
    if found := neighbourhood.findings(1.0):
        raise ConfigError(str(file), [Finding(_named(each.path, names), each.message) for each in found])
    return tuple(names), neighbourhood


def _agents(rows: object, findings: list[Finding]) -> tuple[list[str], list[tuple[float, float, float, float]]]:
    names: list[str] = []
    curves: list[tuple[float, float, float, float]] = []
    if not isinstance(rows, list) or not rows:
        findings.append(Finding("agents", "is a list of agents with id, a, b, p_min and p_max"))
        return names, curves
    for place, row in enumerate(rows):
        where = f"agents[{place}]"
        row = _table(row, {"id", *AGENT, "p_max"}, where, findings)
        name = row.get("id")
        if not isinstance(name, str) or not name:
            findings.append(Finding(f"{where}.id", "is a name in quotes"))
            name = f"#{place}"
        elif name in names:
            findings.append(Finding(f"{where}.id", f"'{name}' is there already"))
        names.append(name)
        a, b, p_min = (_number(row, key, most, where, findings) for key, most in AGENT.items())
        p_max = _number(row, "p_max", AGENT["p_min"], where, findings)
        curves.append((a, b, p_min, p_max))
    return names, curves


def _links(rows: object, names: list[str], findings: list[Finding]) -> list[tuple[int, int, float]]:
    links: list[tuple[int, int, float]] = []
    if not isinstance(rows, list) or not rows:
        findings.append(Finding("links", "is a list of links with a, b and preference; without it everyone may trade"))
        return links
    index = {name: place for place, name in enumerate(names)}
    seen: set[frozenset[int]] = set()
    for place, row in enumerate(rows):
        where = f"links[{place}]"
        row = _table(row, {"a", "b", "preference"}, where, findings)
        ends = [row.get(key) for key in ("a", "b")]
        for key, end in zip(("a", "b"), ends, strict=True):
            if not isinstance(end, str) or end not in index:
                findings.append(Finding(f"{where}.{key}", f"there is no agent {json.dumps(end)}"))
        preference = _number({"preference": 0, **row}, "preference", MAX_PRICE / MICRO, where, findings)
        if preference < 0:
            findings.append(Finding(f"{where}.preference", f"is 0 or more, not {preference:g}"))
        if all(isinstance(end, str) and end in index for end in ends):
            one, other = (index[str(end)] for end in ends)
            if one == other:
                findings.append(Finding(where, f"joins '{names[one]}' with itself"))
            elif frozenset((one, other)) in seen:
                findings.append(Finding(where, f"joins '{names[one]}' and '{names[other]}', which are joined already"))
            seen.add(frozenset((one, other)))
            links.append((one, other, preference))
    return links


def _table(row: object, known: set[str], where: str, findings: list[Finding]) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        findings.append(Finding(where, f"is an object with {', '.join(sorted(known))}"))
        return {}
    told = f"is not known here; known are {', '.join(sorted(known))}"
    findings.extend(Finding(f"{where}.{key}".lstrip("."), told) for key in sorted(set(row) - known))
    return row


def _number(row: Mapping[str, Any], key: str, most: float, where: str, findings: list[Finding]) -> float:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -inf < value < inf:
        told = "missing" if value is None else f"not {json.dumps(value)}"
        findings.append(Finding(f"{where}.{key}", f"is a number; it is {told}"))
        return 0.0
    if abs(value) > most:
        findings.append(Finding(f"{where}.{key}", f"is at most {most:g} without sign, not {json.dumps(value)[:40]}"))
        return 0.0
    return float(value)


def _named(path: str, names: list[str]) -> str:
    """homes[2].p_min[0] as agents 'shop', p_min."""
    head, _, rest = path.partition("].")
    place = head.removeprefix("homes[")
    return f"agent '{names[int(place)]}', {rest.partition('[')[0]}" if place.isdecimal() else path
