"""Whether somebody may read something of a member: the one door to what is kept about members.

The chain decides, and nothing is remembered from one question to the next: what was granted, withdrawn or has ended by
the last block counts at the next question, and so does what another branch says when the chain changes to it.
"""

from __future__ import annotations

from commonwatt.errors import LedgerError
from commonwatt.ledger.client.community import CommunityClient
from commonwatt.ledger.client.membership import scope_of
from commonwatt.ledger.client.settlement import LedgerClient
from commonwatt.ledger.node import ZERO_ADDRESS


def may_read(ledger: LedgerClient, reader: bytes, member: int, what: str, now: int = 0) -> bool:
    """Whether this account may read this of a member: its own account may, and who holds a grant of it.

    Standing does not matter: a member that left or is suspended keeps its data and its grants, and can take them back.
    The account that a member had before another one replaced it reads nothing; what the member granted holds on.
    Operators may read no more than others. A chain that cannot be asked says no, as it does of a member that is none.

    reader : address that proved to be the asker's; member : index; what : a word of `membership.SCOPES`
    now : the asker's clock [unix s]. A grant has ended when either this or the chain's last block is as late as its
        end, so it ends in time though no block comes.
    Raises ConfigError for a word that means nothing.
    """
    scope = scope_of(what)
    if len(reader) != len(ZERO_ADDRESS) or reader == ZERO_ADDRESS or not 0 <= member < 1 << 32:
        return False
    try:
        head = ledger.node.head
        account, until = CommunityClient(ledger).account_and_end(member, reader, scope)
    except LedgerError:
        return False
    return account == reader or until > max(head.timestamp, now)
