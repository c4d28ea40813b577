"""The commands for a member's rights: its meters, who may read its data, votes, leaving. Heavy imports are inside."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from commonwatt.cli.chain_queries import utc
from commonwatt.cli.member import HOME, Home, OwnKey, ReaderKey
from commonwatt.cli.operating import write_signature
from commonwatt.cli.options import JsonPath, Whole, done, instant, local_day, one_address, say, span, write_json
from commonwatt.errors import ConfigError, Finding

if TYPE_CHECKING:
    from commonwatt.ledger.client.membership import Change, Grant, Proposal
    from commonwatt.member.acting import Access


def grant(
    bill: Path,
    *,
    key: Annotated[Path, Parameter(help="File of the member's key; with --bring of anybody's.")],
    to: Annotated[str | None, Parameter(help="Address of who may read.")] = None,
    what: str | None = None,
    until: str | None = None,
    withdraw: Annotated[bool, Parameter(negative="")] = False,
    sign: Annotated[bool, Parameter(negative="")] = False,
    bring: Path | None = None,
    home: Home = HOME,
    json_path: JsonPath = None,
) -> None:
    """Let somebody read a member's data for some time, or take that back.

    Example: commonwatt grant bill.json --key my.key --to ADDRESS --what readings --until 30d --contract ADDRESS

    Parameters
    ----------
    bill
        A bill of the member, which says where the contracts are.
    what
        readings, bills, forecast, or watch: to demand for the member what was posted about it.
    until
        A span from the chain's time on, such as 30d or 12h, or a date or time, UTC unless it names a zone. A later
        grant of the same takes the place of an earlier one.
    withdraw
        Take the grant back, at once.
    sign
        Print the signed grant for somebody who brings it, and send nothing; it counts once.
    bring
        File of a grant that a member signed. It is sent and paid for with your key; the bill may be any of the
        community's.
    """
    from commonwatt.ledger.client.membership import scope_of
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.member import acting

    if bring is not None:
        if to or what or until or withdraw or sign:
            raise ConfigError("The request", [Finding("bring", "is of what was signed, and takes no other words")])
        signed, receipt = acting.bring_grant(bill, home.chain(bill), home.pins, read_key(key), bring)
        whose = f"the {_what(signed.scope)} of member {signed.member}"
        told = f"may read {whose} until {utc(signed.until)} UTC" if signed.until else f"may no longer read {whose}"
        done(f"{_address(signed.grantee)} {told}", receipt, json_path, until=signed.until)
        return
    if to is None or what is None:
        raise ConfigError("The request", [Finding("to" if to is None else "what", "says who may read what")])
    if (until is None) != withdraw:
        message = "says how long, such as 30d" if not withdraw else "is not for --withdraw, which is at once"
        raise ConfigError("The request", [Finding("until", message)])
    scope_of(what)
    reader, at = one_address("to", to), (bill, home.chain(bill), home.pins, read_key(key))
    spans = until is not None and until[-1:].isalpha() and until[-1:] != "Z"
    end = None if until is None else span("until", until) if spans else instant("until", until)
    if sign:
        write_json(acting.sign_grant(*at, reader, what, end, span=spans), json_path or "-")
        return
    if end is None:
        done(f"{to} may no longer read your {what}", acting.withdraw_grant(*at, reader, what), json_path)
        return
    until_, receipt = acting.grant(*at, reader, what, end, span=spans)
    done(f"{to} may read your {what} until {utc(until_)} UTC", receipt, json_path, until=until_)


def access(
    bill: Path,
    *,
    key: ReaderKey = None,
    home: Home = HOME,
    json_path: JsonPath = None,
) -> None:
    """Show who may read a member's data, and whose data it may read.

    Example: commonwatt access bills/home-05.json

    Parameters
    ----------
    bill
        A bill of the member, which says where the contracts are.
    """
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.member import acting

    found = acting.access(bill, home.chain(bill), home.pins, read_key(key) if key else None)
    if json_path:
        write_json(_as_json(found), json_path)
    if json_path == "-":
        return
    for each in found.given:
        may = f"{_address(each.grantee)} {{}} your {_what(each.scope)}"
        say(_sentence(each, found, may))
    for each in found.received:
        may = f"You {{}} the {_what(each.scope)} of {_address(found.members[each.member].account)}"
        say(_sentence(each, found, may))
    if not found.given:
        say("You have let nobody read your data.")
    if not found.received:
        say("Nobody has let you read theirs.")


def accept_meter(
    bill: Path,
    meter: str,
    *,
    key: OwnKey,
    sign: Annotated[bool, Parameter(negative="")] = False,
    home: Home = HOME,
    json_path: JsonPath = None,
) -> None:
    """Take a meter into service that was proposed to you: from then on what it counts is yours.

    Example: commonwatt accept-meter bills/home-05.json METER --key my.key --contract ADDRESS

    Parameters
    ----------
    bill
        A bill of the member, which says where the contracts are.
    meter
        Address of the meter's key.
    sign
        Print your signature for who sends, and send nothing.
    """
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.member import acting

    at = (bill, home.chain(bill), home.pins, read_key(key), one_address("meter", meter))
    if sign:
        write_signature(acting.acceptance(*at), json_path)
    else:
        done(f"{meter} measures you", acting.accept_meter(*at), json_path)


def vote(
    bill: Path,
    number: Whole | None = None,
    choice: Literal["yes", "no"] | None = None,
    *,
    key: Path | None = None,
    home: Home = HOME,
    json_path: JsonPath = None,
) -> None:
    """Vote on what members decide together; without a number, show the votes.

    Example: commonwatt vote bills/home-05.json 0 yes --key my.key --contract ADDRESS

    Parameters
    ----------
    bill
        A bill of the member, which says where the contracts are.
    number
        Of the vote.
    choice
        yes or no.
    key
        File of the member's key, as made by `commonwatt chain key`.
    """
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.member import acting

    if number is None:
        found = acting.ballots(bill, home.chain(bill), home.pins, read_key(key) if key else None)
        if json_path:
            votes = [{**proposal_json(each.proposal, each.now), "voted": each.voted} for each in found]
            write_json({"votes": votes}, json_path)
        if json_path != "-":
            for each in found:
                say(ballot(each.proposal, each.now) + (" You have voted." if each.voted else ""))
            if not found:
                say("There is nothing to vote on.")
        return
    if choice is None or key is None:
        raise ConfigError("The request", [Finding("vote", "needs yes or no, and your --key")])
    if number < 0:
        raise ConfigError("The request", [Finding("number", f"is not below zero, as {number} is")])
    receipt = acting.vote(bill, home.chain(bill), home.pins, read_key(key), number, yes=choice == "yes")
    done(f"Voted {choice} on {number}", receipt, json_path)


def propose(
    bill: Path,
    *,
    charter: Path,
    from_: Annotated[str, Parameter(name="--from")],
    key: OwnKey,
    home: Home = HOME,
    json_path: JsonPath = None,
) -> None:
    """Open a vote on a new version of the community's file: other prices, another market, the same members.

    Example: commonwatt propose bills/home-05.json --charter new.toml --from 2026-07-15 --key my.key --contract ADDRESS

    Parameters
    ----------
    bill
        A bill of the member, which says where the contracts are.
    charter
        The new file.
    from_
        The first local day for which it is to hold, two days after the end of the vote at least.
    """
    from commonwatt.exchange.checking import load
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.member.proposing import propose as open_vote

    day, new = local_day("from", from_), load(charter)
    opened, now = open_vote(bill, home.chain(bill), home.pins, read_key(key), new, day, home.known)
    if json_path:
        write_json(proposal_json(opened, now), json_path)
    if json_path != "-":
        say(ballot(opened, now))


def resign(
    bill: Path,
    *,
    key: OwnKey,
    home: Home = HOME,
    json_path: JsonPath = None,
) -> None:
    """Leave the community; only its operators can let you in again. Your balance stays yours: `withdraw` it.

    Example: commonwatt resign bills/home-05.json --key my.key --contract ADDRESS

    Parameters
    ----------
    bill
        A bill of the member, which says where the contracts are.
    """
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.member import acting

    receipt = acting.resign(bill, home.chain(bill), home.pins, read_key(key))
    done("You have left; withdraw what you hold", receipt, json_path)


def ballot(proposal: Proposal, now: int) -> str:
    """A vote in words. now : the chain's time [unix s]"""
    state = "done" if proposal.executed else f"{'open until' if now < proposal.closes_at else 'closed since'} "
    when = "" if proposal.executed else f"{utc(proposal.closes_at)} UTC"
    counted = f"{proposal.yes} yes, {proposal.no} no of {proposal.electorate}"
    return f"Vote {proposal.number}, {state}{when}: {', '.join(_changes(proposal.change))}. {counted}."


