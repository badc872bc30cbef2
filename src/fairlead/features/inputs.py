"""The columns that a feature may read, and who fills them."""

from __future__ import annotations

from typing import Final

from fairlead.data.columns import BAR_FIELDS

BARS: Final = BAR_FIELDS
"""Prices in the units of today at the start of history (see `fairlead.features.feed`); volumes likewise."""
TIMES: Final = ("session", "minute")
"""Session date in days, and opening instant of the bar in minutes, both since the epoch."""
BENCHMARK: Final = "benchmark"
"""Close of the benchmark that the run or the frame names."""
QUOTES: Final = ("bid", "bid_size", "ask", "ask_size", "bar")
"""Best prices and sizes, one row per quote, and a number that tells the bar into which the quote falls from its neighbours."""
FACT: Final = "fact."
"""Prefix of what is published now and then, such as ``fact.eps``: the last value that was public at the row's instant."""
INPUT_COLUMNS: Final = (*BARS, *TIMES, BENCHMARK, *QUOTES)


def is_input(name: str) -> bool:
    """Whether a feature may declare `name` as an input column."""
    return name in INPUT_COLUMNS or (name.startswith(FACT) and len(name) > len(FACT))
