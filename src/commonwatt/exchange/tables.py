"""The tables of the exchange's store: orders, trades, readings, posts, and a journal of what was done when.

A slot that was settled anew has one post, one set of trades and one account per revision; `settled` has the number of
the last. Posts are numbered as the ledger is told them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()
# 64 bit on both: SQLite has one type for all integers, and its strict tables want that one's name.
INTEGER = BigInteger().with_variant(Integer, "sqlite")


def table(
    within: MetaData,
    name: str,
    keys: Sequence[str],
    integers: Sequence[str],
    blobs: Sequence[str] = (),
    texts: Sequence[str] = (),
    *,
    long: bool = False,
) -> Table:
    """A table with these columns, none of them empty; its key are the integers `keys`.

    long : its rows have a kilobyte and more; SQLite would give the end of each a page of its own, were they kept by key
    """
    return Table(
        name,
        within,
        *(Column(key, INTEGER, primary_key=True, autoincrement=False) for key in keys),
        *(Column(column, INTEGER, nullable=False) for column in integers),
        *(Column(column, LargeBinary, nullable=False) for column in blobs),
        *(Column(column, Text, nullable=False) for column in texts),
        sqlite_with_rowid=long,
        sqlite_strict=True,
    )


_table = partial(table, metadata)
run = Table(
    "run",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_strict=True,
)
# Numbered by member as they come; one holds from the slot `since` on, until it gives a newer one.
mandates = _table(
    "mandates",
    ["member", "number"],
    ["nonce", "since", "max_buy", "min_sell", "buy_wh", "sell_wh", "valid_from", "valid_until"],
    ["account", "agent", "hash", "signature"],
    ["text"],
)
# What the ledger told of members, and from when on it holds: role, whether a member takes part, and its account; and
# which meter counts for it, until when (0 = still).
standing = _table("standing", ["member", "since"], ["role", "active"], ["account"])
service = _table("service", ["number"], ["member", "since", "until"], ["meter"])
names = Table(
    "names",
    metadata,
    Column("account", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("bus", Text, nullable=False),
    sqlite_strict=True,
)
# Meters whose key the operators' box has, as it signs for a device that cannot: since when [unix s], and what it keeps
# of the device (`meter.device`). A row stays when the device goes, for sheets of its days say who signed.
devices = Table(
    "devices",
    metadata,
    Column("meter", Text, primary_key=True),
    Column("since", INTEGER, nullable=False),
    Column("kept", Text, nullable=False),
    sqlite_strict=True,
)
# By arrival, at `at` [unix s]; `counts` is 0 where another order replaced this one, or it cancels one, or it was void
# at the gate. Where the signature is that of a basket, this has `count` orders; of one that was signed alone, or not at
# all, it has 0.
orders = _table(
    "orders",
    ["slot", "position"],
    ["at", "member", "side", "wh", "limit", "expiry", "nonce", "counts", "first", "count", "place"],
    ["account", "hash", "signature", "siblings"],
    ["text"],
)
# What homes said before the gate that would go through their meters, traded or not, positive = into the home.
planned = _table("planned", ["slot", "member"], ["net"])
# What a home forecasts of the slots of a gate from the first one on, where homes agree before it; until it closes.
forecasts = _table("forecasts", ["slot", "member"], [], [], ["said"])
refusals = _table("refusals", ["slot", "number"], ["member"], [], ["reason"])
clearings = _table("clearings", ["slot", "stage"], [], [], ["mechanism", "prices", "proof", "diagnostics"])
trades = _table(
    "trades",
    ["slot", "revision", "number"],
    ["stage", "buyer", "seller", "wh", "settled", "price"],
    ["buy_order", "sell_order", "hash"],
)
# Every reading that was believed. `revision` is WAITING until it counts; of those that count the highest number does.
readings = _table(
    "readings", ["slot", "member", "sequence"], ["revision", "at", "wh_in", "wh_out"], ["meter", "hash", "signature"]
)
WAITING: Final = -1
_waits = readings.c.revision == WAITING
Index("readings_waiting", readings.c.slot, sqlite_where=_waits, postgresql_where=_waits)
generators = _table("generators", ["slot", "member"], ["wh_in", "wh_out", "sequence"], ["hash", "signature"])
settled = _table("settled", ["slot"], ["revision"])
accounts = _table("accounts", ["slot", "revision", "member"], ["measured", "net", "ahead", "after", "grid", "credit"])
# Where registers are shared: arrays of int64, as in `accounts.registers.Shares`.
registers = _table("registers", ["slot", "revision"], [], ["counted", "shared", "worth", "kept"], long=True)
# `first` is the first slot of those that were committed together.
commitments = _table("commitments", ["slot"], ["gate", "first"], ["orders", "trades"])
posts = _table(
    "posts",
    ["slot", "revision"],
    ["posted_at", "number"],
    ["orders", "trades", "statements", "deltas", "signatures", "leaves"],
    long=True,
)
# Revisions that trade with another community, from before the ledger is told them: the gateway, whether it buys here,
# at which price, what its meter counted and each member's share of that [Wh], and what makes the post final.
couplings = _table(
    "couplings",
    ["slot", "revision"],
    ["at", "gateway", "surplus", "price", "sequence", "until"],
    ["meter", "hash", "signature", "shares", "lock"],
)
# What was demanded of posts on the ledger: a member's lines, or where the order with this hash stands; then the member
# is NOBODY.
demands = _table("demands", ["number"], ["slot", "revision", "member", "until", "state"], ["hash"])
NOBODY: Final = -1
OPEN, ANSWERED, VOID = 0, 1, 2
# What relays are demanded to let through, as far as it may count. `slot` is the one whose trades it is for, 0 where the
# relay's owner wants it. And whose relay follows the trades.
deliveries = _table("deliveries", ["number"], ["member", "slot", "mwh", "until"], ["meter", "signature"])
relays = _table("relays", ["member"], ["trades"])
anchors = _table("anchors", ["start", "until"], [], ["bills"])
# What was counted of a home up to some post, and the most that this ever was [Wh], as `counters.Totals` has them.
counters = _table("counters", ["member", "counter"], ["wh", "most"])
caps = _table("caps", ["slot"], [], ["feed_in"])
Index("posts_by_number", posts.c.number, unique=True)
Index("commitments_by_gate", commitments.c.gate)
journal = _table("journal", ["number"], ["time"], [], ["what", "detail"])
Index("journal_by_time", journal.c.time)
