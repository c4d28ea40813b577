"""The commands for what a member holds beside its bills: its card, what was believed before, a simulated home's key.

Heavy imports are inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from commonwatt.cli.member import ReaderKey
from commonwatt.cli.operating import LEDGER, Contract, Ledger, asking
from commonwatt.cli.options import JsonPath, one_address, say, write_json
from commonwatt.errors import ConfigError, Finding, LedgerError, OutputError
from commonwatt.member.beside import CARD

if TYPE_CHECKING:
    from commonwatt.ledger.client.community import CommunityClient
    from commonwatt.ledger.client.membership import Member


def card(
    account: str,
    *,
    contract: Contract,
    ledger: Ledger = LEDGER,
    community: Path | None = None,
    out: Path = Path(CARD),
    key: ReaderKey = None,
    json_path: JsonPath = None,
) -> None:
    """Write a member's card: chain, block 0, contracts with their code, account and meters. `verify --card` reads it.

    Example: commonwatt card ADDRESS --contract ADDRESS --ledger commonwatt-demo/ledger.sqlite

    Parameters
    ----------
    account
        Address of the member's account.
    community
        The community's file, which gives the card the names of the community and the member.
    out
        Where the card goes; there must be no file yet.
    """
    from commonwatt.ledger.keyfile import read_key

    address = one_address("account", account)
    with asking(contract, ledger, reader=read_key(key) if key else None) as client:
        written, notes = write_card(client, address, community, out)
    if json_path:
        write_json(written, json_path)
    if json_path != "-":
        for note in notes:
            say(note)


def write_card(
    client: CommunityClient, account: bytes, community: Path | None, out: Path
) -> tuple[dict[str, Any], list[str]]:
    """Write the card of the member with this account; the card, and what could be checked of it and what not.

    Raises LedgerError when the account is no member's, ConfigError when the file is another community's, OutputError
    when the card cannot be written or is there already.
    """
    import json

    from commonwatt.ledger.client.governance import governance
    from commonwatt.ledger.keyfile import create
    from commonwatt.member.card import Card, place_of
    from commonwatt.proof.keys import checksum_address

    place = place_of(client.ledger.node, client.ledger.addresses.settlement)
    member = next((each for each in client.members if each.account == account), None)
    if member is None:
        raise LedgerError(f"{checksum_address(account)} is no member's present account in this community.")
    names: tuple[str | None, str | None] = (None, None)
    if community is not None:
        names = _names(community, [each.digest for each in governance(client.ledger).charters], member)
    made = Card.of(place, member, *names).as_json()
    try:
        create(out, json.dumps(made, indent=2, ensure_ascii=False) + "\n", 0o600)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}.") from None
    meters = ", ".join(map(checksum_address, member.meters)) or "none yet"
    standing = "" if member.active else ", which is not active now"
    return made, [
        f"{out}: member {member.index}{standing}, account {checksum_address(account)}, meters {meters}.",
        "Checked: the contracts have the code of a release and name each other, and know this account and these meters"
        + ("." if community is None else ", and the file is a charter of theirs."),
        f"Not checked: whether chain {place.chain_id} with block 0 0x{place.genesis.hex()} and the Settlement "
        f"{checksum_address(client.ledger.addresses.settlement)} are your community's. Compare them with what its "
        "operators gave you by another way.",
    ]


def _names(file: Path, charters: list[bytes], member: Member) -> tuple[str, str | None]:
    """Names of community and member by the community's file, which has to be a charter of the contract."""
    from commonwatt.exchange.checking import load

    known = load(file)
    if known.digest not in charters:
        finding = Finding("community", f"{file} is no charter of this community, or another version of one")
        raise ConfigError("The request", [finding])
    return known.name, known.members[member.index].id if member.index < len(known.members) else None


def forget(bill: Path | None = None) -> None:
    """Forget what `verify` believed of a member's bills, so that it takes the next one anew; without a bill, list it.

    Example: commonwatt forget bills/home-05.json

    Parameters
    ----------
    bill
        Any bill of that member in that community.
    """
    from commonwatt.member import document
    from commonwatt.member.known import at_home, name_of

    known = at_home()
    if bill is None:
        for file in known.files:
            say(_known(file))
        if not known.files:
            say("Nothing is known of any bill.")
        return
    community, member = name_of(document.read(bill)["content"])
    there = known.forget(community, member)
    say(f"{'Forgotten' if there else 'Nothing was known of'}: {member} in {community}.")


def _known(file: Path) -> str:
    """What a file remembers, in words, or why it cannot be read."""
    from commonwatt.errors import StoreError
    from commonwatt.member.known import read

    try:
        found = read(file)
    except StoreError as error:
        return str(error)
    return (
        ""
        if found is None
        else (
            f"{found.member} in {found.community}: chain {found.chain} with block 0 {found.genesis}, Settlement "
            f"{found.settlement}, account {found.account} ({file})."
        )
    )


def key(
    community: Path,
    name: str,
    *,
    out: Annotated[Path, Parameter(help="Where the key goes; there must be no file yet.")],
) -> None:
    """Write the key of a simulated home, to try its commands with; a real home makes its own by `chain key`.

    Example: commonwatt key examples/village.toml home-05 --out home-05.key

    Parameters
    ----------
    community
        The file of the simulated community. Whoever has it has all keys.
    name
        Of the home in that file.
    """
    from difflib import get_close_matches

    from commonwatt.exchange.checking import load
    from commonwatt.ledger.keyfile import write_key
    from commonwatt.proof.keys import checksum_address
    from commonwatt.simulation.keys import simulated_keys

    known = load(community)
    ids = [member.id for member in known.members]
    if name not in ids:
        near = get_close_matches(name, ids, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise ConfigError("The request", [Finding("name", f"is a member of {known.name}, not '{name}'{hint}")])
    own = simulated_keys(known).members[ids.index(name)]
    write_key(out, own)
    say(
        f"{out}: the key of {checksum_address(own.address)}, for trying out only. Whoever has {community} can make it, "
        "and that of every other home, meter and operator of its simulation: they all come from the file."
    )
