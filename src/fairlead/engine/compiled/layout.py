"""Where a compiled run keeps its numbers: rows and columns of its arrays by name, and the arrays together."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.sdk.scan import AVERAGE as AVERAGE_ROW
from fairlead.sdk.scan import BOOK_ROWS
from fairlead.sdk.scan import LARGEST as LARGEST_ROW
from fairlead.sdk.scan import MULTIPLIER as MULTIPLIER_ROW
from fairlead.sdk.scan import QUANTITY as QUANTITY_ROW

# Whole numbers of an order.
COLUMN: Final = 0
SIDE: Final = 1
KIND: Final = 2
CREATED: Final = 3
ARRIVES: Final = 4
DAY: Final = 5
"""The session a market order belongs to, once it is known; -1 before."""
STATUS: Final = 6
PARENT: Final = 7
"""The entry that an exit belongs to; -1 for none."""
STOP_CHILD: Final = 8
TARGET_CHILD: Final = 9
"""The exits of an entry; -1 for none."""
IN_FAMILY: Final = 10
"""Whether an entry's family is still kept."""
# Lists of orders are columns of the same table: its first so many rows.
WORKS: Final = 11
"""Orders that work, oldest first."""
HEADING: Final = 12
"""Entries whose exits are kept, oldest first."""
SERVED: Final = 13
SERVED_PHASE: Final = 14
SERVED_WAY: Final = 15
"""Orders that could fill in a bar, when inside it, and which way the price goes then."""
AWOKEN: Final = 16
AWOKEN_PHASE: Final = 17
AWOKEN_WAY: Final = 18
"""Exits that came to life inside a bar, and phase and way of the fill that woke them."""
LISTED: Final = 19
"""What worked when a pass over the working orders began: the pass itself may end some."""
LISTED_HEADS: Final = 20
"""The same of `HEADING`."""
ORDER_INTS: Final = 21

# Numbers of an order.
QUANTITY: Final = 0
FILLED: Final = 1
EXECUTED: Final = 2
CHARGED: Final = 3
LEVEL: Final = 4
"""Stop or limit price."""
SERVED_PRICE: Final = 5
SPARK: Final = 6
"""The price of the fill that woke an exit."""
ORDER_FLOATS: Final = 7

# Kinds of orders.
MARKET: Final = 0
STOP: Final = 1
LIMIT: Final = 2

# Where an order stands; from `FILLED_UP` on nothing changes any more.
PENDING: Final = 0
SUBMITTED: Final = 1
ACKNOWLEDGED: Final = 2
PARTLY: Final = 3
FILLED_UP: Final = 4
CANCELLED: Final = 5
REJECTED: Final = 6
EXPIRED: Final = 7

# Why an order ended; after these come the reasons of `fairlead.risk.kernels`.
NO_REASON: Final = 0
DAY_END: Final = 1
OCO: Final = 2
NOTHING_TO_REDUCE: Final = 3
PARENT_ENDED: Final = 4
POSITION_CLOSED: Final = 5
NOTHING_AFTER_SPLIT: Final = 6
END_OF_RUN: Final = 7
FIRST_CHECK: Final = 10
REASONS: Final = {
    NO_REASON: "",
    DAY_END: "day_end",
    OCO: "oco",
    NOTHING_TO_REDUCE: "nothing_to_reduce",
    PARENT_ENDED: "parent_ended",
    POSITION_CLOSED: "position_closed",
    NOTHING_AFTER_SPLIT: "nothing_left_after_split",
    END_OF_RUN: "end_of_run",
}

# Counts.
ORDERS: Final = 0
WORKING: Final = 1
HEADS: Final = 2
DRAWN: Final = 3
EVENTS: Final = 4
POSITIONS: Final = 5
FILLS: Final = 6
REJECTIONS: Final = 7
PROBLEM: Final = 8
AWAKE: Final = 9
ROWS_HELD: Final = 10
PEAK_AT: Final = 11
SESSIONS: Final = 12
LONGEST_NS: Final = 13
AT_ROW: Final = 14
"""Where the run stands."""
SLOTS: Final = 15
"""Rows of the order table in use: those of all orders if a tape is kept, else they are used again when nothing works."""
COUNTS: Final = 16
"""Behind them stand the symbols in the order in which they were first traded: the order in which a ledger sums."""

# Money.
CASH: Final = 0
FEES: Final = 1
SLIPPAGE: Final = 2
NOTIONAL: Final = 3
DIVIDENDS: Final = 4
PEAK: Final = 5
DEEPEST: Final = 6
"""The furthest below the present peak."""
WORST: Final = 7
WORST_PCT: Final = 8
LAST_EQUITY: Final = 9
EQUITY: Final = 10
"""Of the account when a batch of orders is sized."""
GROSS: Final = 11
MONEY: Final = 12

# How a run ends.
FINE: Final = 0
NEEDS_ORDERS: Final = 1
NEEDS_DELAYS: Final = 2
NEEDS_EVENTS: Final = 3
UNSURE: Final = 4
"""Something that the event loop would refuse or report in words: it has to say them."""

