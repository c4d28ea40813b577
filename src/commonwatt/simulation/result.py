"""What a simulation found, as tidy tables. Energy in Wh (positive into the home), money in currency units.

Times are UTC; the community's own clock is the column `local`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl

from commonwatt.accounts.charges import Charges
from commonwatt.accounts.document import Anchored, anchored, charge_lines
from commonwatt.community.calendar import local_clock
from commonwatt.community.model import Stage
from commonwatt.exchange import tables
from commonwatt.exchange.bills import bills
from commonwatt.exchange.laboratory import Laboratory
from commonwatt.exchange.rows import stages_ahead
from commonwatt.grid import GridCheck
from commonwatt.simulation.homes import Homes, through
from commonwatt.units import IntArray, payments

OWN_PLANTS: Final = "own plants"
"""In the place of a stage's name: what owners took of their plants."""
OTHER_COMMUNITY: Final = "other community"
"""The same: what was traded with another community."""

FLOWS = ("load", "generation", "charge", "discharge", "curtailed", "net", "ahead", "after", "grid")
MET: Final = {"bought_wh": "bought", "sold_wh": "sold", "import_wh": "imported", "export_wh": "exported"}
"""Columns for what a member had from others and the utility and gave to them, by their arrays."""


@dataclass(frozen=True)
class LedgerFigures:
    """The chain after the run: blocks, transactions, gas, and whether its books close [micro-currency]."""

    chain_id: int
    settlement: str
    blocks: int
    transactions: int
    gas: int
    gas_settlement: int
    trades: int
    balances: int
    deposits: int

    @property
    def gas_per_trade(self) -> float:
        """Gas of commitments, posts and settlements, per settled trade."""
        return self.gas_settlement / self.trades if self.trades else 0.0