def proposal_json(proposal: Proposal, now: int) -> dict[str, Any]:
    """A vote for programs. now : the chain's time [unix s]"""
    change = proposal.change
    return {
        "number": proposal.number,
        "change": {
            "admit": _address(change.admitted) if any(change.admitted) else None,
            "remove": _address(change.removed) if any(change.removed) else None,
            "threshold": change.threshold or None,
            "turnout": change.turnout or None,
            "votingTime": change.voting_time or None,
            "recoveryTime": change.recovery_time or None,
            "charter": f"0x{change.charter.hex()}" if any(change.charter) else None,
            "charterFrom": change.charter_from or None,
        },
        "closes": proposal.closes_at,
        "open": now < proposal.closes_at and not proposal.executed,
        "executed": proposal.executed,
        "yes": proposal.yes,
        "no": proposal.no,
        "electorate": proposal.electorate,
    }


def _changes(change: Change) -> Iterable[str]:
    days = 86_400
    told = (
        (any(change.admitted), f"admit the operator {_address(change.admitted)}"),
        (any(change.removed), f"remove the operator {_address(change.removed)}"),
        (change.threshold, f"let {change.threshold} operators sign together"),
        (change.turnout, f"a turnout of {change.turnout} %"),
        (change.voting_time, f"votes of {change.voting_time / days:g} days"),
        (change.recovery_time, f"{change.recovery_time / days:g} days to object to a new account"),
        (any(change.charter), f"the charter 0x{change.charter.hex()} from {utc(change.charter_from)} UTC on"),
    )
    return [text for changes, text in told if changes] or ["change nothing"]


def _sentence(grant: Grant, found: Access, may: str) -> str:
    if grant.valid:
        return f"{may.format('may read')} until {utc(grant.until)} UTC."
    withdrawn = grant.until > found.now
    return f"{may.format('could read')}: {'withdrawn' if withdrawn else f'ended {utc(grant.until)} UTC'}."


def _as_json(found: Access) -> dict[str, Any]:
    def told(each: Grant, side: str, account: bytes) -> dict[str, Any]:
        return {side: _address(account), "what": _what(each.scope), "until": each.until, "valid": each.valid}

    return {
        "given": [told(each, "to", each.grantee) for each in found.given],
        "received": [told(each, "from", found.members[each.member].account) for each in found.received],
    }


def _what(scope: bytes) -> str:
    from commonwatt.ledger.client.membership import SCOPES

    return SCOPES.get(scope) or f"0x{scope.hex()}"


def _address(account: bytes) -> str:
    from commonwatt.proof.keys import checksum_address

    return checksum_address(account)
