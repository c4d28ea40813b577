"""The commands for a member alone: check a bill, object to a post, pay in, take out. Heavy imports are inside."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from commonwatt.cli.chain_queries import utc
from commonwatt.cli.options import JsonPath, Whole, addresses, done, say, write_json
from commonwatt.errors import ConfigError, Finding
from commonwatt.plain import many

if TYPE_CHECKING:
    from commonwatt.community.model import Community
    from commonwatt.member.known import Known
    from commonwatt.member.on_account import Month
    from commonwatt.member.trust import Pins, Trust
    from commonwatt.member.verify import Verified

Contract = Annotated[
    str | None, Parameter(help="Address of the community's contract Settlement, as you know it from elsewhere.")
]
Operators = Annotated[
    str | None,
    Parameter(
        help="Addresses of all operators of the community, as you know them from elsewhere, separated by commas."
    ),
]
CommunityFile = Annotated[
    Path | None,
    Parameter(
        name="--community", help="The community's file, whose digest the contract has to hold; it does not tell whose."
    ),
]
CardFile = Annotated[
    Path | None,
    Parameter(
        name="--card",
        help="Your membership card, which says whose the chain and the contracts are, and which account and meters "
        "are yours.",
    ),
]
ReaderKey = Annotated[
    Path | None,
    Parameter(name="--key", help="File of your key; it signs the questions to a node that answers members only."),
]
OwnKey = Annotated[Path, Parameter(help="File of the member's key, as made by `commonwatt chain key`.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Home:
    """Which chain and whose contracts, as a member knows them."""

    ledger: Annotated[
        str | None,
        Parameter(
            help="The chain's file, or the URL of a node; the default is ledger.sqlite in the folder above the bill's."
        ),
    ] = None
    contract: Contract = None
    operators: Operators = None
    community: CommunityFile = None
    card: CardFile = None

    def chain(self, bill: Path) -> str:
        """Where the chain is."""
        from commonwatt.member.beside import chain_beside

        return self.ledger or str(chain_beside(bill))

    @property
    def pins(self) -> Pins:
        """What the member knows of its community from elsewhere than the bill."""
        return _pins(self.contract, self.operators, self.known, self.card)

    @property
    def known(self) -> Community | None:
        """The community's file, if it is given."""
        return _known(self.community)


HOME = Home()


