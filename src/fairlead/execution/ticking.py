"""The simulated venue on quotes and prints: orders meet them one after the other, in the order of time (domain rule 6.13).

Strategies decide at the closes of bars; between two of them their orders meet every quote and print that is stamped at or after
their arrival. Only the auctions are bars still: their prices are the bar's open and close.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np

from fairlead.core.bars import BarBlock
from fairlead.core.events import Quote, Trade
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderType, Side, TimeInForce
from fairlead.data.ticks import TickStream
from fairlead.execution import tick_kernels
from fairlead.execution.book import Book, Place, Print, touch_of
from fairlead.execution.fills import FillPhase, FillPrice
from fairlead.execution.latency import Latency
from fairlead.execution.pricing import SessionClose
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.simulated import Candidate, SimulatedExecution
from fairlead.execution.venue import Afford
from fairlead.execution.working import Heard, Held

# Bound once: on Python 3.11 looking a member up on its enum costs as much as a call.
_BUY: Final = Side.BUY
_STOPS: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
_WITH_LIMIT: Final = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_TRAILING: Final = OrderType.TRAILING_STOP
_ADAPTIVE: Final = OrderType.ADAPTIVE
_AT_ONCE: Final = frozenset({TimeInForce.IOC, TimeInForce.FOK})
_AUCTIONS: Final = frozenset({TimeInForce.OPG, TimeInForce.CLS})
_OPG: Final = TimeInForce.OPG
_CLS: Final = TimeInForce.CLS
# What happens at a tick comes before all that is later: nothing inside a bar is to be guessed.
_PHASE: Final = FillPhase.OPEN
_UNKNOWN: Final = float("nan")
_INFINITY: Final = float("inf")
_NOBODY: Final[frozenset[str]] = frozenset()


class _Moment(NamedTuple):
    """A tick, and the row in whose bars it lies."""

    ts_ns: int
    block: BarBlock
    row: int


class TickExecution(SimulatedExecution):
    """Fills working orders from quotes and prints; see `Venue` for the other parameters.

    Parameters
    ----------
    ticks : TickStream
        Quotes, or quotes and trades; a new pass.

    Notes
    -----
    A session begins with an empty book: what rests overnight queues again, and no quote of the day before counts. Ticks
    between the last bar of a session and the first of the next are passed over.
    """

    def __init__(
        self,
        ticks: TickStream,
        settings: ExecutionSettings,
        instruments: Mapping[str, Instrument],
        latency: Latency,
        hear: Heard,
        *,
        held: Held | None = None,
        afford: Afford | None = None,
        one_bar_sessions: bool = False,
        session_close: SessionClose | None = None,
    ) -> None:
        super().__init__(
            settings,
            instruments,
            latency,
            hear,
            held=held,
            afford=afford,
            one_bar_sessions=one_bar_sessions,
            session_close=session_close,
        )
        self._ticks = ticks
        self._on_touch = settings.limit_fill_on_touch
        self._replenishes = settings.quotes_replenish
        self._books: dict[str, Book] = {}
        self._places: dict[str, Place] = {}
        self._opens: dict[int, int] = {}
        self._session: int | None = None
        self._done_ns = -1
        self._mid = _UNKNOWN

    def enter(self, block: BarBlock) -> None:
        """Take in the next block of history, and when its sessions open."""
        super().enter(block)
        first = block.start if self._opens else 0
        sessions, rows = np.unique(block.session[first:], return_index=True)
        found = {int(day): int(block.label_ns[first + row]) for day, row in zip(sessions, rows, strict=True)}
        # A session that goes on from the block before has opened there.
        latest = max(self._opens, default=None)
        self._opens = found if latest is None else {**found, latest: self._opens[latest]}

    def match(self, block: BarBlock, row: int) -> None:
        """Let every working order meet what is stamped after the row before and not after this one."""
        if not self.working:
            return
        label, now, session = int(block.label_ns[row]), int(block.known_ns[row]), int(block.session[row])
        if session != self._session:
            self._session = session
            self._books.clear()
            self._places.clear()
        self._pass_over(min(order.created_ns for order in self.working.values()))
        if any(order.time_in_force is _OPG for order in self.working.values()):
            self._walk(block, row, label - 1)
            self._hold_auction(_OPG, block, row, label)
        self._walk(block, row, now)
        self._hold_auction(_CLS, block, row, now)
        for order in list(self.working.values()):
            # Hearing of one order may make a strategy fail, which takes its others back.
            if not order.is_terminal:
                self._has_arrived(order, now, session)
        if self.working:
            self._end_day(now, session)

    def _hold_auction(self, auction: TimeInForce, block: BarBlock, row: int, at_ns: int) -> None:
        self._mid = _UNKNOWN
        if self._requests.waiting:
            self._fulfil(at_ns)
        bidders = [o for o in self.working.values() if o.time_in_force is auction and o.arrives_ns <= at_ns]
        if bidders:
            self._meet(bidders, block, row, at_ns, _NOBODY)

    def _wake(self, candidates: list[Candidate], served: int, block: BarBlock, row: int) -> None:  # noqa: ARG002  as its parent
        # What an auction has brought to life meets the ticks that follow it.
        self._awake.clear()

    def _pass_over(self, oldest_ns: int) -> None:
        # Before the session's first bar nothing is traded, and before the oldest order there is nothing to trade.
        opened = self._opens[self._session] if self._session is not None else 0
        until = max(opened - 1, oldest_ns)
        if until <= self._done_ns:
            return
        self._done_ns = until
        if any(book.is_touched for book in self._books.values()):
            for tick in self._ticks.until(until):
                if type(tick) is Quote and tick.known_ns >= opened:
                    self._show(tick)
            return
        for quote in self._ticks.skip(until):
            if quote.known_ns >= opened:
                self._books[quote.symbol] = Book(quote)

    def _walk(self, block: BarBlock, row: int, until_ns: int) -> None:
        lines: dict[str, list[Order]] = {}
        for order in self.working.values():
            if order.time_in_force not in _AUCTIONS:
                lines.setdefault(order.symbol, []).append(order)
        for tick in self._ticks.until(until_ns):
            if self._requests.waiting:
                self._fulfil(tick.known_ns)
            book = self._books.get(tick.symbol)
            before = None if book is None else book.quote
            if type(tick) is Quote:
                book = self._show(tick)
            if tick.symbol in lines:
                self._serve_tick(tick, book, before, lines, _Moment(tick.known_ns, block, row))
        self._done_ns = max(self._done_ns, until_ns)

    def _serve_tick(
        self, tick: Quote | Trade, book: Book | None, before: Quote | None, lines: dict[str, list[Order]], moment: _Moment
    ) -> None:
        self._mid = _UNKNOWN if book is None else book.quote.mid
        price = tick.price if type(tick) is Trade else 0.0
        present = self._present(lines[tick.symbol], price, moment)
        if type(tick) is Trade:
            trade = Print(tick.price, tick.size)
            for order in self._each(present, lines, tick.symbol):
                self._at_print(order, trade, before, moment)
        elif book is not None:
            for order in self._each(present, lines, tick.symbol):
                self._at_quote(order, book, before, moment)

    def _show(self, quote: Quote) -> Book:
        book = self._books.get(quote.symbol)
        if book is None:
            book = self._books[quote.symbol] = Book(quote)
        else:
            book.show(quote, replenishes=self._replenishes)
        return book

    def _present(self, line: list[Order], price: float, moment: _Moment) -> list[Order]:
        """Return the orders that have arrived: those for which `price` is better first, then the elder."""
        ts_ns, session = moment.ts_ns, int(moment.block.session[moment.row])
        found: list[tuple[float, int, int, Order]] = []
        for age, order in enumerate(line):
            # Hearing of one order may make a strategy fail, which takes its others back.
            if order.is_terminal or not self._has_arrived(order, ts_ns, session):
                continue
            place = self._places.get(order.order_id)
            if place is None or (order.quantity > place.quantity and not place.is_new):
                # An exit that grows with its entry is a larger order: as after a replacement, its place is lost.
                since_ns = order.arrives_ns if place is None else ts_ns
                place = self._places[order.order_id] = Place(since_ns)
            place.quantity = order.quantity
            limit = _limit_of(order)
            ahead = (limit - price) * order.side.sign if limit == limit else _INFINITY
            found.append((-ahead, place.since_ns, age, order))
        found.sort()
        return [entry[3] for entry in found]

    def _each(self, present: list[Order], lines: dict[str, list[Order]], symbol: str) -> Iterator[Order]:
        """Yield orders in turn; what the fill of one brings to life comes after those that were there."""
        for order in present:
            if not order.is_terminal:
                yield order
            awake, self._awake = self._awake, []
            for child, _ in awake:
                if not child.is_terminal:
                    lines.setdefault(child.symbol, []).append(child)
                    self._places[child.order_id] = Place(child.arrives_ns, child.quantity)
                    if child.symbol == symbol:
                        present.append(child)

    # What one order does at one tick.

    def _at_quote(self, order: Order, book: Book, before: Quote | None, moment: _Moment) -> None:
        side = 1 if order.side is _BUY else -1
        place, touch = self._places[order.order_id], touch_of(book.quote, side)
        if not self._is_released(order, side, touch):
            self._give_up(order, moment)
            return
        limit = _limit_of(order)
        self._settle(order, place, side, limit, before)
        if place.is_resting:
            place.see(side, limit, book.quote)
            if tick_kernels.is_crossed(side, limit, touch, self._on_touch):
                book.take(side, self._take(order, limit, book.free(side), moment))
        elif tick_kernels.is_marketable(side, limit, touch):
            share = self._participation if order.order_type is _ADAPTIVE else 1.0
            book.take(side, self._take(order, touch, book.free(side) * share, moment))
        elif order.time_in_force in _AT_ONCE:
            self._give_up(order, moment)
        elif limit == limit:
            place.rest(side, limit, book.quote)

    def _at_print(self, order: Order, trade: Print, quote: Quote | None, moment: _Moment) -> None:
        side = 1 if order.side is _BUY else -1
        place = self._places[order.order_id]
        if not self._is_released(order, side, trade.price):
            if quote is None:
                self._give_up(order, moment)
            return
        limit = _limit_of(order)
        self._settle(order, place, side, limit, quote)
        if place.is_resting:
            self._queue_up(order, place, trade, moment)
        elif quote is not None:
            return  # it crosses the spread with the next quote
        elif tick_kernels.is_marketable(side, limit, trade.price):
            share = self._participation if order.order_type is _ADAPTIVE else 1.0
            trade.left -= self._take(order, trade.price, trade.left * share, moment)
        elif order.time_in_force in _AT_ONCE:
            self._give_up(order, moment)
        elif limit == limit:
            place.rest(side, limit, None)

    def _is_released(self, order: Order, side: int, price: float) -> bool:
        """Whether an order may trade: a stop once a price has triggered it; until then a trailing one follows the price."""
        if order.order_type not in _STOPS or order.stop_triggered:
            return True
        if order.order_type is _TRAILING:
            if order.stop_price is None and price == price:
                self._pricer.follow(order, price)
            self._pricer.follow_to(order, price)
        if order.stop_price is None or not tick_kernels.stop_reached(side, order.stop_price, price):
            return False
        order.stop_triggered = True
        return True

    def _settle(self, order: Order, place: Place, side: int, limit: float, before: Quote | None) -> None:
        """Let a limit that was not marketable when it arrived rest since then."""
        if place.is_new:
            place.is_new = False
            waits = limit == limit and order.time_in_force not in _AT_ONCE
            if waits and before is not None and not tick_kernels.is_marketable(side, limit, touch_of(before, side)):
                place.rest(side, limit, before)

    def _queue_up(self, order: Order, place: Place, trade: Print, moment: _Moment) -> None:
        side, limit = order.side.sign, _limit_of(order)
        distance = (limit - trade.price) * side
        if distance < 0.0:
            return
        size = trade.left
        if distance == 0.0:
            size = trade.reached = trade.left if trade.reached is None else trade.reached
        queue = place.queue
        place.queue = tick_kernels.queue_after_print(queue, side, limit, trade.price, size)
        if distance > 0.0:
            trade.left -= self._take(order, limit, trade.left, moment)
            return
        taken = self._take(order, limit, tick_kernels.left_for(queue, size, trade.taken_there), moment)
        trade.taken_there += taken
        trade.left -= taken

    def _take(self, order: Order, price: float, free: float, moment: _Moment) -> float:
        return self._trade(order, FillPrice(price, _PHASE), free, moment.block, moment.row, moment.ts_ns)

    def _give_up(self, order: Order, moment: _Moment) -> None:
        if order.time_in_force in _AT_ONCE:
            self._miss(order, moment.ts_ns)

    # What the life of an order does to its place.

    def _requeue(self, order: Order, ts_ns: int) -> None:
        super()._requeue(order, ts_ns)
        self._places[order.order_id] = Place(max(ts_ns, order.arrives_ns))

    def _remove(self, order: Order) -> None:
        super()._remove(order)
        self._places.pop(order.order_id, None)

    def _fill(self, order: Order, quantity: float, ideal: float, price: float, commission: float, now: int, label: int) -> None:
        self.mids.append(self._mid)
        super()._fill(order, quantity, ideal, price, commission, now, label)


def _limit_of(order: Order) -> float:
    return order.limit_price if order.limit_price is not None and order.order_type in _WITH_LIMIT else _UNKNOWN
