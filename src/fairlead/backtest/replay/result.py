"""What a replay gives back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from fairlead.backtest.metrics import Metric
from fairlead.backtest.replay import tables
from fairlead.backtest.replay.bars import ReplayBars
from fairlead.backtest.replay.equity import Equity
from fairlead.backtest.replay.fills import Fills
from fairlead.backtest.replay.settings import ReplaySettings
from fairlead.backtest.tables import FILL_COLUMNS
from fairlead.contracts.orders import OrderFile


@dataclass(frozen=True, eq=False)
class ReplayResult:
    """The outcome of a replay.

    Attributes
    ----------
    metrics : dict of str to number or None
        See `fairlead.backtest.replay.score`; None where a measure is not defined.
    file : OrderFile
        The orders as they were read, with what was put aside.
    fills : Fills
        Round trips and executions as plain objects.
    codes : tuple of tuple of str
        Evidence of each trade.
    curve : Equity
        As arrays.
    """

    settings: ReplaySettings
    file: OrderFile
    bars: ReplayBars
    fills: Fills
    codes: tuple[tuple[str, ...], ...]
    curve: Equity
    metrics: dict[str, Metric]

    @cached_property
    def orders(self) -> pd.DataFrame:
        """The canonical orders, one row each."""
        return tables.orders_frame(self.file.orders)

    @cached_property
    def filled_orders(self) -> pd.DataFrame:
        """Executions, and the ends of orders that had none."""
        return tables.rows_frame(FILL_COLUMNS, tables.fill_rows(self.fills))

    @cached_property
    def trades(self) -> pd.DataFrame:
        """Round trips, by the time of their exit."""
        rows = tables.trade_rows(self.fills.trades, self.codes, self.bars)
        return tables.rows_frame(tables.REPLAY_TRADE_COLUMNS, rows)

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Equity and drawdown at every close of a bar, indexed by time."""
        return tables.equity_frame(self.curve)

    def __repr__(self) -> str:
        return (
            f"<ReplayResult: {len(self.file.orders)} orders, {len(self.fills.trades)} trades, "
            f"net {self.metrics['net_pnl']:.2f}>"
        )
