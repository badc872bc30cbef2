"""The prices around orders and fills, noted block by block: what judging an execution needs, and a record would forget."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

import numpy as np

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.bars import BarBlock
from fairlead.core.fills import Fill
from fairlead.core.orders import Order
from fairlead.engine.record import ExecutionPrices

_ABSENT: Final = -1
_CREATED: Final = attrgetter("created_ns")
_STAMP: Final = attrgetter("ts_ns")


class PriceNotes:
    """Looks up, once a block has been delivered, the prices of its orders and fills: whole columns, not one by one."""

    def __init__(self) -> None:
        self._arrival: list[FloatArray] = []
        self._bar: list[FloatArray] = []
        self._orders = 0
        self._fills = 0

    def take(self, block: BarBlock, orders: Sequence[Order], fills: Sequence[Fill]) -> None:
        """Note what `orders` and `fills` gained while `block` was delivered; both only ever grow."""
        count = len(orders) - self._orders
        if count:
            new = orders[self._orders :]
            self._orders += count
            # An order for a symbol that the run does not have was refused; it has no price.
            column = _columns([order.decided_symbol or order.symbol for order in new], block)
            created = np.fromiter(map(_CREATED, new), np.int64, count)
            row = np.maximum(np.searchsorted(block.known_ns, created, side="right") - 1, 0)
            self._arrival.append(np.where(column == _ABSENT, np.nan, block.mark[row, column]))
        count = len(fills) - self._fills
        if count:
            done = fills[self._fills :]
            self._fills += count
            column = _columns([fill.symbol for fill in done], block)
            stamps = np.fromiter(map(_STAMP, done), np.int64, count)
            row = np.minimum(np.searchsorted(block.known_ns, stamps), len(block) - 1)
            bar = np.empty((count, 5))
            for i, field in enumerate((block.open, block.high, block.low, block.close, block.volume)):
                bar[:, i] = field[row, column]
            self._bar.append(bar)

    def prices(self, mids: Sequence[float] = ()) -> ExecutionPrices:
        """Return everything noted; what a run of bars does not know is NaN.

        Parameters
        ----------
        mids : sequence of float
            The middle of bid and offer at each fill; empty if it is not known.
        """
        arrival = np.concatenate(self._arrival) if self._arrival else np.empty(0)
        bar = np.concatenate(self._bar) if self._bar else np.empty((0, 5))
        return ExecutionPrices(arrival, bar, np.array(mids) if len(mids) else np.full(len(bar), np.nan))


def _columns(symbols: Sequence[str], block: BarBlock) -> IntArray:
    known = block.columns
    if len(known) == 1 and len(set(symbols)) == 1 and symbols[0] in known:
        return np.zeros(len(symbols), np.int64)
    return np.fromiter((known.get(symbol, _ABSENT) for symbol in symbols), np.int64, len(symbols))
