"""The pattern in whole frames: signals as the strategy would act on them, without a market (domain rules 3.1, 3.2, 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from fairlead.contracts.cells import instant_text
from fairlead.contracts.frames.reading import view_frame
from fairlead.contracts.sessions import SessionCalendar, hours_of, require_calendar
from fairlead.contracts.signals import Signal, signal_id
from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.errors import ContractError
from fairlead.core.identity import group_id
from fairlead.core.time import to_datetime
from fairlead.strategies.inside_bar.machine import InsideBarMachine, Reason, Reject, Setup
from fairlead.strategies.inside_bar.rules import TIMEFRAMES, InsideBarRules
from fairlead.strategies.inside_bar.strategy import InsideBar

Parameters: TypeAlias = InsideBar | Mapping[str, Any]


class BarArrays(NamedTuple):
    """Signal bars as columns of shape (n,): starts in nanoseconds, strictly increasing, and prices in currency."""

    label_ns: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray

    def last(self, count: int) -> BarArrays:
        """Return the last bars, as many as there are of `count`."""
        last = slice(-count, None)
        return BarArrays(self.label_ns[last], self.open[last], self.high[last], self.low[last], self.close[last])


class ScanResult(NamedTuple):
    """What a scan has found, in order of time."""

    signals: tuple[Signal, ...]
    rejects: tuple[Reject, ...]


def scan(
    symbol: str,
    bars: Any,
    parameters: Parameters,
    calendar: SessionCalendar,
    *,
    run_id: str,
    strategy: str = InsideBar.name,
    strategy_version: str = InsideBar.version,
) -> ScanResult:
    """Return every setup in the signal bars of a symbol, and why other patterns are none.

    A signal at one bar depends on that bar and those before it. A window gives as many signals as it may have trades; whether
    they would have met an open position, or been too small to order, only a run can tell.

    Parameters
    ----------
    bars : pandas.DataFrame, polars.DataFrame or BarArrays
        Valid intraday bars of the strategy's time frame.
    parameters : InsideBar or mapping
        The strategy, or values of its parameters.
    calendar : SessionCalendar
    run_id, strategy, strategy_version : str
        Go into the signals and their identifiers.

    Returns
    -------
    ScanResult
        Of a frame with naive stamps: no signal, and one reject that says so.

    Raises
    ------
    ContractError
        If `bars` is no such frame.
    ConfigurationError
        If a parameter, or the calendar, does not fit.
    """
    require_calendar(calendar)
    rules = _rules_of(parameters)
    arrays = _arrays_of(symbol, bars)
    if arrays is None:
        return ScanResult((), (Reject(0, Reason.NAIVE_TIMESTAMP),))
    setups, rejects, _ = _run(rules, arrays, calendar)
    signals = tuple(_signal(symbol, setup, rules, run_id, strategy, strategy_version) for setup in setups)
    return ScanResult(signals, tuple(rejects))


def scan_live(
    symbol: str,
    bars: Any,
    parameters: Parameters,
    calendar: SessionCalendar,
    *,
    run_id: str,
    strategy: str = InsideBar.name,
    strategy_version: str = InsideBar.version,
) -> Signal | None:
    """Return the newest setup that can still be acted on after the last bar, None if there is none.

    It looks at the last ``lookback_candles`` bars, of which there must be ``required_warmup_bars``. The pattern is at most
    ``max_pattern_age_candles`` bars old, its orders are still valid, and the last close is no farther from the nearer entry
    than ``max_deviation_atr`` average true ranges.

    See `scan` for parameters and errors.
    """
    require_calendar(calendar)
    rules = _rules_of(parameters)
    arrays = _arrays_of(symbol, bars)
    if arrays is None:
        return None
    arrays = arrays.last(rules.lookback_candles)
    if len(arrays.label_ns) < max(rules.required_warmup_bars, 1):
        return None
    setups, _, machine = _run(rules, arrays, calendar)
    if not setups:
        return None
    setup = setups[-1]
    age = int((arrays.label_ns > setup.inside_ns).sum())
    is_over = int(arrays.label_ns[-1]) + rules.bar_ns >= setup.valid_to_ns
    close = float(arrays.close[-1])
    distance = min(abs(close - rules.price(leg.entry)) for leg in setup.legs())
    # Without an average nobody knows what is far: NaN refuses.
    if age > rules.max_pattern_age_candles or is_over or not distance <= rules.max_deviation_atr * machine.last_range:
        return None
    return _signal(symbol, setup, rules, run_id, strategy, strategy_version)


def _rules_of(parameters: Parameters) -> InsideBarRules:
    return parameters.rules if isinstance(parameters, InsideBar) else InsideBar(**parameters).rules


def _arrays_of(symbol: str, bars: Any) -> BarArrays | None:
    """Return the columns of a frame; None if its stamps are naive."""
    if isinstance(bars, BarArrays):
        return bars
    view = view_frame(bars)
    if view is None or view.label_ns is None:
        raise ContractError.of(f"{symbol} bars", "be a data frame with an index of stamps, or BarArrays", type(bars))
    if view.tz is None:
        return None
    missing = [name for name in ("OPEN", "HIGH", "LOW", "CLOSE") if name not in view.values]
    if missing:
        raise ContractError.of(f"{symbol} bars", "have the numeric columns OPEN, HIGH, LOW and CLOSE", missing)
    values = view.values
    return BarArrays(view.label_ns, values["OPEN"], values["HIGH"], values["LOW"], values["CLOSE"])


def _run(
    rules: InsideBarRules, arrays: BarArrays, calendar: SessionCalendar
) -> tuple[list[Setup], list[Reject], InsideBarMachine]:
    machine, hours = InsideBarMachine(rules), hours_of(calendar)
    setups: list[Setup] = []
    rejects: list[Reject] = []
    step = machine.step
    columns = [np.asarray(column).tolist() for column in arrays]
    for start, open_, high, low, close in zip(*columns, strict=True):
        found = step(start, open_, high, low, close, hours(start))
        if isinstance(found, Setup):
            setups.append(found)
        elif isinstance(found, Reject):
            rejects.append(found)
    return setups, rejects, machine


def _signal(symbol: str, setup: Setup, rules: InsideBarRules, run_id: str, strategy: str, version: str) -> Signal:
    timestamp = to_datetime(setup.signal_ns)
    long, short, exact = setup.long, setup.short, rules.exact_price
    return Signal(
        symbol=symbol,
        timestamp=timestamp,
        timeframe=TIMEFRAMES[rules.timeframe_minutes],
        long_entry=exact(long.entry),
        short_entry=exact(short.entry),
        sl_long=exact(long.stop),
        sl_short=exact(short.stop),
        tp_long=exact(long.target),
        tp_short=exact(short.target),
        setup=InsideBar.name,
        strategy=strategy,
        strategy_version=version,
        signal_id=signal_id(run_id=run_id, symbol=symbol, timestamp=timestamp, setup=InsideBar.name),
        metadata={
            "oco_id": group_id(symbol, setup.signal_ns),
            "valid_from": instant_text(to_datetime(setup.valid_from_ns)),
            "valid_to": instant_text(to_datetime(setup.valid_to_ns)),
            "mother_ts": instant_text(to_datetime(setup.mother_ns)),
            "inside_ts": instant_text(to_datetime(setup.inside_ns)),
            "window": setup.window[1],
        },
    )
