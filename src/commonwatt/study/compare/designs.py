"""The market designs to compare, from their names.

sdr                                  a mechanism of the package
my_market.py:MINE                    one from a file beside community.toml
bilateral:preference=distance        one with parameters
fixed:price=0.2:window=07:00,15:00   a list is written with commas
uniform+sdr                          a whole market day: one after the other
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from commonwatt.community.checks import stage_order
from commonwatt.community.model import Community, Stage
from commonwatt.errors import ConfigError, Finding, MarketError
from commonwatt.exchange.arguments import short
from commonwatt.exchange.events import DEFAULT_GATE
from commonwatt.exchange.plugins import resolve
from commonwatt.market import MECHANISMS, Mechanism
from commonwatt.simulation.oneslot import from_text

ALL: Final = "all"
COMMA, COLON = (re.compile(sign + r"(?!\s*[\d\[\"'])") for sign in ",:")
"""Between designs, and between the words of one. Before a digit, a quote or a bracket they belong to a value, such as
07:00,15:00: no name begins like that."""


@dataclass(frozen=True)
class Design:
    """A market day under the name by which it was asked for."""

    name: str
    stages: tuple[Stage, ...]

    @property
    def phase(self) -> str:
        """When it clears: "ahead", "after" or both."""
        return " + ".join(dict.fromkeys("ahead" if stage.gate else "after" for stage in self.stages))


def designs(community: Community, folder: Path, asked: Sequence[str] | str) -> tuple[Design, ...]:
    """The designs asked for, each once.

    asked : names as above, several in one text with commas between them, or "all": the market day of the file itself,
        then every mechanism of the package by itself
    A mechanism that the file sets up keeps the file's parameters, as far as the name does not give others.
    Raises ConfigError with a finding for every name that means nothing.
    """
    names = list(_all(community)) if isinstance(asked, str) and asked == ALL else names_in(asked, "mechanisms")
    found: list[Design] = []
    findings = [] if names else [Finding("mechanisms", "are needed: all, or names separated by commas")]
    for name in dict.fromkeys(names):
        try:
            found.append(_design(community, folder, name))
        except ConfigError as error:
            findings.extend(error.findings)
    if findings:
        raise ConfigError("The request", findings)
    return tuple(found)


def names_in(asked: object, argument: str) -> list[str]:
    """The names in a text, with commas between them, or in a list. Raises ConfigError for anything else."""
    if isinstance(asked, str):
        return split(asked)
    names = list(asked) if isinstance(asked, Iterable) and not isinstance(asked, bytes) else [asked]
    if all(isinstance(name, str) for name in names):
        return [str(name) for name in names]
    told = f"are names, in a list or a text with commas between them, not {short(asked)}"
    raise ConfigError("The request", [Finding(argument, told)])


def split(text: str) -> list[str]:
    """The names in a text with commas between them.

    >>> split("sdr, sharing-key:key=static:shares=0.5, 0.5, uniform+sdr")
    ['sdr', 'sharing-key:key=static:shares=0.5, 0.5', 'uniform+sdr']
    """
    return [name.strip() for name in COMMA.split(text)]


def _all(community: Community) -> Iterator[str]:
    """The market day of the file comes first when it is none of the others."""
    own = "+".join(stage.mechanism for stage in community.market)
    if own and own not in MECHANISMS:
        yield own
    yield from MECHANISMS


def _design(community: Community, folder: Path, name: str) -> Design:
    stages: list[Stage] = []
    findings: list[Finding] = []
    for part in name.split("+"):
        try:
            stages.append(_stage(community, folder, part.strip(), len(stages)))
        except (ConfigError, MarketError) as error:
            findings += error.findings if isinstance(error, ConfigError) else [_finding(name, str(error))]
    findings += [_finding(name, finding.message) for finding in stage_order(stages)]
    if findings:
        raise ConfigError(name, findings)
    return Design(name, tuple(stages))


def _stage(community: Community, folder: Path, text: str, number: int) -> Stage:
    words = COLON.split(text)
    given = [word.partition("=") for word in words if "=" in word]
    name = ":".join(word for word in words if "=" not in word)
    mechanism = resolve(name, folder)
    inherited = next((stage for stage in community.market if stage.mechanism == name), None)
    parameters = dict(inherited.parameters) if inherited else {} if given else plain_parameters(mechanism)
    parameters |= {key: from_text(mechanism, key, value) for key, _, value in given}
    problems = mechanism.problems(parameters, community.unit)
    if problems:
        raise ConfigError(name, [_finding(text, f"{key} {sentence}".strip()) for key, sentence in problems])
    gate = next((stage.gate for stage in community.market if stage.gate), DEFAULT_GATE)
    return Stage(f"stage {number + 1}", name, gate if mechanism.phase == "ahead" else None, parameters)


def plain_parameters(mechanism: Mechanism[Any]) -> dict[str, object]:
    """What a mechanism is compared with when nothing is said: a fixed price is six tenths of the utility's average."""
    return {"share_of_average": "0.6"} if "share_of_average" in mechanism.parameters.model_fields else {}


def _finding(name: str, sentence: str) -> Finding:
    return Finding(f"mechanisms {name}".strip(), sentence[:1].lower() + sentence[1:].removesuffix("."))
