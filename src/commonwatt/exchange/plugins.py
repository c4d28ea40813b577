"""Mechanisms by name: those of the package, and the operator's own from a file beside community.toml.

    [market.day_ahead]
    mechanism = "my_market.py:MINE"

The file runs with the exchange's rights, so only the operator's own configuration can name one, never a member. What it
does wrong is told in one sentence, but it is not locked in: it can do whatever the exchange can. Its hash, like that of
every file which community.toml names, is part of the community's digest (`charter`), which the community's contract
holds: everyone can see which rule cleared.
"""

from __future__ import annotations

import importlib.util
import io
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np

from commonwatt.community.model import Community, Member
from commonwatt.community.tariff import PriceFile
from commonwatt.data.table import regular_file
from commonwatt.errors import CommonwattError, MarketError
from commonwatt.exchange.own.telling import reason
from commonwatt.market import Frame, Mechanism, Outcome, find
from commonwatt.proof import keccak
from commonwatt.records import Clearing

Rule = Callable[[Frame, tuple[Any, ...], Any], tuple[Outcome, ...]]

LOADING_TIME: Final = 60.0
"""How long a file of one's own may take until its mechanism is there [s]."""


@dataclass(frozen=True)
class OwnMechanism(Mechanism[Any]):
    """What the file `path` calls `attribute`. Whatever that raises, sys.exit too, is a MarketError with the reason."""

    path: Path = Path()
    attribute: str = ""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, Path]]:
        """Another process takes it from the file anew."""
        return resolve, (f"{self.path.name}:{self.attribute}", self.path.parent)

    def problems(self, parameters: Mapping[str, object], unit: int = 1) -> list[tuple[str, str]]:
        """See `Mechanism`. Raises MarketError."""
        with _told(self.path):
            return super().problems(parameters, unit)

    def in_vain(self, parameters: Mapping[str, object], frame: Frame, most_kw: float = inf) -> list[tuple[str, str]]:
        """See `Mechanism`. Raises MarketError."""
        with _told(self.path):
            return super().in_vain(parameters, frame, most_kw)

    def clear(
        self, frame: Frame, inputs: tuple[Any, ...], parameters: Mapping[str, object] | None = None
    ) -> tuple[Clearing, ...]:
        """See `Mechanism`. Raises MarketError, also when the rule's answer cannot be used."""
        with _told(self.path):
            clearings = super().clear(frame, inputs, parameters)
        if len(clearings) != len(frame.starts):
            raise MarketError(f"{self.path} answers for {len(clearings)} of {len(frame.starts)} slots.")
        return clearings


def resolve(name: str, folder: Path) -> Mechanism[Any]:
    """The mechanism called `name`, or the object in the file of "file.py:object", relative to `folder`.

    Raises MarketError when there is none, with the reason.
    """
    file, colon, attribute = name.partition(":")
    if not colon:
        return find(name)
    path = folder / file
    if not path.is_file():
        raise MarketError(f"There is no file {path} to take the mechanism '{attribute}' from.")
    found = _loaded(path, attribute)
    if not isinstance(found, Mechanism):
        raise MarketError(f"{path} has no Mechanism called '{attribute}'.")
    return OwnMechanism(**{**vars(found), "path": path, "attribute": attribute, "rule": _usable(path, found.rule)})


def with_files(community: Community, folder: Path) -> Community:
    """The community, whose hashes are of its file together with the bytes of the files that it names.

    These are its meter files, its price files and its own mechanisms, relative to `folder`, and of the whole also the
    agents and forecasters of members; not what such a file imports. Raises OSError or DataError when one cannot be
    read.
    """
    shared, own = _shared_files(community), _members_files(community)
    contents = {file: keccak(regular_file(folder / file).read_bytes()) for file in (*shared, *own)}

    def hashed(digest: bytes, files: Sequence[str]) -> bytes:
        return keccak(digest + b"".join(contents[file] for file in files)) if files else digest

    return replace(community, digest=hashed(community.digest, shared), whole=hashed(community.whole, [*shared, *own]))


def named_files(community: Community) -> list[str]:
    """The files that the community's file names, as it names them: of meters, of prices, and its own code."""
    return [*_shared_files(community), *_members_files(community)]


def _shared_files(community: Community) -> list[str]:
    rates = (community.tariff.retail, community.tariff.feed_in)
    return [
        *(each.path for each in community.profiles),
        *(rate.path for rate in rates if isinstance(rate, PriceFile)),
        *(stage.mechanism.partition(":")[0] for stage in community.market if ":" in stage.mechanism),
    ]


def _members_files(community: Community) -> list[str]:
    return list(dict.fromkeys(name.partition(":")[0] for name in own_names(community.members)))


def own_names(members: Iterable[Member]) -> list[str]:
    """The agents and forecasters of members' own, "file.py:object", each once."""
    named = ((member.agent, member.forecast) for member in members)
    return list(dict.fromkeys(name for pair in named for name in pair if ":" in name))


def _loaded(path: Path, attribute: str) -> object:
    """What the file calls `attribute`. It runs in a thread of its own, so that one which never ends can be left."""
    spec = importlib.util.spec_from_file_location(f"commonwatt_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise MarketError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where dataclasses look up the types of their fields
    run, found, failures, printed = spec.loader.exec_module, [], [], io.StringIO()

    def load() -> None:
        try:
            run(module)
            found.append(getattr(module, attribute, None))
        except BaseException as error:
            failures.append(_failure(path, error))

    thread = threading.Thread(target=load, daemon=True)
    with redirect_stdout(printed):
        thread.start()
        thread.join(LOADING_TIME)
    if thread.is_alive():
        raise MarketError(f"{path} cannot be run: it has not come to its end after {LOADING_TIME:g} s.")
    if failures:
        raise failures[0]
    if said := printed.getvalue().strip():
        raise MarketError(f"{path} cannot be run: it prints '{said[:40]}', but only the command may print.")
    return found[0]


def _usable(path: Path, rule: Rule) -> Rule:
    """The rule, whose answers are what an Outcome can hold. Nothing is rounded: 0.2 is no price of 0."""

    def answer(frame: Frame, inputs: tuple[Any, ...], parameters: Any) -> tuple[Outcome, ...]:
        outcomes = tuple(rule(frame, inputs, parameters))
        for fault in chain.from_iterable(map(_faults, outcomes)):
            raise MarketError(f"{path} gives an answer that cannot be used: {fault}.")
        return outcomes

    return answer


def _faults(outcome: object) -> Iterator[str]:
    if not isinstance(outcome, Outcome):
        yield f"{type(outcome).__name__} in the place of an Outcome"
        return
    columns = vars(outcome.trades)
    for name, column in columns.items():
        values = np.asarray(column)
        if values.ndim != 1 or values.dtype.kind not in "iuf" or bool((values % 1 != 0).any()):
            yield f"the column '{name}' of its trades does not hold whole numbers"
    if len({np.size(column) for column in columns.values()}) > 1:
        yield "the columns of its trades are not of one length"
    if not all(isinstance(key, str) and isinstance(price, int | np.integer) for key, price in outcome.prices.items()):
        yield "its prices are not whole numbers by name"
    if not all(isinstance(key, str) for key in outcome.diagnostics):
        yield "its diagnostics have no names"


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Whatever its code raises is told in a sentence. What it prints goes to stderr; stdout is the command's own."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (CommonwattError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise _failure(path, error) from error


def _failure(path: Path, error: BaseException) -> MarketError:
    return MarketError(f"{path} cannot be run: {reason(path, error)}.")
