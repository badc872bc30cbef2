"""Where the numbers of a replay stand in its arrays: compiled code has no names for rows and columns."""

from __future__ import annotations

from typing import Final

# Columns of a table of bars, int64.
LABEL: Final = 0
KNOWN: Final = 1
LAST: Final = 2
"""Place of the last bar of the same symbol and session."""
CLOSES: Final = 3
"""Instant by which a position that was opened here is closed, at the latest."""
MINUTE: Final = 4
"""1 for a one-minute bar."""
BAR_INTS: Final = 5

# Columns of a table of bars, float64.
OPEN: Final = 0
HIGH: Final = 1
LOW: Final = 2
CLOSE: Final = 3
BAR_FLOATS: Final = 4

# Columns of a table of orders, int64.
SYMBOL: Final = 0
SIDE: Final = 1
KIND: Final = 2
FROM: Final = 3
TO: Final = 4
GROUP: Final = 5
PROMPT: Final = 6
"""1 for an order that fills in its first bar or not at all."""
UNTIL: Final = 7
"""Instant by which its position is closed, at the latest."""
ORDER_INTS: Final = 8

# Columns of a table of orders, float64; NaN where an order has no such price.
STOP: Final = 0
LIMIT: Final = 1
TARGET: Final = 2
PROTECTION: Final = 3
ORDER_FLOATS: Final = 4

# Kinds of orders.
MARKET: Final = 0
AT_LIMIT: Final = 1
AT_STOP: Final = 2
STOP_LIMIT: Final = 3

# Columns of the outcome of orders, int64.
STATUS: Final = 0
BAR: Final = 1
"""Where it filled, or where what ended it happened; -1 if nowhere."""
PHASE: Final = 2
EXIT_BAR: Final = 3
EXIT_REASON: Final = 4
OUTCOME_INTS: Final = 5

# Columns of the outcome of orders, float64; NaN without a fill.
ENTRY: Final = 0
EXIT: Final = 1
OUTCOME_FLOATS: Final = 2

# What became of an order.
WAITING: Final = 0
FILLED: Final = 1
EXPIRED: Final = 2
CANCELLED_OCO: Final = 3
AMBIGUOUS: Final = 4
NETTED: Final = 5
NOT_MARKETABLE: Final = 6
NO_SESSION: Final = 7

# Why a position was closed.
STOP_LOSS: Final = 1
TAKE_PROFIT: Final = 2
SESSION_END: Final = 3
NO_BAR: Final = 4
"""There is no bar to close it in."""

# Switches, int64.
LIMITS_ON_TOUCH: Final = 0
TARGETS_ON_TOUCH: Final = 1
SAME_BAR_EXIT: Final = 2
NO_FILL: Final = 3
SWITCHES: Final = 4