class Result:
    """Tables are made when they are asked for.

    exchange, simulated : the two sides of the run, at its end: the engine and the simulated homes
    close : releases their files; let_go : the same, with all that they hold read into memory before
    """

    def __init__(
        self, exchange: Laboratory, homes: Homes, close: Callable[[], None], let_go: Callable[[], None] | None = None
    ) -> None:
        self.exchange, self.simulated = exchange, homes
        self.close, self.let_go = close, let_go or close
        self.rules, self.books = exchange.rules, exchange.books
        self.community, self.period, self.prices = self.rules.community, self.rules.period, self.rules.prices

    @property
    def seconds(self) -> dict[str, float]:
        """CPU seconds by step."""
        return dict(self.exchange.watch.seconds)

    @cached_property
    def arrays(self) -> dict[str, IntArray]:
        """Every flow as an array, shape (members, slots): Wh, and `credit` in units of money.

        `flowed` went through the meters, whether their readings came or not; `net` is what was settled. Of that, each
        >= 0: `drawn` and `fed` were metered; `bought` and `sold` are trades with others; `imported` and `exported` are
        on the utility's bill, and with what no reading says `from_utility` and `to_utility`. What a member with points
        took while it fed in as much, through its meters and at no price, was `returned`.
        """
        flows, books = self.simulated.arrays, self.books
        a = {**flows, **books.arrays, "flowed": through(flows)}
        a["drawn"], a["fed"] = books.metered_energy
        a["bought"], a["sold"] = books.traded
        a["imported"], a["exported"] = books.energy.imported, books.energy.exported
        whole = flows["load"], flows["generation"]
        if self.rules.registers is None:
            whole = np.maximum(a["flowed"], 0), np.maximum(-a["flowed"], 0)
        read = a["measured"] > 0
        a["from_utility"], a["to_utility"] = (
            np.where(read, a[billed], all_of_it)
            for billed, all_of_it in zip(("imported", "exported"), whole, strict=True)
        )
        pointed = self.simulated.pointed[:, np.newaxis]
        a["returned"] = np.where(pointed, a["load"] - a["bought"] - a["from_utility"], 0)
        return a

    @cached_property
    def flows(self) -> pl.DataFrame:
        """One row per slot and home: load_wh, generation_wh, …, grid_wh.

        Where registers are shared a member may have both ways at once in a slot; bought_wh, sold_wh, import_wh and
        export_wh then stand beside their differences. Where a reading did not come at the end of its slot, `metered`
        says of each row what it rests on; net, ahead, after and grid are what was settled.
        """
        names = {f"{name}_wh": name for name in FLOWS} | (MET if self.rules.registers else {})
        columns = {column: self.arrays[name].T.ravel() for column, name in names.items()}
        ids = [member.id for member in self.community.members]
        slots = self._slot_columns().select(pl.all().repeat_by(len(ids)).explode())
        table = slots.with_columns(
            home=pl.Series(ids * self.period.count), **{k: pl.Series(v) for k, v in columns.items()}
        )
        if self.arrays["measured"].all() and not self.arrays["revision"].any():
            return table
        return table.with_columns(
            metered=pl.Series([told for slot in zip(*self.books.metered, strict=True) for told in slot])
        )

    @cached_property
    def slots(self) -> pl.DataFrame:
        """One row per slot: the community's sums, what was traded, imported and exported, and the prices.

        A price of a stage is in the column stage_price, such as real_time_buy.
        """
        a = self.arrays
        sums = {
            f"{name}_wh": a[name].sum(axis=0) for name in ("load", "generation", "charge", "discharge", "curtailed")
        }
        met = {"local_wh": "bought", "import_wh": "imported", "export_wh": "exported"}
        energy = {**sums, **{column: a[name].sum(axis=0) for column, name in met.items()}}
        table = self._slot_columns().with_columns(**{k: pl.Series(v) for k, v in energy.items()})
        p = self.prices
        prices = {"grid_price": p.gross, "ceiling": p.ceiling, "feed_in": p.feed_in}
        table = table.with_columns(**{k: pl.Series(v / self.community.per_currency) for k, v in prices.items()})
        return table.join(self._clearing_prices(), on="slot", how="left")

    @cached_property
    def local_prices(self) -> dict[str, tuple[Stage, str]]:
        """The columns of `slots` that are prices of a stage: the stage, and what its mechanism calls the price."""
        stages = self.rules.market
        found = {
            (row.stage, name): None
            for row in self.exchange.store.rows(tables.clearings)
            for name in json.loads(row.prices)
        }
        return {f"{stages[stage].name}_{name}": (stages[stage], name) for stage, name in sorted(found)}

    def _clearing_prices(self) -> pl.DataFrame:
        rows: dict[int, dict[str, Any]] = {int(s): {"slot": int(s)} for s in self.period.starts}
        for row in self.exchange.store.rows(tables.clearings):
            stage = self.rules.market[row.stage].name
            for name, price in json.loads(row.prices).items():
                rows[row.slot][f"{stage}_{name}"] = price / self.community.per_currency
        frame = pl.from_dicts(list(rows.values()), infer_schema_length=None)
        return frame.with_columns(_utc("slot"))

    @cached_property
    def trades(self) -> pl.DataFrame:
        """One row per trade: slot, phase ("ahead" of delivery or "after"), name of the stage, number, seller, buyer,
        wh agreed, settled_wh, price, payment. What owners took of their plants has the stage "own plants", what was
        traded with another community "other community".
        """
        names = ("slot", "stage", "number", "seller", "buyer", "wh", "settled", "price")
        rows = self.exchange.store.last(tables.trades, names, self.rules.period)
        columns = np.array(rows, dtype=np.int64).reshape(-1, len(names)).T
        slot, stage, number, seller, buyer, wh, settled, price = columns
        ids = np.array([member.id for member in self.community.members], dtype=object)
        # OF_PLANTS, -1, is the last place, and OF_COUPLING, -2, the one before.
        own = [stage.name for stage in self.rules.market]
        stages = np.array([*own, OTHER_COMMUNITY, OWN_PLANTS], dtype=object)
        per_currency = self.community.per_currency
        gated = ["ahead" if stage.gate else "after" for stage in self.rules.market]
        phases = np.array([*gated, "after", "after"], dtype=object)
        frame = pl.DataFrame(
            {
                "slot": slot,
                "phase": pl.Series(phases[stage].tolist(), dtype=pl.String),
                "stage": pl.Series(stages[stage].tolist(), dtype=pl.String),
                "number": number,
                "seller": pl.Series(ids[seller].tolist(), dtype=pl.String),
                "buyer": pl.Series(ids[buyer].tolist(), dtype=pl.String),
                "wh": wh,
                "settled_wh": settled,
                "price": price / per_currency,
                "payment": payments(settled, price) / per_currency,
            }
        )
        return frame.with_columns(_utc("slot"))

    @cached_property
    def proofs(self) -> tuple[int, int, int]:
        """Number of clearings, of the checks that came with them, and of those that hold."""
        proofs = [json.loads(row.proof) for row in self.exchange.store.rows(tables.clearings)]
        return len(proofs), sum(map(len, proofs)), sum(check["holds"] for proof in proofs for check in proof)

    @cached_property
    def uncleared(self) -> tuple[str, ...]:
        """Why slots stayed without local trade, a sentence for each that could not be cleared."""
        return tuple(note["reason"] for note in self.not_cleared)

    @cached_property
    def not_cleared(self) -> tuple[dict[str, Any], ...]:
        """The journal's notes of slots that could not be cleared: slot [unix s], mechanism, reason, figure.

        Where a price was beyond a limit, also the member, the price and the limit [unit/kWh] of the worst trade.
        """
        rows = self.exchange.store.rows(tables.journal)
        return tuple(json.loads(row.detail) for row in rows if row.what == "not cleared")

    def diagnostics(self, phase: str) -> list[dict[str, Any]]:
        """What the clearings of the stages "ahead" of delivery or "after" it say of themselves, slot by slot."""
        rows, ahead = self.exchange.store.rows(tables.clearings), stages_ahead(self.exchange.store)
        return [json.loads(row.diagnostics) for row in rows if (row.stage in ahead) == (phase == "ahead")]

    @cached_property
    def wires(self) -> GridCheck | None:
        """What the homes' energy did to the wires in every slot; None where they are not known."""
        wires = self.rules.wires
        return wires.check(self.arrays["flowed"]) if wires else None

    @property
    def charges(self) -> Charges:
        """What each member owes with the market [unit]."""
        return self.books.charges

    @property
    def charges_without_market(self) -> Charges:
        """What each member would owe if it met the utility alone [unit]."""
        return self.books.charges_without_market

    @cached_property
    def homes(self) -> pl.DataFrame:
        """One row per home: energy by where it came from and went, the bill with and without the market, the saving."""
        a, members = self.arrays, self.community.members
        per_currency = self.community.per_currency
        with_market, without = self.charges.total, self.charges_without_market.total
        return pl.DataFrame(
            {
                "home": [member.id for member in members],
                "pv_kwp": [member.pv.kwp if member.pv else 0.0 for member in members],
                "battery_kwh": [member.battery.kwh if member.battery else 0.0 for member in members],
                "load_wh": a["load"].sum(axis=1),
                "generation_wh": a["generation"].sum(axis=1),
                **{column: a[name].sum(axis=1) for column, name in MET.items()},
                "bill": with_market / per_currency,
                "bill_without_market": without / per_currency,
                "saving": (without - with_market) / per_currency,
            }
        )

    @cached_property
    def lines(self) -> pl.DataFrame:
        """One row per home and line of its bill: energy from the utility, fees, levies, VAT, shares of plants."""
        per_currency = self.community.per_currency
        rows = [
            (member.id, line["name"], line.get("wh"), line["amount"] / per_currency)
            for member in self.community.members
            for line in charge_lines(self.charges, member.index)
        ]
        schema = {"home": pl.String, "line": pl.String, "wh": pl.Int64, "amount": pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    @cached_property
    def bills(self) -> Anchored:
        """Every member's bill, and the tree whose root is on the chain."""
        return anchored(bills(self.books))

    @cached_property
    def ledger(self) -> LedgerFigures | None:
        """The chain's figures; None when the run had no ledger."""
        client = self.books.client
        if client is None:
            return None
        node = client.node
        blocks = [node.block(number) for number in range(1, node.head.number + 1)]
        founded = int(self.exchange.store.values()["founded_at_block"])
        settled = int((self.trades["settled_wh"] > 0).sum())
        return LedgerFigures(
            chain_id=node.chain_id,
            settlement="0x" + client.addresses.settlement.hex(),
            blocks=len(blocks),
            transactions=sum(len(block.transactions) for block in blocks),
            gas=sum(block.gas_used for block in blocks),
            gas_settlement=sum(block.gas_used for block in blocks if block.number > founded),
            trades=settled,
            balances=sum(client.balances().tolist()) * self.community.unit,
            deposits=sum(member.collateral for member in self.community.members) * self.community.unit,
        )

    def _slot_columns(self) -> pl.DataFrame:
        local = pl.Series(local_clock(self.period, self.community.timezone).astype("datetime64[ms]"))
        return pl.DataFrame({"slot": self.period.starts, "local": local}).with_columns(_utc("slot"))


def _utc(column: str) -> pl.Expr:
    return pl.from_epoch(pl.col(column), time_unit="s").dt.replace_time_zone("UTC").alias(column)
