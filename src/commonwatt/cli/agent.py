"""The commands for a member's agent on the box. Every heavy import happens inside the command that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from commonwatt.cli.dealing import energy
from commonwatt.cli.member import Contract, OwnKey
from commonwatt.cli.options import JsonPath, one_address, say, span, write_json
from commonwatt.errors import ConfigError, Finding
from commonwatt.service.packages import require

if TYPE_CHECKING:
    from commonwatt.service.own_agent import Box

app = App(name="agent", help="A member's agent on the box of a living exchange, which trades by itself.")

Authority = Annotated[Path | None, Parameter(help="Certificate of the authority that certified the exchange.")]


@app.command
def begin(
    url: str,
    *,
    key: OwnKey,
    community: Path,
    buy: str | None = None,
    max_buy: str | None = None,
    sell: str | None = None,
    min_sell: str | None = None,
    valid: str = "365d",
    strategy: Literal["truthful", "zero-intelligence"] = "truthful",
    contract: Contract = None,
    authority: Authority = None,
    json_path: JsonPath = None,
) -> None:
    """Have an agent on the box, and sign a mandate for it; both take the place of those before.

    It orders what went through your meter a week before, once there is a week of readings.

    Example: commonwatt agent begin https://box.local:8443 --key anna.key --community community.toml --buy 2 \
--max-buy 0.25 --sell 3 --min-sell 0.09

    Parameters
    ----------
    url
        Where the exchange is served.
    community
        The community's file.
    buy
        The most that it may buy in a slot [kWh]; without, nothing.
    max_buy
        The most that it may pay for a kWh.
    sell
        The most that it may sell in a slot [kWh]; without, nothing.
    min_sell
        The least that it may take for a kWh.
    valid
        How long from now the mandate holds, such as 365d.
    strategy
        At its own worth, or at a price drawn by chance, never at a loss.
    """
    require()
    from commonwatt.exchange.checking import load
    from commonwatt.service.own_agent import Terms
    from commonwatt.service.own_agent import begin as have

    for side, most, limit, price in (("buy", buy, "max-buy", max_buy), ("sell", sell, "min-sell", min_sell)):
        if (most is None) != (price is None):
            raise ConfigError("The request", [Finding(limit, f"goes with --{side}: give both or none")])
    if buy is None and sell is None:
        raise ConfigError("The request", [Finding("buy", "or --sell says what the agent may do")])
    file = load(community)
    terms = Terms(
        energy("buy", buy) if buy else 0,
        energy("sell", sell) if sell else 0,
        _price("max-buy", max_buy, file.unit),
        _price("min-sell", min_sell, file.unit),
        span("valid", valid),
    )
    told = have(_box(url, key, contract, authority), file, terms, strategy)
    if json_path != "-":
        say(f"You signed: {told['text']}")
    _shown(told, json_path)


@app.command
def show(
    url: str, *, key: OwnKey, contract: Contract = None, authority: Authority = None, json_path: JsonPath = None
) -> None:
    """Show the agent that the box has for you, and whether it will order.

    Example: commonwatt agent show https://box.local:8443 --key anna.key

    Parameters
    ----------
    url
        Where the exchange is served.
    """
    require()
    from commonwatt.service.own_agent import look

    _shown(look(_box(url, key, contract, authority)), json_path)


@app.command
def end(url: str, *, key: OwnKey, contract: Contract = None, authority: Authority = None) -> None:
    """Have no agent on the box any more: its key is erased. What it ordered for slots whose gate is open stands.

    Example: commonwatt agent end https://box.local:8443 --key anna.key

    Parameters
    ----------
    url
        Where the exchange is served.
    """
    require()
    from commonwatt.service.own_agent import end as erase

    erase(_box(url, key, contract, authority))
    say("The box has no agent for you any more.")


def _box(url: str, key: Path, contract: str | None, authority: Path | None) -> Box:
    from commonwatt.ledger.keyfile import read_key
    from commonwatt.service.own_agent import Box

    if not url.startswith(("http://", "https://")):
        raise ConfigError("The request", [Finding("url", f"begins with http:// or https://, not '{url}'")])
    return Box(url, read_key(key), authority, one_address("contract", contract) if contract else None)


def _price(name: str, text: str | None, unit: int) -> int:
    """A price of the option `name` [unit/kWh], exactly; 0 where none is given. unit : [micro-currency]"""
    from commonwatt.units import MAX_PRICE, micro

    try:
        price, rest = divmod(micro(text, least=0, most=MAX_PRICE) if text else 0, unit)
    except ValueError as error:
        raise ConfigError("The request", [Finding(name, str(error))]) from None
    if rest:
        raise ConfigError("The request", [Finding(name, f"is {text}, which the community's money cannot hold exactly")])
    return price


def _shown(told: dict[str, Any], json_path: str | None) -> None:
    if json_path:
        write_json(told, json_path)
    if json_path == "-":
        return
    who = f"The agent {told['agent']} orders at each gate" if told["agent"] else "The box has no agent for you"
    why = f", but not yet. {told['why']}" if told["agent"] and told["why"] else "."
    say(f"{who}{why}")
    if last := told["last"]:
        reason = f" {last['why']}" if last["why"] else ""
        say(f"At its last gate it placed {last['accepted']} orders, and {last['refused']} were refused.{reason}")
