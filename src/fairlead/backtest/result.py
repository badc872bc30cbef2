"""`Result`: what a backtest gives back, ready for a notebook, a script or a report."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from fairlead.backtest.benchmark import buy_and_hold
from fairlead.backtest.execution_summary import ExecutionQuality, execution_quality
from fairlead.backtest.flows import growth
from fairlead.backtest.info import RunInfo, plain
from fairlead.backtest.metrics import SESSIONS_PER_YEAR, Metric
from fairlead.backtest.scorecard import SessionReturns, score, session_returns
from fairlead.backtest.trades import Ledger, ledger_of
from fairlead.core.arrays import FloatArray
from fairlead.core.errors import UnknownName
from fairlead.core.instruments import Instrument
from fairlead.engine.record import RunRecord

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PlotKind: TypeAlias = Literal["equity", "drawdown", "returns"]

# Below this, sums of float64 over a long run agree (domain rule 6.14).
LEDGER_TOLERANCE: Final = 1e-9
FEW_TRADES: Final = 30
MANY_SYMBOLS: Final = 30
SURVIVORS_NOTE: Final = (
    "None of the {count} symbols was delisted, merged or renamed, and there is no universe: names that failed may be missing."
)
FLOWS_NOTE: Final = (
    "Capital was paid in or taken out while it ran, {total:+,.2f} in all: returns and drawdowns are net of that."
)
SYNTHETIC_NOTE: Final = "The prices are synthetic: nothing here is evidence about a market."

_HEADLINES: Final = (
    ("total_return", "Total return", "{:+.2%}"),
    ("annualised_return", "Per year", "{:+.2%}"),
    ("sharpe", "Sharpe", "{:.2f}"),
    ("max_drawdown_pct", "Max drawdown", "{:.2f} %"),
    ("num_trades", "Trades", "{:d}"),
    ("final_cash", "Final equity", "{:,.2f}"),
)


class Result:
    """The outcome of one run.

    Parameters
    ----------
    record : RunRecord
        What happened.
    info : RunInfo
        Where it came from.
    instruments : mapping of symbol to Instrument, optional
        Grid and multiplier of each symbol; US equities where absent.
    risk_free : float
        Yearly rate used by Sharpe, Sortino and alpha, as a fraction.
    """

    def __init__(
        self,
        record: RunRecord,
        info: RunInfo,
        *,
        instruments: Mapping[str, Instrument] | None = None,
        risk_free: float = 0.0,
    ) -> None:
        self.record = record
        self.info = info
        self.instruments: dict[str, Instrument] = dict(instruments or {})
        self.risk_free = risk_free

    @property
    def run_id(self) -> str:
        """The run's identifier."""
        return self.info.run_id

    @property
    def digest(self) -> str:
        """Hash of the ordered decisions, orders and fills: equal for equal runs."""
        return self.record.digest

    @property
    def status(self) -> Literal["completed", "stopped"]:
        """``stopped`` if any strategy ended with an error."""
        return "stopped" if any(s.status == "stopped" for s in self.record.strategies) else "completed"

    @cached_property
    def ledger(self) -> Ledger:
        """Round trips, dividends and the legs of every fill."""
        return ledger_of(self.record, {symbol: item.multiplier for symbol, item in self.instruments.items()})

    @cached_property
    def execution(self) -> ExecutionQuality:
        """Fill rates, slippage, latency, costs and shortfall, in all, by strategy, by symbol and by order."""
        return execution_quality(self.record, {symbol: item.multiplier for symbol, item in self.instruments.items()})

    @cached_property
    def sessions(self) -> SessionReturns:
        """Equity, benchmark and their returns, once per session."""
        return session_returns(self.record)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Every metric by name; None where it is not defined."""
        return score(self.record, self.ledger, self.sessions, risk_free=self.risk_free)

    @cached_property
    def benchmark_values(self) -> FloatArray:
        """Value of the benchmark at the end of every session of ``record.prices``."""
        return buy_and_hold(self.record.prices, self.record.market_actions, self.record.initial_cash)

    @cached_property
    def net_equity(self) -> FloatArray:
        """Equity at every instant, net of money paid in and out: what percentages and ratios are computed from."""
        return growth(self.record.account, self.record.cash_flows, self.record.initial_cash)

    @cached_property
    def stats(self) -> pd.Series:
        """Every metric in reading order, after the run's first and last instant; NaN where it is not defined."""
        from fairlead.backtest.frames import stats_series  # noqa: PLC0415  pandas loads only for those who look at frames

        return stats_series(self.metrics, self.record.account, self.run_id)

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Equity, cash, gross, net, drawdown and drawdown_pct at every instant, UTC; with cash flows, cash_flow too."""
        from fairlead.backtest.frames import equity_frame  # noqa: PLC0415  as in `stats`

        return equity_frame(self.record.account, self.record.initial_cash, self.record.cash_flows)

    @cached_property
    def trades(self) -> pd.DataFrame:
        """One row per round trip; positions still open come last with status ``open``."""
        from fairlead.backtest.frames import trades_frame  # noqa: PLC0415  as in `stats`

        return trades_frame(self.ledger.trades)

    @cached_property
    def orders(self) -> pd.DataFrame:
        """One row per order, with what became of it."""
        from fairlead.backtest.frames import orders_frame  # noqa: PLC0415  as in `stats`

        return orders_frame(self.record.orders)

    @cached_property
    def fills(self) -> pd.DataFrame:
        """One row per execution."""
        from fairlead.backtest.frames import fills_frame  # noqa: PLC0415  as in `stats`

        return fills_frame(self.record.fills)

    @cached_property
    def benchmark(self) -> pd.Series:
        """Equal-weight buy-and-hold of the run's symbols, dividends reinvested, no costs; once per session."""
        from fairlead.backtest.frames import benchmark_series  # noqa: PLC0415  as in `stats`

        return benchmark_series(self.record.prices.ts_ns, self.benchmark_values)

    @property
    def ledger_error(self) -> float:
        """Relative difference between final equity and all that was paid in and earned; beyond 1e-9 something is wrong."""
        equity = self.record.account.equity
        final = float(equity[-1]) if len(equity) else self.record.initial_cash
        explained = self.record.initial_cash + self.ledger.total_pnl + sum(flow.amount for flow in self.record.cash_flows)
        return abs(final - explained) / max(abs(final), abs(self.record.initial_cash), 1.0)

    @property
    def warnings(self) -> list[str]:
        """What a careful reader of this result must know."""
        notes = [f"Strategy {s.name!r} was stopped: {s.error}" for s in self.record.strategies if s.status == "stopped"]
        if self.info.synthetic:
            notes.append(SYNTHETIC_NOTE)
        if self._may_lack_the_dead:
            notes.append(SURVIVORS_NOTE.format(count=len(self.record.prices.symbols)))
        if flows := self.record.cash_flows:
            notes.append(FLOWS_NOTE.format(total=sum(flow.amount for flow in flows)))
        if self.ledger_error > LEDGER_TOLERANCE:
            notes.append(f"Profit and equity differ by {self.ledger_error:.1e} relative: the ledger does not add up.")
        rejected = self.metrics["num_rejections"]
        if rejected:
            notes.append(f"{rejected} of {self.metrics['num_orders']} orders were rejected.")
        if self.ledger.open:
            count = len(self.ledger.open)
            positions = "1 position is" if count == 1 else f"{count} positions are"
            notes.append(f"{positions} still open at the end, valued at the last price.")
        closed = len(self.ledger.closed)
        if closed < FEW_TRADES:
            notes.append(f"{closed or 'No'} closed trade{'' if closed == 1 else 's'}: too few for statistics on trades.")
        return notes

    @property
    def _may_lack_the_dead(self) -> bool:
        # Of many names some go, in a year or more; where none did and nobody said who belonged, they were chosen afterwards.
        prices = self.record.prices
        if self.info.synthetic or len(prices.symbols) < MANY_SYMBOLS or len(prices.session) < SESSIONS_PER_YEAR:
            return False
        universe = self.info.config.get("universe") or {}
        is_listed = universe.get("path") or universe.get("sha256")
        return not is_listed and not any(action.ends_symbol for action in self.record.market_actions)

    def summary(self) -> dict[str, Any]:
        """Return the run in short as JSON-able data; a metric that is not defined is None."""
        return {
            "run_id": self.run_id,
            "title": self.info.title,
            "status": self.status,
            "digest": self.digest,
            "synthetic": self.info.synthetic,
            "fidelity": self.info.fidelity,
            "metrics": dict(self.metrics),
            "strategies": [
                {
                    "name": s.name,
                    "version": s.version,
                    "params": plain(s.params),
                    "capital": s.capital,
                    "status": s.status,
                    "error": s.error,
                }
                for s in self.record.strategies
            ],
            "warnings": self.warnings,
        }

    def plot(self, kind: PlotKind = "equity") -> Figure:
        """Return a matplotlib figure.

        Parameters
        ----------
        kind : {"equity", "drawdown", "returns"}

        Raises
        ------
        UnknownName
            If there is no such plot.
        """
        from fairlead.backtest import plots  # noqa: PLC0415  matplotlib loads only for those who plot

        account, prices, initial = self.record.account, self.record.prices, self.record.initial_cash
        note = "synthetic data" if self.info.synthetic else ""
        if kind == "equity":
            title = f"{self.info.title}: equity"
            held = self.benchmark_values
            net = self.net_equity if self.record.cash_flows else None
            return plots.equity_figure(account.ts_ns, account.equity, prices.ts_ns, held, net, title=title, note=note)
        if kind == "drawdown":
            title = f"{self.info.title}: drawdown"
            return plots.drawdown_figure(account.ts_ns, self.net_equity, initial, title=title, note=note)
        if kind == "returns":
            title = f"{self.info.title}: returns per session"
            return plots.returns_figure(account.session, self.net_equity, initial, title=title, note=note)
        raise UnknownName.among("plot", kind, ("equity", "drawdown", "returns"))

    def to_html(self, path: str | Path | None = None) -> str | Path:
        """Return the report as one self-contained HTML page, or write it to `path` and return that.

        Raises
        ------
        StorageError
            If the disk refuses the file.
        """
        from fairlead.backtest.report.page import render  # noqa: PLC0415  the chart library is 5 MB of text

        page = render(self)
        if path is None:
            return page
        from fairlead.contracts.files import atomic_write_text  # noqa: PLC0415  only where something is written

        atomic_write_text(path, page)
        return Path(path)

    def save(self, directory: str | Path) -> Path:
        """Write the full run directory at `directory`, which must not exist yet, and return it.

        Raises
        ------
        StorageError
            If the directory exists or the disk refuses; nothing is left half-written.
        """
        from fairlead.backtest.rundir import write_directory  # noqa: PLC0415  rundir builds on this module

        return write_directory(self, Path(directory))

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Return the result whose run directory is `path`.

        Raises
        ------
        DataNotFound
            If there is no run directory.
        DataError
            If it is damaged.
        """
        from fairlead.backtest.rundir import read_directory  # noqa: PLC0415  as in `save`

        return read_directory(Path(path))

    def _headlines(self) -> list[tuple[str, str]]:
        pairs = []
        for key, label, pattern in _HEADLINES:
            value = self.metrics[key]
            pairs.append((label, "n/a" if value is None else pattern.format(value)))
        return pairs

    def __repr__(self) -> str:
        lines = [f"Result({self.info.title!r}, {self.status}, {self.info.start} to {self.info.end})"]
        if self.info.synthetic:
            lines.append("  SYNTHETIC DATA")
        lines += [f"  {label:<14}{value:>18}" for label, value in self._headlines()]
        return "\n".join([*lines, f"  run {self.run_id}"])

    def _repr_html_(self) -> str:
        banner = "<b>SYNTHETIC DATA</b>" if self.info.synthetic else ""
        cells = "".join(f"<tr><td>{escape(label)}</td><td>{escape(value)}</td></tr>" for label, value in self._headlines())
        head = f"<b>{escape(self.info.title)}</b> {escape(self.info.start)} to {escape(self.info.end)} {banner}"
        return f"<div>{head}<table>{cells}</table><small>{escape(self.run_id)}</small></div>"
