"""A finished run as a notebook has it: in memory, with its screen, its plots, and what the shell's `--out` writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from commonwatt.community.fields import near, some
from commonwatt.errors import ConfigError, Finding
from commonwatt.exchange.arguments import as_path, short, writing
from commonwatt.plain import many
from commonwatt.report.homeplots import flows_svg, savings_svg
from commonwatt.report.html import as_html
from commonwatt.report.metrics import figures
from commonwatt.report.outputs import write_outputs
from commonwatt.report.plots import WIDE, balance_svg, days_svg, prices_svg
from commonwatt.report.screen import WIDEST, render
from commonwatt.report.svg import Plot
from commonwatt.report.trace import trace
from commonwatt.simulation.result import Result
from commonwatt.units import price_text

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import RenderableType

PLOTS: Final[Mapping[str, Callable[..., str]]] = {
    "balance": balance_svg,
    "days": days_svg,
    "prices": prices_svg,
    "savings": savings_svg,
    "flows": flows_svg,
}


class Finished(Result):
    """A run whose files are released; it shows itself in a notebook.

    >>> import commonwatt
    >>> result = commonwatt.simulate("examples/five-homes.toml", start="2026-05-11", ledger="none")
    >>> result
    <Result Five homes, 1 day from 2026-05-11: 5 homes saved 11.994155 INR, 21 trades>
    >>> result.plot("prices")
    <Plot Prices, INR/kWh>
    """

    @classmethod
    def of(cls, live: Result) -> Finished:
        """The run, with all that its files hold read into memory and the files released."""
        live.let_go()
        return cls(live.exchange, live.simulated, live.close)

    def plot(self, kind: str = "balance", *, width: float = WIDE) -> Plot:
        """A plot of the run, which a notebook shows.

        kind : "balance" of the community over time, its "days" over the period, "prices", what each home saved
            ("savings"), or who delivered to whom ("flows")
        width : [px]; below 600 it takes its form for a phone
        Raises ConfigError for another kind.
        """
        return Plot(chosen(kind, PLOTS, width)(self, width))

    def write(self, folder: str | Path) -> Path:
        """Write what the shell's `--out` writes: bills where there is a ledger, tables and the report. Returns it."""
        with writing(as_path("folder", folder)) as path:
            write_outputs(self, path)
        return path

    def __enter__(self) -> Finished:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __rich__(self) -> RenderableType:
        """The screen of the shell."""
        return render(self, trace(self))

    def _repr_html_(self) -> str:
        return as_html(self.__rich__(), WIDEST)

    def __repr__(self) -> str:
        community, found, days = self.community, figures(self), many(self.rules.days, "day")
        homes = many(sum(member.draws for member in community.members), "home")
        return (
            f"<Result {community.name}, {days} from {self.rules.start}: {homes} saved "
            f"{price_text(found.saved)} {community.currency}, {many(found.trades, 'trade')}>"
        )


def chosen(kind: str, plots: Mapping[str, Callable[..., str]], width: float) -> Callable[..., str]:
    """The plot that is asked for. Raises ConfigError when there is none, or none of that width."""
    findings = []
    if not isinstance(cast("object", kind), str) or kind not in plots:
        named = isinstance(cast("object", kind), str)
        hint = (near(kind, plots) if named else "") or some(list(plots))
        findings.append(Finding("kind", f"there is no plot {short(kind)}{hint}"))
    if not isinstance(cast("object", width), Real) or not 100 <= width <= 10_000:
        findings.append(Finding("width", f"is from 100 to 10000 pixels, not {short(width)}"))
    if findings:
        raise ConfigError("The request", findings)
    return plots[kind]
