"""A member whose node answers members only asks it all that members ask: its key signs the questions."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest
from acting_cases import Place
from at_once import AtOnce
from rpc_cases import served

from commonwatt.ledger.chain.embedded import EmbeddedChain
from commonwatt.ledger.readers import Readers
from commonwatt.ledger.rpc.app import Access
from commonwatt.ledger.rpc.service import Service


@pytest.mark.parametrize("place", ["file"], indirect=True)
def test_what_only_asks_is_signed_too(place: Place) -> None:
    own = place.keys.members[3]
    access = Access(readers=Readers(lambda reader: reader == own.address, time.time))
    with (
        closing(EmbeddedChain(Path(place.ledger))) as chain,
        served(Service(AtOnce(chain, lambda: 0)), access) as address,
    ):
        place.ledger = f"http://{address}"
        for command, *options in (("verify",), ("access",), ("vote",), ("buy", "--offers", place.offers)):
            code, _, wrong = place.ask(command, 3, *options)
            assert (code, "This node answers known readers only" in wrong) == (6, True)
            assert place.ask(command, 3, *options, "--key", place.key(own)).code == 0
        grant = ("--to", place.account(1), "--what", "bills", "--until", "1d", "--sign")
        assert place.act("grant", 3, *grant).code == 0
        shown = ("community", "show", "--contract", place.contract, "--ledger", place.ledger)
        assert place.shell(*shown).code == 6
        assert place.shell(*shown, "--key", place.key(own)).code == 0
        assert place.ask("access", 2, "--key", place.key(place.keys.members[2])).code == 6
