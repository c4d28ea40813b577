"""The membership cards of simulated homes, written when their community is founded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commonwatt.community.model import Community
from commonwatt.exchange.bill_files import bill_name
from commonwatt.exchange.folder import write_private
from commonwatt.exchange.founding import NO_METER, Party
from commonwatt.member.card import Card, Place

if TYPE_CHECKING:
    from commonwatt.ledger.client.settlement import LedgerClient


def write_cards(client: LedgerClient, community: Community, parties: Sequence[Party], folder: Path) -> None:
    """Write every member's card into the folder, under the name of its bills. parties : by member index

    Raises OSError when a file cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = Place.founded(client)
    for member, party in zip(community.members, parties, strict=True):
        meters = () if party.meter == NO_METER else (party.meter,)
        if party.generator:
            meters = (*meters, party.generator.meter)
        card = Card(place, community.name, member.index, member.id, party.account, meters)
        text = json.dumps(card.as_json(), indent=2, ensure_ascii=False)
        write_private(folder / bill_name(member.index, member.id), f"{text}\n")
