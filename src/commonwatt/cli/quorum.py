"""The commands `commonwatt community …` for what several sign or vote, and of bonds. Heavy imports are inside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from commonwatt.cli.member import CommunityFile, money
from commonwatt.cli.operating import Number, Quorum, Sent, acting, number_of, print_signature, signatures
from commonwatt.cli.options import Whole, done, local_day, one_address, say, span, write_json
from commonwatt.cli.rights import ballot, proposal_json
from commonwatt.errors import ConfigError, Finding

_ALONE = Quorum()
recover = App(name="recover", help="Give a member that lost its key another account.")


def suspend(
    member: Number,
    *,
    sent: Sent,
    quorum: Quorum = _ALONE,
) -> None:
    """Suspend a member, as enough operators sign; it can still withdraw.

    Example: commonwatt community suspend 5 --key operator.key --contract ADDRESS
    """
    _stand(member, quorum, sent, active=False)


def reinstate(
    member: Number,
    *,
    sent: Sent,
    quorum: Quorum = _ALONE,
) -> None:
    """Let a member that left or was suspended take part again, as enough operators sign.

    Example: commonwatt community reinstate 5 --key operator.key --contract ADDRESS
    """
    _stand(member, quorum, sent, active=True)


@recover.command
def start(
    member: Number,
    account: str,
    *,
    sent: Sent,
    quorum: Quorum = _ALONE,
) -> None:
    """Begin to replace a member's account, as enough operators sign; the old one can object for some days.

    Example: commonwatt community recover start 5 ACCOUNT --key operator.key --contract ADDRESS

    Parameters
    ----------
    account
        Address of the new account.
    """
    address, number = one_address("account", account), number_of("member", member)
    with acting(sent) as (community, own, now):
        record = community.recovery(number, address)
        if quorum.sign:
            return print_signature(community, own, record, sent.json_path)
        receipt = community.start_recovery(own, record, signatures(community, own, record, quorum), at=now)
    return done(f"Member {number} can object to its new account {account}", receipt, sent.json_path)


@recover.command
def finish(member: Number, *, sent: Sent) -> None:
    """Replace a member's account after the time for objections. Any key may; the new account gets ether from it.

    Example: commonwatt community recover finish 5 --key operator.key --contract ADDRESS
    """
    number = number_of("member", member)
    with acting(sent) as (community, own, now):
        receipt = community.recover(own, number, at=now)
        account = bytes(community.ledger.view("Community", "accountOf", number)[0])
        community.ledger.sender.endow([account], now + 1)
    done(f"Member {number} has its new account", receipt, sent.json_path)


@recover.command
def refuse(*, sent: Sent) -> None:
    """Object, as the member, to the replacement of your account.

    Example: commonwatt community recover refuse --key my.key --contract ADDRESS
    """
    with acting(sent) as (community, own, now):
        receipt = community.refuse_recovery(own, at=now)
    done("Your account stays yours", receipt, sent.json_path)


def propose(
    *,
    admit: str | None = None,
    remove: str | None = None,
    threshold: Whole = 0,
    turnout: Whole = 0,
    voting_time: str | None = None,
    recovery_time: str | None = None,
    charter: Path | None = None,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    community: CommunityFile = None,
    sent: Sent,
) -> None:
    """Open a vote of the members; the key is a member's.

    Example: commonwatt community propose --remove OPERATOR --admit OTHER --key my.key --contract ADDRESS

    Parameters
    ----------
    admit
        Address of a new operator.
    remove
        Address of an operator.
    threshold
        How many operators must sign what concerns everybody's money.
    turnout
        Least share of those who may vote that must, in percent.
    voting_time
        How long votes are open, such as 7d.
    recovery_time
        How long a member can object to a new account, such as 7d.
    charter
        A new version of the community's file: other prices, another market, the same members.
    from_
        The first local day for which the charter is to hold, two days after the end of the vote at least.
    """
    from commonwatt.exchange.checking import load
    from commonwatt.ledger.client.membership import Change
    from commonwatt.ledger.node import ZERO_ADDRESS
    from commonwatt.member.proposing import charter_change

    for name, given in (("threshold", threshold), ("turnout", turnout)):
        if not 0 <= given < 256:
            raise ConfigError("The request", [Finding(name, f"is from 1 to 255, not {given}")])
    change = Change(
        one_address("admit", admit) if admit else ZERO_ADDRESS,
        threshold,
        turnout,
        span("voting-time", voting_time) if voting_time else 0,
        span("recovery-time", recovery_time) if recovery_time else 0,
        one_address("remove", remove) if remove else ZERO_ADDRESS,
    )
    if (charter is None) != (from_ is None):
        raise ConfigError("The request", [Finding("charter", "needs --from, the first day for which it holds")])
    if change == Change() and charter is None:
        raise ConfigError("The request", [Finding("propose", "changes nothing; name what the vote is about")])
    new = (load(charter), local_day("from", from_)) if charter and from_ else None
    old = load(community) if community else None
    with acting(sent) as (client, own, now):
        if new:
            adopted = charter_change(client.ledger, *new, now, old)
            change = replace(change, charter=adopted.charter, charter_from=adopted.charter_from)
        opened = client.proposal(client.propose(own, change, at=now))
    if sent.json_path:
        write_json(proposal_json(opened, now), sent.json_path)
    if sent.json_path != "-":
        say(ballot(opened, now))


def execute(number: Whole, *, sent: Sent) -> None:
    """Do what members decided; any key may.

    Example: commonwatt community execute 0 --key operator.key --contract ADDRESS

    Parameters
    ----------
    number
        Of the vote.
    """
    vote = number_of("number", number)
    with acting(sent) as (community, own, now):
        receipt = community.execute(own, vote, at=now)
    done(f"What vote {vote} decided holds", receipt, sent.json_path)


def expire(
    slot: Whole,
    revision: Whole = 0,
    *,
    sent: Sent,
) -> None:
    """Clear away a post that nobody made final in time, so that it binds its sender's bond no longer; any key may.

    Example: commonwatt community expire 1781503200 --key operator.key --contract ADDRESS

    Parameters
    ----------
    slot
        Its start in unix seconds.
    revision
        Of the post.
    """
    from commonwatt.ledger.client.purse import PurseClient

    start_, which = number_of("slot", slot), number_of("revision", revision)
    with acting(sent) as (community, own, now):
        receipt = PurseClient(community.ledger).expire(own, start_, which, at=now)
    done(f"The post of slot {start_}, revision {which}, is gone", receipt, sent.json_path)


def take_bond(amount: str, *, sent: Sent) -> None:
    """Take back what was staked and no open post binds, or what was earned by proving faults. Any account may.

    Example: commonwatt community take-bond 50 --key operator.key --contract ADDRESS

    Parameters
    ----------
    amount
        In the community's currency.
    """
    from commonwatt.ledger.client.purse import PurseClient
    from commonwatt.units import in_units

    wanted = money("amount", amount)
    with acting(sent) as (community, own, now):
        try:
            lanes = in_units(wanted, community.ledger.unit)
        except ValueError as error:
            raise ConfigError("The request", [Finding("amount", str(error))]) from None
        receipt = PurseClient(community.ledger).take_bond(own, lanes, at=now)
    done(f"Paid out {amount}", receipt, sent.json_path)


def _stand(member: int, quorum: Quorum, sent: Sent, *, active: bool) -> None:
    number = number_of("member", member)
    with acting(sent) as (community, own, now):
        record = community.standing(number, active=active)
        if quorum.sign:
            print_signature(community, own, record, sent.json_path)
            return
        receipt = community.set_standing(own, record, signatures(community, own, record, quorum), at=now)
    done(f"Member {number} {'takes part again' if active else 'is suspended'}", receipt, sent.json_path)
