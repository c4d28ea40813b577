"""Mechanisms by name: those of the package, and the operator's own from a file beside community.toml.

    [market.day_ahead]
    mechanism = "my_market.py:MINE"

The file runs with the exchange's rights, so only the operator's own configuration can name one, never a member. Its
hash, like that of every file which community.toml names, is part of the community's digest (`charter`), which the
community's contract holds: everyone can see which rule cleared.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from commonwatt.community.model import Community
from commonwatt.community.tariff import PriceFile
from commonwatt.errors import MarketError
from commonwatt.market import Mechanism, find
from commonwatt.proof import keccak


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
    spec = importlib.util.spec_from_file_location(f"commonwatt_plugin_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise MarketError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise MarketError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    if not isinstance(found, Mechanism):
        raise MarketError(f"{path} has no Mechanism called '{attribute}'.")
    return found


def charter(community: Community, folder: Path) -> bytes:
    """Hash of the community's file together with the bytes of all files that it names, 32 bytes.

    These are its meter file, its price files and its own mechanisms, relative to `folder`; not what such a mechanism
    imports. Raises OSError when one cannot be read.
    """
    rates = (community.tariff.retail, community.tariff.feed_in)
    files = [
        *([community.profiles] if community.profiles else []),
        *(rate.path for rate in rates if isinstance(rate, PriceFile)),
        *(stage.mechanism.partition(":")[0] for stage in community.market if ":" in stage.mechanism),
    ]
    contents = b"".join(keccak((folder / file).read_bytes()) for file in files)
    return keccak(community.digest + contents) if files else community.digest
