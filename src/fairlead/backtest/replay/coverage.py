"""How much of its sessions the bars of a replay cover."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairlead.backtest.replay.bars import Columns, ReplayBars
from fairlead.backtest.replay.settings import ReplaySettings
from fairlead.contracts.sessions import grid_labels
from fairlead.data.calendars import ExchangeCalendar


def coverage_of(bars: ReplayBars, settings: ReplaySettings) -> dict[str, Any]:
    """Return, for signal bars and minutes, the share of the bars that their sessions could have, over all and the least.

    The sessions of a symbol are those of the calendar from its first bar to its last.
    """
    calendar = ExchangeCalendar.get(settings.calendar)
    found = {"signal": _shares(bars.signal, calendar)}
    if bars.minutes is not None:
        found["minutes"] = _shares(bars.minutes, calendar)
    return found


def _shares(columns: Columns, calendar: ExchangeCalendar) -> dict[str, Any]:
    if len(columns.symbol) == 0:
        return {"bars": 0, "share": None, "least": None, "symbol": None}
    days = columns.session
    labelled = grid_labels(calendar.segments(int(days.min()), int(days.max())), columns.size.ns)[1]
    present, first = np.unique(columns.symbol, return_index=True)
    last = np.append(first[1:], len(days)) - 1
    expected = np.searchsorted(labelled, days[last], side="right") - np.searchsorted(labelled, days[first])
    shares = (last - first + 1) / expected
    least = int(np.argmin(shares))
    return {
        "bars": len(days),
        "share": float(len(days) / expected.sum()),
        "least": float(shares[least]),
        "symbol": columns.symbols[present[least]],
    }
