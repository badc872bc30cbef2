"""The stages of one instant, in the order in which they happen."""

from __future__ import annotations

from enum import IntEnum


class Stage(IntEnum):
    """Priority of what happens at one instant; lower comes first (architecture §4).

    Events of a run sort by (instant, stage, symbol, id).
    """

    COMMANDS = 1
    CORPORATE_ACTIONS = 2
    EXECUTION = 3
    """Working orders meet the new data; a strategy hears of its orders before the market event."""
    MONITORS = 4
    MARKET = 5
    ORDERS = 6
    RECORD = 7