def verify(
    bill: Path,
    *,
    ledger: list[str] | None = None,
    contract: Contract = None,
    operators: Operators = None,
    community: Annotated[
        list[Path] | None,
        Parameter(
            negative="",
            help="The community's file, whose digest the contract has to hold and whose tariff the bill has to follow; "
            "it does not tell whose. Repeatable, where the bill is under several charters.",
        ),
    ] = None,
    card: CardFile = None,
    remember: bool = True,
    key: ReaderKey = None,
    plant: Annotated[
        list[Path] | None,
        Parameter(
            negative="",
            help="The bill of a plant that the member owns a part of: it is checked, and proves what this one says of "
            "the plant. Repeatable.",
        ),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """Check a bill against the chain alone; fails when a single digit was changed.

    Example: commonwatt verify commonwatt-demo/bills/home-05.json

    Parameters
    ----------
    bill
        The bill, as written by simulate --out or settle --out, or packed by gzip; or the sheet of a day.
    ledger
        The chain's file, or the URL of a node; the default is ledger.sqlite in the folder above the bill's. Given
        several times, all have to give the same answers.
    remember
        Keep what was believed of the member's first bill; bills of another chain, contract or account are refused then.
        With --no-remember nothing is kept; what was kept before still counts.
    """
    from commonwatt.exchange.checking import load
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.member.beside import chain_beside
    from commonwatt.member.known import at_home
    from commonwatt.member.terms import Terms
    from commonwatt.member.verify import open_and_verify

    terms = [Terms(load(file), file.parent) for file in community or []]
    pins = _pins(contract, operators, terms[0].community if terms else None, card)
    reader, known = read_key(key) if key else None, at_home()
    found, trust = open_and_verify(bill, ledger or [str(chain_beside(bill))], pins, terms, plant or (), reader, known)
    seen, told = _remembered(known, found, trust, remember=remember)
    if json_path:
        write_json({**asdict(found), "believed": trust.as_json(), "seen": seen}, json_path)
    if json_path == "-":
        return
    proved = f"{bill.name} is proved by the chain {trust.source}: {found.member} {_owes(found)}"
    if found.month:
        say(f"{proved} on account.")
        say(_of_month(found.month))
        say(trust)
        say(told)
        return
    if found.unseen:
        say(f"{proved}, as the sums of {many(found.unseen, 'sheet')} give it. The sheets were not shown or looked at.")
    else:
        say(f"{proved}; {many(found.lines, 'line')} in {many(found.slots, 'slot')} lead to settled posts.")
    if found.without_mandate:
        say(
            f"In {many(found.without_mandate, 'slot')} the member had given no mandate, as the operators say: nothing "
            "was traded or shared for it there."
        )
    if found.box_signs:
        say(
            f"The operators' box signed for a meter that cannot sign: {', '.join(found.box_signs)}. What such a meter "
            "counted is their word; compare its registers with the bill."
        )
    if found.day:
        say("It is no bill: nothing of it is anchored yet, and what is owed is rounded once for all days of a bill.")
    say(trust)
    later = "".join(f", from {utc(each.since)} UTC on {each.config}" for each in found.charters[1:])
    under = f"Under the charter {found.charters[0].config}{later}"
    if terms:
        say(f"{under}, which is what your file says.")
    else:
        say(
            f"{under}. The utility's prices, levies and VAT are the operators' word: compare them with your file by "
            "--community."
        )
    if found.plants:
        say(
            f"What {' and '.join(found.plants)} fed in, sold, earned and cost is the operators' word here: show its "
            "own bill by --plant."
        )
    say(told)


def _owes(found: Verified) -> str:
    """What the member owes or receives; of a day's sheet alone, which day it is of."""
    from commonwatt.units import paid_text

    if found.total is None:
        return f"has its sheet of {found.day}"
    amount = f"{paid_text(abs(found.total), found.currency)} {found.currency}"
    return f"{'owes' if found.total >= 0 else 'receives'} {amount}"


def _of_month(month: Month) -> str:
    """What was checked of a bill on account, and what is the operators' word."""
    share = "its share is the rule's, less than a Wh off" if month.share else "its share is the operators' word"
    verb = "is" if month.corrections == 1 else "are"
    more = f", as {verb} {many(month.corrections, 'correction')} of earlier months" if month.corrections else ""
    prices = ", at the prices of the community's page" if month.billed else ""
    counted = "What meters counted" if month.billed else "What meters counted, the energy of lines"
    return (
        f"In each of {many(month.slots, 'slot')} {share}; {many(month.lines, 'line')} add up{prices}. "
        f"{counted}, prices and fees are the operators' word{more}."
    )


def _remembered(known: Known, found: Verified, trust: Trust, *, remember: bool) -> tuple[str, str]:
    """How what was believed stands to earlier bills, as a word and as a sentence; where it is new, it is kept."""
    from commonwatt.errors import OutputError
    from commonwatt.member.known import Remembered

    now = Remembered.of({"community": found.community, "member": {"id": found.member}}, trust)
    if not trust.pins.whose:
        known.require_same(now)  # it was, before the bill was looked at; that takes a while
    before = known.find(now.community, now.member)
    changed, kept = before and now.differences(before), ""
    if remember:
        try:
            known.remember(now)
            kept = " It is remembered: bills of another chain, contract or account will be refused."
        except OutputError as error:
            kept = f" It is not remembered: {error}"
    if changed:
        return "other", (
            f"WARNING: the earlier bills of {now.member} in {now.community} were of others than those that you named "
            f"now ({changed}). Unless you know why, what they proved was not yours.{kept}"
        )
    if before and trust.pins.whose:
        return "again", "Chain, block 0, contract and account are those of the bills that were verified here before."
    if before:
        return "again", (
            "Chain, block 0, contract and account are those of the bills that were verified here before. Whether these "
            "were your community's, your card tells: name it by --card."
        )
    if trust.pins.whose:
        return "first", f"This is the first bill of {now.member} in {now.community} here.{kept}"
    return "first", (
        f"This is the first bill of {now.member} in {now.community} here, and only the bill itself says that these are "
        "your community's contracts and your account. Anybody can found others: name those that you know with --card, "
        f"--contract or --operators.{kept}"
    )


def challenge(
    document: Path,
    *others: Path,
    ledger: str | None = None,
    key: Path | None = None,
    slot: Whole | None = None,
    contract: Contract = None,
    operators: Operators = None,
    community: CommunityFile = None,
    card: CardFile = None,
    json_path: JsonPath = None,
) -> None:
    """Look for faults in what was posted about a member and is not final yet; with its key, have the posts deleted.

    Example: commonwatt challenge my-slots.json --ledger http://127.0.0.1:8545

    Parameters
    ----------
    document
        The member's bill, or the excerpt of a slot that the exchange gives out before.
    others
        The same of other members, from who watches for several: what is wrong between the two ends of a trade, such as
        an end that is left out, shows only so. Or an earlier one of the same slot, which shows what was committed.
    ledger
        The chain's file, or the URL of a node; the default is ledger.sqlite in the folder above the document's.
    key
        File of the member's key, as made by `commonwatt chain key`, or of one to which the member granted to watch.
        Without it nothing is sent; with it the contract or its operators have to be named.
    slot
        Start of one slot in unix seconds. One that the document does not hold is demanded on the chain.
    """
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.member.beside import chain_beside
    from commonwatt.member.challenge import challenge as look

    pins = _pins(contract, operators, _known(community), card)
    own = read_key(key) if key else None
    looked = look([document, *others], ledger or str(chain_beside(document)), pins, own, slot)
    if json_path:
        objections = [asdict(each) for each in looked.objections]
        figures = {"final": looked.final, "open": looked.open_, "objections": objections}
        write_json({**figures, "believed": looked.trust.as_json()}, json_path)
    if json_path == "-":
        return
    for each in looked.objections:
        gas = f" ({each.gas} gas)" if each.gas else ""
        say(f"{each.says}. {each.function}: {each.sent or 'not sent; name your key with --key'}{gas}.")
    if not looked.objections:
        say(
            f"Nothing to object to {looked.trust.source}: {many(looked.open_, 'slot')} not final, "
            f"{looked.final} final.",
        )
    say(looked.trust)


def withdraw(
    document: Path,
    amount: str | None = None,
    *,
    key: Path,
    ledger: str | None = None,
    contract: Contract = None,
    operators: Operators = None,
    community: CommunityFile = None,
    card: CardFile = None,
    json_path: JsonPath = None,
) -> None:
    """Ask for some of a member's balance back; without an amount, claim what was asked for before.

    Example: commonwatt withdraw bills/home-05.json 12.50 --key my.key --contract ADDRESS

    Parameters
    ----------
    document
        A bill of the member, which says where the contracts are.
    amount
        In the community's currency.
    key
        File of the member's key, as made by `commonwatt chain key`.
    ledger
        The chain's file, or the URL of a node; the default is ledger.sqlite in the folder above the document's.
    """
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.member.beside import chain_beside
    from commonwatt.member.challenge import withdraw as take

    wanted = None if amount is None else money("amount", amount)
    pins = _pins(contract, operators, _known(community), card)
    receipt = take(document, ledger or str(chain_beside(document)), pins, read_key(key), wanted)
    done("Paid out" if amount is None else "Asked for; claim it when the posts before it are final", receipt, json_path)


def deposit(bill: Path, amount: str, *, key: OwnKey, home: Home = HOME, json_path: JsonPath = None) -> None:
    """Pay in from a member's own account: the tokens that it holds, or its ether.

    Example: commonwatt deposit bills/home-05.json 12.50 --key my.key --contract ADDRESS

    Parameters
    ----------
    bill
        A bill of the member, which says where the contracts are.
    amount
        In the community's currency.
    """
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.member.acting import deposit as pay_in

    wanted = money("amount", amount)
    done("Paid in", pay_in(bill, home.chain(bill), home.pins, read_key(key), wanted), json_path)


def money(name: str, text: str) -> int:
    """Money of the option `name` [micro-currency], more than 0."""
    from commonwatt.units import MAX_MONEY, micro

    try:
        return micro(text, least=1, most=MAX_MONEY)
    except ValueError as error:
        raise ConfigError("The request", [Finding(name, str(error))]) from None


def _known(file: Path | None) -> Community | None:
    if file is None:
        return None
    from commonwatt.exchange.checking import load

    return load(file)


def _pins(contract: str | None, operators: str | None, community: Community | None, card: Path | None = None) -> Pins:
    from commonwatt.member.card import read as read_card
    from commonwatt.member.trust import Pins

    return Pins(
        addresses("contract", [contract])[0] if contract is not None else None,
        frozenset(addresses("operators", operators.split(","))) if operators is not None else None,
        community.digest if community else None,
        read_card(card) if card is not None else None,
    )
