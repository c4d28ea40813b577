"""Other values in a community's tables, by dotted keys such as "members.*.battery.kwh". Pure.

    "tariff.feed_in"            one value
    "members.*.battery.kwh"     of every member that has a battery
    "members.home-1*.load"      of those whose names begin so
    "members.anna"              a whole table, or one more

The last part of a key may be new, so that something can be added; the tables that it stands in must be there, or have
defaults. What the community's own check then finds wrong is not found here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from commonwatt.community.fields import near, some
from commonwatt.community.roles import foreign
from commonwatt.community.schema import SECTIONS
from commonwatt.errors import ConfigError, Finding

Tables = dict[str, Any]
_Kinds = list[Any]
"""What a table may be: models of `schema`, or dict[str, …] where it holds one table for each name."""

_NAMED: Final = ("market", "members", "plants")
_DEEPEST: Final = 64
_EXAMPLE: Final = "such as 'members.*.battery.kwh'"


def plain(value: object, depth: int = 0) -> Any:
    """The value as TOML would give it: dicts and lists of its own, paths as text, and what numpy has as Python has it.

    depth : of tables and lists that it stands in
    Raises ConfigError where it is nested beyond `_DEEPEST`.

    >>> plain({"window": ("07:00", "15:00")})
    {'window': ['07:00', '15:00']}
    """
    if isinstance(value, Mapping | list | tuple) and depth > _DEEPEST:
        raise ConfigError("The request", [Finding("", f"tables and lists are nested more than {_DEEPEST} deep")])
    if isinstance(value, Mapping):
        return {str(key): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, depth + 1) for each in value]
    if isinstance(value, Decimal | Fraction):
        return float(value)
    # Of numpy's numbers and arrays, and of paths.
    own = getattr(value, "tolist", None) or getattr(value, "__fspath__", None)
    return value if own is None or isinstance(value, type) else own()


def overridden(document: Tables, values: Mapping[str, object]) -> tuple[Tables, tuple[Finding, ...]]:
    """The tables with other values, one key after the other, and what is wrong with the keys.

    document : stays as it is
    values : by dotted key; None takes the key out
    """
    changed: Tables = plain(document)
    findings: list[Finding] = []
    for key, value in values.items():
        parts = key.split(".") if isinstance(key, str) else [""]
        places = _places(changed, parts) if all(parts) else f"is no dotted key, {_EXAMPLE}"
        if isinstance(places, str):
            findings.append(Finding(str(key), places))
            continue
        for table, name in places:
            if value is None:
                table.pop(name, None)
            else:
                table[name] = plain(value)
    return changed, tuple(findings)


def _places(document: Tables, parts: Sequence[str]) -> list[tuple[Tables, str]] | str:
    """The tables that a key leads to, each with the name in it; or what stands in the way."""
    tables, kinds = [document], [Tables]
    for depth, part in enumerate(parts):
        path = ".".join(parts[: depth + 1])
        fields = _fields(kinds) if depth else _sections()
        found = [(table, name) for table in tables for name in _named(table, part)]
        if depth == len(parts) - 1:
            if fields is not None and "*" not in part and part not in fields:
                return f"is not a key of this table{near(part, fields)}"
            return found or f"there is no '{path}'{_some(_names(tables))}"
        for table, name in found:
            if fields and name not in table and _has_defaults(fields.get(name)) and name not in _useless(table):
                table[name] = {}
        inner, before = [table[name] for table, name in found if name in table], tables
        tables = [each for each in inner if isinstance(each, dict)]
        if not tables and inner:
            return f"'{path}' is {inner[0]!r} and no table, so it can only be given whole"
        if not tables:
            known = _names(before)
            if part in (fields or ()):
                return f"there is no '{path}'; give the whole table, as the value of '{path}'"
            return f"there is no '{path}'{near(part, [*known, *(fields or ())]) or _some(known)}"
        kinds = _inside(kinds, part, fields)
    return []


def _named(table: Tables, part: str) -> list[str]:
    """The table's names that a part of a key means."""
    return [name for name in table if fnmatchcase(name, part)] if "*" in part else [part]


def _some(names: Sequence[str]) -> str:
    return some(names) if names else ""


def _names(tables: Sequence[Tables]) -> list[str]:
    return list(dict.fromkeys(name for table in tables for name in table))


def _useless(table: Tables) -> tuple[str, ...]:
    """The keys for which a member has no use in its role."""
    return foreign(table.get("role"))


def _sections() -> dict[str, FieldInfo]:
    """The tables of the file itself, all of which may be left out as far as a key is concerned."""
    return {
        name: FieldInfo(annotation=dict[str, model] if name in _NAMED else model, default={})  # type: ignore[valid-type]
        for name, model in SECTIONS.items()
    }


def _fields(kinds: _Kinds) -> dict[str, FieldInfo] | None:
    """The keys that tables of these kinds have; None where they may have any."""
    if any(_holds_names(kind) or kind.model_config.get("extra") == "allow" for kind in kinds) or not kinds:
        return None
    return {field.alias or name: field for kind in kinds for name, field in kind.model_fields.items()}


def _inside(kinds: _Kinds, part: str, fields: Mapping[str, FieldInfo] | None) -> _Kinds:
    """The kinds of the tables that stand in those of `kinds` under a name."""
    if fields is not None:
        return _kinds(fields[part].annotation) if part in fields else []
    return [kind for each in kinds if _holds_names(each) for kind in _kinds(get_args(each)[1])]


def _holds_names(kind: Any) -> bool:
    origin: object = get_origin(kind)
    return origin is dict


def _kinds(annotation: Any) -> _Kinds:
    if _holds_names(annotation) or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _kinds(part)]


def _has_defaults(field: FieldInfo | None) -> bool:
    """Whether a table is there with its defaults where the file leaves it out."""
    return field is not None and isinstance(field.get_default(call_default_factory=True), dict | BaseModel)
