"""From an order file and bars to a `ReplayResult`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fairlead.backtest.replay.bars import ReplayBars, load_bars, require_symbols
from fairlead.backtest.replay.equity import mark_equity
from fairlead.backtest.replay.evidence import evidence_of
from fairlead.backtest.replay.fills import book_fills
from fairlead.backtest.replay.orders import walk_orders
from fairlead.backtest.replay.result import ReplayResult
from fairlead.backtest.replay.score import score_replay
from fairlead.backtest.replay.settings import ReplayCosts, ReplaySettings
from fairlead.contracts.orders import OrderFile, read_orders
from fairlead.contracts.settings import build_settings
from fairlead.core.instruments import Instrument
from fairlead.core.time import BarSize


def simulate_insidebar_from_orders(
    orders_csv: str | Path,
    data_path: Any,
    tz: str = "America/New_York",
    costs: ReplayCosts | Mapping[str, Any] | None = None,
    initial_cash: float = 10_000.0,
    *,
    data_path_m1: Any = None,
    calendar: str = "XNYS",
    requested_end: dt.datetime | dt.date | str | None = None,
    bar_size: BarSize | str | None = None,
    instruments: Mapping[str, Instrument] | None = None,
    **options: Any,
) -> ReplayResult:
    """Replay a canonical order file over bars, by the rules R1 to R12, and write nothing.

    Parameters
    ----------
    orders_csv : path
        See `fairlead.contracts.read_orders`.
    data_path : path, frame, or mapping of str to frame
        Signal bars: a CSV or Parquet file, a folder of them with one file per symbol or a symbol column, or the folder of a
        stored dataset, or of one of its bar sizes. Stamps are the openings of bars and carry their zone.
    tz : str
        IANA zone of the exchange, for `windows` and messages; no stamp is read with it.
    costs : ReplayCosts or mapping, optional
        For example ``{"commission_bps": 2, "slippage_bps": 1}``, which is the default.
    initial_cash : float
        Currency.
    data_path_m1 : as `data_path`, optional
        One-minute bars: where a session has them, they are what orders meet.
    calendar : str
        Exchange whose sessions the bars lie in.
    requested_end : datetime, date or ISO text, optional
        Bars that close later are left out.
    bar_size : BarSize or str, optional
        Of `data_path`, if the spacing of its stamps does not show it.
    instruments : mapping of symbol to Instrument, optional
        Ticks, lots and multipliers; those of US equities where absent.
    **options
        The other fields of `ReplaySettings`.

    Raises
    ------
    ContractError
        If a row of the file or of the bars breaks a rule, or an order names a symbol without bars. Nothing is replayed then.
    DataError
        If a file is missing or unreadable, or a position cannot be closed in time (R8).
    ConfigurationError
        If an argument is unknown or out of range.

    Examples
    --------
    >>> result = simulate_insidebar_from_orders("orders.csv", "m5/", costs={"slippage_bps": 1})  # doctest: +SKIP
    >>> result.metrics["num_trades"]  # doctest: +SKIP
    2
    """
    given = {"tz": tz, "calendar": calendar, "initial_cash": initial_cash, "requested_end": requested_end, **options}
    given["costs"] = {} if costs is None else costs
    settings = build_settings(ReplaySettings, given, "replay")
    return simulate_orders(
        orders_csv, data_path, settings, data_path_m1=data_path_m1, bar_size=bar_size, instruments=instruments
    )


def simulate_orders(
    orders_csv: str | Path | OrderFile,
    data_path: Any,
    settings: ReplaySettings | None = None,
    *,
    data_path_m1: Any = None,
    bar_size: BarSize | str | None = None,
    instruments: Mapping[str, Instrument] | None = None,
) -> ReplayResult:
    """Replay as `simulate_insidebar_from_orders` does, with its settings in one object.

    Raises
    ------
    ContractError, DataError, ConfigurationError
        As there.
    """
    settings = settings or ReplaySettings()
    file = orders_csv if isinstance(orders_csv, OrderFile) else read_orders(orders_csv, instruments)
    bars = load_bars(data_path, data_path_m1, settings, bar_size=bar_size)
    return replay_orders(file, bars, settings, instruments)


def replay_orders(
    file: OrderFile, bars: ReplayBars, settings: ReplaySettings, instruments: Mapping[str, Instrument] | None = None
) -> ReplayResult:
    """Replay orders over bars that are loaded already.

    Raises
    ------
    ContractError, DataError
        If an order names a symbol without bars, or a position cannot be closed in time (R8).
    """
    require_symbols(bars, {order.symbol for order in file.orders})
    outcome = walk_orders(file.orders, bars, settings)
    fills = book_fills(outcome, bars, settings.costs, instruments)
    codes = evidence_of(fills.trades, outcome, bars, settings)
    _require_within_bars(codes)
    curve = mark_equity(fills.trades, file.orders, bars, settings)
    metrics = score_replay(fills.trades, len(file.orders), curve, settings)
    return ReplayResult(settings, file, bars, fills, tuple(codes), curve, metrics)


def _require_within_bars(codes: Sequence[Sequence[str]]) -> None:
    # R11: such a fill is a fault of the replay, never of its input.
    outside = sum("FILL_OUTSIDE_BAR" in found for found in codes)
    if outside:
        raise AssertionError(f"{outside} fills lie outside their bars (R11).")