# Kinds of tape entries.
CREATE: Final = 0
MOVE: Final = 1
FILL: Final = 2
ACTION: Final = 3
GROW: Final = 4
SHRINK: Final = 5
RESCALE: Final = 6
TAPE_INTS: Final = 6
TAPE_FLOATS: Final = 5

# Kinds of corporate actions.
SPLIT: Final = 0
DIVIDEND: Final = 1

# Numbers of an instrument.
LOT: Final = 0
LEAST: Final = 1
TICK: Final = 2
SHORTABLE: Final = 3
MULTIPLE: Final = 4
INSTRUMENT: Final = 5

# Rules of a run.
PARTICIPATION: Final = 0
ON_TOUCH: Final = 1
SLIP_LIMITS: Final = 2
SAME_BAR_EXIT: Final = 3
GRACE_NS: Final = 4
WHOLE_SESSIONS: Final = 5
SLIP_MODEL: Final = 6
SLIP_A: Final = 7
SLIP_B: Final = 8
FEE_MODEL: Final = 9
FEE_A: Final = 10
FEE_B: Final = 11
FEE_C: Final = 12
MAX_SIZE: Final = 13
MAX_LEVERAGE: Final = 14
CAPITAL: Final = 15
LARGEST_LOT: Final = 16
"""Of all symbols, in units."""
RULES: Final = 17

CONSTANT: Final = 0
BY_VOLUME: Final = 1
NO_FEE: Final = 0
BPS: Final = 1
PER_SHARE: Final = 2
PER_ORDER: Final = 3

# Numbers of a symbol; the first are those of a position, as `fairlead.sdk.scan` has them.
UNITS: Final = QUANTITY_ROW
AVERAGE: Final = AVERAGE_ROW
MULTIPLIER: Final = MULTIPLIER_ROW
LARGEST: Final = LARGEST_ROW
TAKEN: Final = BOOK_ROWS
"""What a bar's orders have taken of its volume."""
HELD: Final = BOOK_ROWS + 1
WORTH: Final = BOOK_ROWS + 2
OPEN_LINE: Final = BOOK_ROWS + 3
"""Units with the market orders under way, their value, and whether the two are up to date."""
SYMBOL_ROWS: Final = BOOK_ROWS + 4

# Columns of times.
LABEL: Final = 0
KNOWN: Final = 1
SESSION: Final = 2
ENDS: Final = 3
"""1 where a session closes."""
TIMES: Final = 4

# Rows of actions.
ROW: Final = 0
SYMBOL: Final = 1
ACTION_KIND: Final = 2


class Books(NamedTuple):
    """The changing numbers of one run.

    Attributes
    ----------
    ints, floats : int64 array of shape (orders, ORDER_INTS), float64 array of shape (orders, ORDER_FLOATS)
    counts, money : int64 array of shape (COUNTS + symbols,), float64 array of shape (MONEY,)
    symbols : float64 array of shape (SYMBOL_ROWS, symbols)
    tape_ints, tape_floats : arrays of shape (events, TAPE_INTS) and (events, TAPE_FLOATS)
        What happened, to be played back; without rows if it is not wanted.
    decisions : float64 array of shape (symbols, 5)
        What is wanted at an instant, and in the last column by how many units that changes a position.
    found : int64 array of shape (symbols + 1,)
        Of which symbols; the last says how many.
    """

    ints: IntArray
    floats: FloatArray
    counts: IntArray
    money: FloatArray
    symbols: FloatArray
    tape_ints: IntArray
    tape_floats: FloatArray
    decisions: FloatArray
    found: IntArray

    @classmethod
    def new(cls, symbols: int, orders: int, events: int) -> Books:
        """Return books with room for so many orders and tape entries; a run begins them itself."""
        return cls(
            np.empty((orders, ORDER_INTS), np.int64),
            np.empty((orders, ORDER_FLOATS)),
            np.empty(COUNTS + symbols, np.int64),
            np.empty(MONEY),
            np.empty((SYMBOL_ROWS, symbols)),
            np.empty((events, TAPE_INTS), np.int64),
            np.empty((events, TAPE_FLOATS)),
            np.empty((symbols, 5)),
            np.zeros(symbols + 1, np.int64),
        )


class History(NamedTuple):
    """What all runs over one history share.

    Attributes
    ----------
    market : float64 array of shape (instants, symbols, 6)
        Open, high, low, close, volume and the last known price: side by side, because an order reads most of them.
    times : int64 array of shape (instants, TIMES)
        Nanoseconds, and session dates in days since the epoch.
    last_rows : int64 array of shape (sessions,)
        The last instant of each session.
    actions : int64 array of shape (3, actions)
        Corporate actions in the order in which they take effect.
    values : float64 array of shape (actions,)
        New shares per old share, or cash per share.
    instruments : float64 array of shape (symbols, INSTRUMENT)
    rules : float64 array of shape (RULES,)
    """

    market: FloatArray
    times: IntArray
    last_rows: IntArray
    actions: IntArray
    values: FloatArray
    instruments: FloatArray
    rules: FloatArray
