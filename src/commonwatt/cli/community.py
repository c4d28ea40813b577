"""The commands `commonwatt community …`: who belongs to it, for its operators. Heavy imports are inside."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from commonwatt.cli.box import backup, restore
from commonwatt.cli.member import ReaderKey
from commonwatt.cli.operating import LEDGER, Contract, Ledger, Number, Sent, acting, asking, number_of, signature_of
from commonwatt.cli.options import JsonPath, done, one_address, say, write_json
from commonwatt.cli.quorum import execute, expire, propose, recover, reinstate, suspend, take_bond
from commonwatt.cli.rights import ballot, proposal_json
from commonwatt.errors import OutputError
from commonwatt.plain import many

if TYPE_CHECKING:
    from commonwatt.ledger.client.membership import Member

app = App(name="community", help="Who belongs to a community, who runs it, and what it votes on: for its operators.")

RoleName = Literal["consumer", "prosumer", "storage", "operator", "grid-company", "regulator", "service-provider"]
KindName = Literal["load", "generator", "storage", "grid-link"]


@app.command
def show(*, contract: Contract, ledger: Ledger = LEDGER, key: ReaderKey = None, json_path: JsonPath = None) -> None:
    """Show operators, members with their meters, devices, rules and votes.

    Example: commonwatt community show --contract ADDRESS --ledger commonwatt-demo/ledger.sqlite
    """
    from commonwatt.ledger.client.governance import governance
    from commonwatt.ledger.keyfile import read_key

    with asking(contract, ledger, reader=read_key(key) if key else None) as community:
        who, holds, rules = governance(community.ledger), community.parameters, asdict(community.rules)
        members, devices, votes = community.members, community.devices, community.proposals
        now = community.ledger.node.now(community.ledger.node.head.timestamp)
    figures = {
        "operators": [_text(each) for each in who.operators],
        "threshold": holds.threshold,
        "turnout": holds.turnout,
        "votingTime": holds.voting_time,
        "recoveryTime": holds.recovery_time,
        "config": f"0x{who.config.hex()}",
        "members": [_member(each) for each in members],
        "devices": [
            {
                "address": _text(each.address),
                "member": each.member,
                "kind": _word(each.kind.name),
                "common": each.common,
                "meter": _text(each.meter) if each.meter else None,
            }
            for each in devices
        ],
        "rules": {_camel(name): holds for name, holds in rules.items()},
        "votes": [proposal_json(each, now) for each in votes],
    }
    if json_path:
        write_json(figures, json_path)
    if json_path == "-":
        return
    say(f"{holds.threshold} of {many(len(who.operators), 'operator')} sign: {', '.join(map(_text, who.operators))}.")
    for member in members:
        meters = ", ".join(map(_text, member.meters)) or "none"
        if member.proposed:
            meters += f"; proposed: {', '.join(map(_text, member.proposed))}"
        standing = "" if member.active else ", not active"
        say(f"Member {member.index}, {_word(member.role.name)}{standing}: {_text(member.account)}; meters: {meters}.")
    for device in devices:
        own = f", measured by {_text(device.meter)}" if device.meter else ""
        say(f"Device {_text(device.address)} of member {device.member}, {_word(device.kind.name)}{own}.")
    broken = [_word(name) for name, kept in rules.items() if not kept]
    say(f"Rules that do not hold: {', '.join(broken)}." if broken else "All rules that a contract can check hold.")
    for vote in votes:
        say(ballot(vote, now))


@app.command
def register(
    account: str,
    role: RoleName,
    *,
    meter: str | None = None,
    card: Path | None = None,
    community: Path | None = None,
    sent: Sent,
) -> None:
    """Register a member, and give its account ether for a thousand transactions.

    Example: commonwatt community register ADDRESS prosumer --meter METER --key operator.key --contract ADDRESS

    Parameters
    ----------
    account
        Address of the member's account.
    role
        What it is to the community.
    meter
        Address of its first meter; without it, it has none yet.
    card
        Write the member's card to this file, for you to give to it; there must be no file yet.
    community
        The community's file, which gives the card the names of the community and the member.
    """
    from commonwatt.cli.card import write_card
    from commonwatt.community.roles import Role
    from commonwatt.ledger.client.settlement import Enrolment
    from commonwatt.ledger.node import ZERO_ADDRESS

    address = one_address("account", account)
    measured = ZERO_ADDRESS if meter is None else one_address("meter", meter)
    if card is not None and card.exists():
        raise OutputError(f"{card} is there already; name another file for the card.")
    with acting(sent) as (client, _, now):
        member = Enrolment(address, Role[role.upper().replace("-", "_")], measured)
        number = client.register(member, at=now)
        if sent.json_path:
            write_json({"member": number}, sent.json_path)
        if sent.json_path != "-":
            say(f"{account} is member {number}.")
        # Whatever is wrong with the card, the member is registered, and that was said.
        notes = [f"It has no card yet: write one by `commonwatt card {account}`, and give it to the member."]
        if card is not None:
            _, notes = write_card(client, address, community, card)
    if sent.json_path != "-":
        for note in notes:
            say(note)


@app.command(name="register-meter")
def register_meter(
    member: Number,
    meter: str,
    *,
    sent: Sent,
) -> None:
    """Give a member its first meter, or propose one more to it, which serves once the member accepts it.

    Example: commonwatt community register-meter 5 METER --key operator.key --contract ADDRESS

    Parameters
    ----------
    meter
        Address of the meter's key.
    """
    address, number = one_address("meter", meter), number_of("member", member)
    with acting(sent) as (community, own, now):
        receipt = community.register_meter(own, number, address, at=now)
        serves = community.serves(address)
    says = "measures" if serves else "is proposed to"
    done(f"{meter} {says} member {number}", receipt, sent.json_path, serves=serves)


@app.command(name="accept-meter")
def accept_meter(
    member: Number,
    meter: str,
    *,
    signature: str,
    sent: Sent,
) -> None:
    """Take a meter into service as its member signed; any key may bring it.

    Example: commonwatt community accept-meter 5 METER --signature SIGNATURE --key operator.key --contract ADDRESS

    Parameters
    ----------
    meter
        Address of the meter's key.
    signature
        Of the member, as its `commonwatt accept-meter --sign` printed it.
    """
    from commonwatt.records import Acceptance

    acceptance = Acceptance(number_of("member", member), one_address("meter", meter))
    with acting(sent) as (community, own, now):
        given = signature_of(community, acceptance, signature)
        receipt = community.bring_acceptance(own, acceptance, given, at=now)
    done(f"{meter} measures member {member}", receipt, sent.json_path)


@app.command(name="revoke-meter")
def revoke_meter(meter: str, *, sent: Sent) -> None:
    """Take a meter out of service, and with it the device that it measures alone.

    Example: commonwatt community revoke-meter METER --key operator.key --contract ADDRESS

    Parameters
    ----------
    meter
        Address of the meter's key.
    """
    address = one_address("meter", meter)
    with acting(sent) as (community, own, now):
        receipt = community.revoke_meter(own, address, at=now)
    done(f"{meter} is out of service", receipt, sent.json_path)


@app.command(name="register-device")
def register_device(
    member: Number,
    device: str,
    kind: KindName,
    *,
    meter: str | None = None,
    common: Annotated[bool, Parameter(negative="")] = False,
    sent: Sent,
) -> None:
    """Let a member's device take part.

    Example: commonwatt community register-device 5 DEVICE generator --meter METER --key operator.key --contract ADDRESS

    Parameters
    ----------
    device
        Address of the device's key.
    kind
        A generator and a grid link need a meter of their own.
    meter
        Address of a meter of the member that measures this device alone.
    common
        It is property of all members together.
    """
    from commonwatt.ledger.client.membership import Device, Kind

    measured = None if meter is None else one_address("meter", meter)
    made = Device(
        one_address("device", device),
        number_of("member", member),
        Kind[kind.upper().replace("-", "_")],
        common,
        measured,
    )
    with acting(sent) as (community, own, now):
        receipt = community.register_device(own, made, at=now)
    done(f"{device} takes part", receipt, sent.json_path)


@app.command(name="revoke-device")
def revoke_device(device: str, *, sent: Sent) -> None:
    """Take a device out of service; its member may do so, too.

    Example: commonwatt community revoke-device DEVICE --key operator.key --contract ADDRESS

    Parameters
    ----------
    device
        Address of the device's key.
    """
    address = one_address("device", device)
    with acting(sent) as (community, own, now):
        receipt = community.revoke_device(own, address, at=now)
    done(f"{device} takes part no longer", receipt, sent.json_path)


@app.command
def tables(
    bills: Path,
    *,
    out: Path,
    pdf: Annotated[bool, Parameter(negative="")] = False,
    json_path: JsonPath = None,
) -> None:
    """Write a month of a living exchange for its members, its accountant and its grid company, beside the exchange.

    Each bill becomes a page to print, bills/NAME.html. charges.csv has what is owed, readings.csv what each meter
    counted in each slot, energy.csv what of it was shared and what met the utility, and grid-company.csv the same in
    the form of an Austrian energy community's report.

    Example: commonwatt community tables village/bills/2026-06 --out june --pdf

    Parameters
    ----------
    bills
        The folder with the bills of all members.
    out
        The folder for what is written.
    pdf
        Make each bill a PDF too.
    """
    from commonwatt.billing.bill_tables import write_tables

    try:
        count = write_tables(bills, out, pdf=pdf)
    except OSError as error:
        raise OutputError(f"{error.filename or out} cannot be written: {error.strerror}.") from None
    if json_path:
        write_json({"bills": count}, json_path)
    if json_path != "-":
        say(f"{many(count, 'bill')} as pages, with all charges, readings and energy, are in {out}.")


for of_box in (backup, restore):
    app.command(of_box)
app.command(recover)
for together in (suspend, reinstate, propose, execute, expire):
    app.command(together)
app.command(take_bond, name="take-bond")


def _member(member: Member) -> dict[str, Any]:
    return {
        "index": member.index,
        "account": _text(member.account),
        "role": _word(member.role.name),
        "active": member.active,
        "meters": [_text(meter) for meter in member.meters],
        "proposed": [_text(meter) for meter in member.proposed],
    }


def _word(name: str) -> str:
    return name.lower().replace("_", "-")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _text(address: bytes) -> str:
    from commonwatt.proof.keys import checksum_address

    return checksum_address(address)
