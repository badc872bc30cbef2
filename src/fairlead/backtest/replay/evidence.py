"""What a replay can prove of its trades, by looking at the bars again (domain rules 6.8 R11, 6.12)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from fairlead.backtest.replay import layout as at
from fairlead.backtest.replay.bars import Columns, ReplayBars
from fairlead.backtest.replay.fills import Trade
from fairlead.backtest.replay.orders import Outcome
from fairlead.backtest.replay.settings import ReplaySettings
from fairlead.contracts.orders import CanonicalOrder
from fairlead.core.time import to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.execution.kernels import limit_in_bar

_SETUP: Final = re.compile(r".+_(\d{8}_\d{6})(?:_\d+)?")
WARNINGS: Final = frozenset({"NO_EXEC_BARS_M1", "TZ_MIXED_DETECTED"})
FAILURES: Final = frozenset(
    {
        *("RTH_VIOLATION", "SIGNAL_GRID_VIOLATION", "EXEC_EARLIEST_TOUCH_VIOLATION", "FILL_OUTSIDE_BAR"),
        *("ORDER_VALIDITY_VIOLATION", "LOOKAHEAD_SUSPECTED"),
    }
)


def evidence_of(trades: Sequence[Trade], outcome: Outcome, bars: ReplayBars, settings: ReplaySettings) -> list[tuple[str, ...]]:
    """Return the evidence codes of each trade.

    Nothing is taken over from the walk: bounds, sessions and earlier bars are compared anew.
    """
    auditor = _Auditor(outcome, bars, settings)
    return [auditor.codes(trade) for trade in trades]


def status_of(codes: Sequence[str]) -> str:
    """Return PASS, WARN or FAIL."""
    if FAILURES.intersection(codes):
        return "FAIL"
    return "WARN" if WARNINGS.intersection(codes) else "PASS"


class _Auditor:
    def __init__(self, outcome: Outcome, bars: ReplayBars, settings: ReplaySettings) -> None:
        self._outcome = outcome
        self._bars = bars
        self._grace_ns = settings.grace_ns
        days = bars.session
        self._segments = ExchangeCalendar.get(settings.calendar).segments(int(days.min()), int(days.max()))
        self._signal = bars.signal
        self._signal_starts = np.searchsorted(bars.signal.symbol, np.arange(len(bars.signal.symbols) + 1))
        self._signal_places = {symbol: i for i, symbol in enumerate(bars.signal.symbols)}

    def codes(self, trade: Trade) -> tuple[str, ...]:
        found = [
            _code(self._in_hours(trade), "RTH"),
            _code(self._on_grid(trade), "SIGNAL_GRID"),
            _code(self._at_first_touch(trade), "EXEC_EARLIEST_TOUCH"),
            "FILL_WITHIN_BAR_OK" if self._within_bars(trade) else "FILL_OUTSIDE_BAR",
            _code(self._valid(trade), "ORDER_VALIDITY"),
        ]
        if not self._bars.ints[trade.entry_bar, at.MINUTE]:
            found.append("NO_EXEC_BARS_M1")
        elif not self._agrees_with_signal(trade):
            found.append("TZ_MIXED_DETECTED")
        if decided_late(trade.order):
            found.append("LOOKAHEAD_SUSPECTED")
        return tuple(found)

    def _in_hours(self, trade: Trade) -> bool:
        parts = self._segments
        for bar in (trade.entry_bar, trade.exit_bar):
            label, known = self._bars.ints[bar, at.LABEL], self._bars.ints[bar, at.KNOWN]
            place = int(np.searchsorted(parts.open_ns, label, side="right")) - 1
            if place < 0 or known > parts.close_ns[place]:
                return False
        return True

    def _on_grid(self, trade: Trade) -> bool:
        parts, instant = self._segments, to_ns(trade.order.valid_from)
        place = int(np.searchsorted(parts.open_ns, instant, side="right")) - 1
        if place < 0 or instant >= parts.close_ns[place]:
            return True  # made outside the session: it waits for the next one's opening, which is on the grid
        return bool((instant - parts.open_ns[place]) % self._signal.size.ns <= self._grace_ns)

    def _at_first_touch(self, trade: Trade) -> bool:
        # No eligible bar before the entry has reached the trigger.
        bars, i = self._bars, trade.place
        start, valid_from = bars.starts[self._outcome.order_ints[i, at.SYMBOL]], self._outcome.order_ints[i, at.FROM]
        labels = bars.ints[start : trade.entry_bar, at.LABEL]
        first = int(start) + int(np.searchsorted(labels, valid_from))
        before = bars.floats[first : trade.entry_bar]
        kind = self._outcome.order_ints[i, at.KIND]
        if kind == at.MARKET:
            return len(before) == 0
        if kind == at.STOP_LIMIT:
            return True  # what was reached before was its stop, and that is as it should be
        level = float(self._outcome.order_floats[i, at.STOP if kind == at.AT_STOP else at.LIMIT])
        upwards = (trade.side > 0) == (kind == at.AT_STOP)
        if not len(before):
            return True
        extreme = float(before[:, at.HIGH].max() if upwards else before[:, at.LOW].min())
        if kind == at.AT_STOP:
            return extreme < level if upwards else extreme > level
        # As much as touched is no fill, unless a touch fills; then the entry itself would have come before.
        price, _ = limit_in_bar(trade.side, level, level, extreme, extreme, on_touch=False)
        return price != price

    def _within_bars(self, trade: Trade) -> bool:
        floats = self._bars.floats
        return all(
            floats[bar, at.LOW] <= price <= floats[bar, at.HIGH]
            for bar, price in ((trade.entry_bar, trade.entry_price), (trade.exit_bar, trade.exit_price))
        )

    def _valid(self, trade: Trade) -> bool:
        label = int(self._bars.ints[trade.entry_bar, at.LABEL])
        return to_ns(trade.order.valid_from) - self._grace_ns <= label < to_ns(trade.order.valid_to)

    def _agrees_with_signal(self, trade: Trade) -> bool:
        """Whether the minute of the entry lies inside the signal bar of its time, if there is one."""
        signal, place = self._signal, self._signal_places.get(trade.order.symbol)
        if place is None or signal.size.ns <= self._bars.finest.ns:
            return True
        start, stop = self._signal_starts[place], self._signal_starts[place + 1]
        label = self._bars.ints[trade.entry_bar, at.LABEL]
        bar = int(start) + int(np.searchsorted(signal.label_ns[start:stop], label, side="right")) - 1
        if bar < start or label >= signal.known_ns[bar]:
            return True
        return _holds(signal, bar, self._bars.floats[trade.entry_bar])


def decided_late(order: CanonicalOrder) -> bool:
    """Whether an order is valid before the setup that its set is named after was known (domain rule 1.6)."""
    match = _SETUP.fullmatch(order.oco_id or "")
    if match is None:
        return False
    try:
        setup = dt.datetime.strptime(match[1], "%Y%m%d_%H%M%S").replace(tzinfo=dt.UTC)
    except ValueError:
        return False
    return order.valid_from < setup


def _holds(signal: Columns, bar: int, minute: np.ndarray) -> bool:
    low, high = signal.prices[bar, at.LOW], signal.prices[bar, at.HIGH]
    return bool(low <= minute[at.LOW] and minute[at.HIGH] <= high)


def _code(holds: bool, name: str) -> str:  # noqa: FBT001  what is proven, and what it is called
    return f"{name}_OK" if holds else f"{name}_VIOLATION"
