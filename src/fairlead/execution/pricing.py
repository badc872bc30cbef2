"""Which price a bar has for an order: auctions, late arrivals and trailing stops find their rule here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fairlead.core.bars import BarBlock
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderType, Side, TimeInForce
from fairlead.execution.fills import BarFillModel, FillPhase, FillPrice, Spark, market_fill
from fairlead.execution.kernels import tighter, trail_from
from fairlead.execution.settings import ExecutionSettings

SessionClose = Callable[[int], int | None]
"""Session date in days -> its closing instant in nanoseconds, None if the calendar does not have it."""
_NAN: Final = float("nan")
MISSED: Final = FillPrice(_NAN, FillPhase.CLOSE)
"""The order met its bar, could not fill there, and gets no other."""
# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_IOC: Final = TimeInForce.IOC
_FOK: Final = TimeInForce.FOK
_OPG: Final = TimeInForce.OPG
_CLS: Final = TimeInForce.CLS
_BUY: Final = Side.BUY
_MARKET: Final = OrderType.MARKET
_TRAILING: Final = OrderType.TRAILING_STOP
_NS_PER_MS: Final = 1_000_000


class BarPricer:
    """Finds the price of an order in a bar, and moves trailing stops.

    Parameters
    ----------
    settings : ExecutionSettings
    instruments : mapping of symbol to Instrument
    one_bar_sessions : bool
        Every row is a whole session.
    session_close : callable, optional
        When sessions close; asked only for orders that need to know.

    Attributes
    ----------
    trailing : dict of str to Order
        The trailing stops that work.
    """

    def __init__(
        self,
        settings: ExecutionSettings,
        instruments: Mapping[str, Instrument],
        *,
        one_bar_sessions: bool = False,
        session_close: SessionClose | None = None,
    ) -> None:
        self._model = BarFillModel(limit_fill_on_touch=settings.limit_fill_on_touch)
        # Bound once: a settings class looks its methods up the long way.
        self._price_whole = self._model.price
        self._grace_ns = int(settings.arrival_grace_ms * _NS_PER_MS)
        self._instruments = instruments
        self._one_bar_sessions = one_bar_sessions
        self._session_close = session_close
        self.trailing: dict[str, Order] = {}
        self._young: set[str] = set()

    def price(self, order: Order, block: BarBlock, row: int) -> FillPrice | None:
        """Return where an order that has arrived fills in the bar of its symbol: None if not here, `MISSED` if nowhere."""
        cells, column = block.cells, block.columns[order.symbol]
        close = cells.close[row, column]
        if close != close:
            return None
        in_force, is_prompt = order.time_in_force, order.arrives_ns - order.created_ns <= self._grace_ns
        if is_prompt and order.order_type is _MARKET and not (in_force is _OPG or in_force is _CLS):
            return market_fill(cells.open[row, column])
        if (in_force is _OPG or in_force is _CLS) and not self._is_auction(order, block, row, column):
            return None
        open_, high, low = cells.open[row, column], cells.high[row, column], cells.low[row, column]
        # The journey alone first: a bar opens no sooner than the decision, and reading its label costs more.
        late = not is_prompt and not self._one_bar_sessions and order.arrives_ns - cells.label_ns[row] > self._grace_ns
        if order.order_type is _TRAILING and order.stop_price is None:
            # What the bar did before the order arrived raises no stop.
            self.follow(order, close if late else open_, Spark(close, FillPhase.CLOSE, 0) if late else None)
        if late and in_force is _OPG:
            return None
        if late and in_force is not _CLS:
            found = self._model.price_late(order, high, low, close)
        else:
            price = self._price_whole
            found = price(order, open_, high, low, close)
        if found is None and (in_force is _IOC or in_force is _FOK or in_force is _OPG or in_force is _CLS):
            return MISSED
        return found

    def price_after(self, order: Order, spark: Spark, block: BarBlock, row: int) -> FillPrice | None:
        """Return where an order fills in the bar inside which it comes to life: None if not here, `MISSED` if nowhere."""
        cells, column = block.cells, block.columns[order.symbol]
        close = cells.close[row, column]
        in_force = order.time_in_force
        if close != close or in_force is _OPG:
            return None
        if in_force is _CLS:
            return self.price(order, block, row)
        found = self._model.price_after(order, spark, cells.high[row, column], cells.low[row, column], close)
        return MISSED if found is None and (in_force is _IOC or in_force is _FOK) else found

    def price_changed(
        self, order: Order, before: FillPrice | None, changed_ns: int, found: FillPrice | None, block: BarBlock, row: int
    ) -> FillPrice | None:
        """Return where an order fills in the bar inside which it was changed, after its open has passed it by.

        Parameters
        ----------
        before, found : FillPrice or None
            Where it would have filled as it was, and where it fills if all of the bar comes after the change.
        changed_ns : int
            When the change arrived.
        """
        if found is None or changed_ns - block.cells.label_ns[row] <= self._grace_ns or self._one_bar_sessions:
            return found
        cells, column = block.cells, block.columns[order.symbol]
        if before is not None:
            # It has filled, whenever the change came; at the worse of the two.
            return max(before, found) if order.side is _BUY else min(before, found)
        return self._model.price_late(order, cells.high[row, column], cells.low[row, column], cells.close[row, column])

    def closes(self, now: int, session: int) -> bool:
        """Whether a bar that is known now is the last of its session."""
        if self._one_bar_sessions:
            return True
        close = self._session_close(session) if self._session_close is not None else None
        return close is not None and now >= close

    def follow(self, order: Order, price: float, spark: Spark | None = None) -> None:
        """Begin to trail an order behind a price.

        Parameters
        ----------
        spark : Spark, optional
            The moment inside a bar at which it came to life: what the bar did before it raises no stop.
        """
        self.trailing[order.order_id] = order
        if order.stop_price is None:
            order.stop_price = self._behind(order, price)
        if spark is not None and (spark.phase is FillPhase.CLOSE or spark.moved not in (0, -order.side.sign)):
            self._young.add(order.order_id)

    def forget(self, order: Order) -> None:
        """Let go of an order that has ended."""
        if self.trailing:
            self.trailing.pop(order.order_id, None)

    def trail(self, block: BarBlock, row: int) -> None:
        """Move trailing stops after a bar: a level that its high has raised does not meet a price that came before the high."""
        for order in self.trailing.values():
            column = block.columns[order.symbol]
            extreme = block.cells.low if order.side is _BUY else block.cells.high
            best = (block.cells.close if order.order_id in self._young else extreme)[row, column]
            self.follow_to(order, best)
        self._young.clear()

    def follow_to(self, order: Order, best: float) -> None:
        """Move one trailing stop behind a price, if that is nearer; NaN moves none."""
        if best == best and order.stop_price is not None:
            order.stop_price = tighter(order.side.sign, order.stop_price, self._behind(order, best))

    def _behind(self, order: Order, best: float) -> float:
        amount = _NAN if order.trail_amount is None else order.trail_amount
        percent = _NAN if order.trail_percent is None else order.trail_percent
        level = trail_from(order.side.sign, amount, percent, best)
        instrument = self._instruments[order.symbol]
        # Away from the price: a protective stop is not hit sooner for the sake of the grid (domain rule 1.3).
        return on_tick(instrument, level, up=order.side is _BUY)

    def _is_auction(self, order: Order, block: BarBlock, row: int, column: int) -> bool:
        cells = block.cells
        session = cells.session[row]
        if order.time_in_force is _CLS:
            return self.closes(cells.known_ns[row], session)
        # The first bar of the symbol in its session.
        before = row - 1
        while before >= 0 and cells.session[before] == session:
            if cells.close[before, column] == cells.close[before, column]:
                return False
            before -= 1
        return True


def on_tick(instrument: Instrument, price: float, *, up: bool) -> float:
    """Return `price` on the tick grid, rounded `up` or down."""
    return instrument.ceil_price(price) if up else instrument.floor_price(price)


def prices_on_tick(
    instrument: Instrument, side: Side, limit: float | None, stop: float | None
) -> tuple[float | None, float | None]:
    """Return an order's prices on the tick grid, away from a better fill (domain rule 1.3).

    A limit never pays more than asked, and an entry stop never triggers sooner.
    """
    return (
        on_tick(instrument, limit, up=side is Side.SELL) if limit is not None else None,
        on_tick(instrument, stop, up=side is _BUY) if stop is not None else None,
    )
