"""`StrategyHarness`: drives a strategy event by event in a unit test.

It uses the real context, history and ledger, and has no market: the test says what every bar is and at what price an intent
fills.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any, Final

import numpy as np

from fairlead.contracts.sessions import HoursOf
from fairlead.contracts.settings import build_settings
from fairlead.core.bars import BarBlock, BarSlice, Cursor, CursorMarks
from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound, StrategyError
from fairlead.core.events import Bar
from fairlead.core.fills import Fill
from fairlead.core.identity import group_id, idempotency_key, order_id, random_stream
from fairlead.core.instruments import Instrument, check_symbol
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import AmountKind, Order, OrderStatus, Side
from fairlead.core.portfolio import Portfolio
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, BarSize, to_ns
from fairlead.sdk.context import Context, PortfolioView
from fairlead.sdk.features import FeatureView
from fairlead.sdk.history import HistoricalData
from fairlead.sdk.strategy import Strategy

FIRST_DAY: Final = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
DAILY_CLOSE_NS: Final = 21 * 60 * NS_PER_MINUTE
INTRADAY_OPEN_NS: Final = (14 * 60 + 30) * NS_PER_MINUTE


class StrategyHarness:
    """Drives one strategy, one event at a time.

    Parameters
    ----------
    strategy : Strategy
    cash : float
        Starting capital in account currency.
    symbols : tuple of str
        Every symbol of the run.
    seed : int
        Root of ``context.random``.
    bar_size : BarSize
        Decides the default stamps: daily bars become known on consecutive days at 21:00 UTC, intraday bars follow one
        another from 14:30 UTC on 2 January 2024.
    calendar : str
        The exchange whose sessions `context.session_at` knows; opened when it is first asked.
    sizing : SizingRule or mapping, optional
        Sizes what the strategy leaves to the session, as ``sizing`` in a configuration does.

    Notes
    -----
    An intent in units opens an order as soon as the strategy returns it, so that ``context.open_orders`` shows it; the order
    rests until the test fills, cancels or rejects it. An intent in currency or as a weight becomes an order when it is
    filled, because only the engine sizes it. One that leaves its size to the session is sized at once; if it comes to nothing
    its order is rejected with the reason.

    Examples
    --------
    >>> harness = StrategyHarness(BuyOnce(), symbols=("AAPL",))
    >>> harness.start()
    >>> [intent] = harness.bar("AAPL", close=101)
    >>> harness.fill(intent, price=101.5)
    >>> harness.portfolio.quantity("AAPL")
    10.0
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
        cash: float = 100_000.0,
        symbols: tuple[str, ...] = ("AAPL",),
        seed: int = 42,
        bar_size: BarSize = BarSize.D1,
        calendar: str = "XNYS",
        sizing: object = None,
    ) -> None:
        if not isinstance(strategy, Strategy):
            raise ConfigurationError.of("strategy", "be an instance of Strategy", strategy, "Pass MyStrategy(), not the class.")
        columns = tuple(sorted({check_symbol(symbol) for symbol in symbols}))
        self.strategy = strategy
        self._bar_size = bar_size
        # Row -1 of an empty block: nothing is known yet, and every window is empty.
        self._cursor = Cursor(_empty_block(columns), -1)
        self._now_ns = to_ns(FIRST_DAY) + (INTRADAY_OPEN_NS if bar_size.is_intraday else 0)
        self._ledger = Portfolio(float(cash), CursorMarks(self._cursor))
        self._orders: list[tuple[OrderIntent, Order]] = []
        self._fill_count = 0
        self._feed = _feed_of(strategy, columns)
        self._stage = "new"
        self._sizer = _sizer_of(sizing)
        plan = {} if self._feed is None else self._feed.plan.asked
        self._features = FeatureView(self._cursor, {k: [o.name for o in node.feature.outputs] for k, node in plan.items()})
        self.context = Context(
            portfolio=PortfolioView(self._ledger),
            historical_data=HistoricalData(self._cursor, strategy.lookback()),
            now_ns=lambda: self._now_ns,
            symbols=columns,
            risk_limits=strategy.risk_limits,
            random=random_stream(seed, strategy.name),
            open_orders=lambda: tuple(order for _, order in self._orders if not order.is_terminal),
            features=self._features,
            session_hours=_hours_of(calendar),
        )

    @property
    def portfolio(self) -> PortfolioView:
        """What the strategy sees of its capital."""
        return self.context.portfolio

    @property
    def orders(self) -> tuple[Order, ...]:
        """Every order so far, oldest first."""
        return tuple(order for _, order in self._orders)

    def start(self) -> None:
        """Call `on_start`.

        Raises
        ------
        DataNotFound
            If the strategy requires a symbol that the harness was not given.
        """
        self._expect("new", "start() is called once, before everything else")
        missing = sorted(set(self.strategy.required_symbols()) - set(self.context.symbols))
        if missing:
            raise DataNotFound(f"{self.strategy.name} requires {', '.join(missing)}. Give symbols=(...) to the harness.")
        self._stage = "running"
        self.strategy.on_start(self.context)

    def bar(
        self,
        symbol: str,
        close: float,
        *,
        open: float | None = None,  # noqa: A002  the trade's word for it
        high: float | None = None,
        low: float | None = None,
        volume: float = 1_000_000.0,
        at: dt.datetime | None = None,
    ) -> list[OrderIntent | CancelIntent | ReplaceIntent]:
        """Deliver one bar and return what the strategy wants.

        Parameters
        ----------
        symbol : str
        close, open, high, low : float
            In currency. The open is the close if not given; high and low span both.
        volume : float
            In units.
        at : datetime, optional
            When the bar becomes known; later than the bar before.

        Raises
        ------
        ContractError
            If the prices do not make a bar, or `at` does not move forward or has no time zone.
        DataNotFound
            If the harness was not given `symbol`.
        """
        first = close if open is None else open
        top = max(first, close) if high is None else high
        bottom = min(first, close) if low is None else low
        return self._deliver({symbol: _checked(symbol, first, top, bottom, close, volume)}, at)

    def slice(
        self, closes: Mapping[str, float], *, at: dt.datetime | None = None
    ) -> list[OrderIntent | CancelIntent | ReplaceIntent]:
        """Deliver bars of several symbols that close at one instant, and return what the strategy wants.

        Parameters
        ----------
        closes : mapping of symbol to float
            Closing prices; each bar is flat at its close. Symbols left out have no bar here.
        at : datetime, optional
            As in `bar`.
        """
        bars = {symbol: _checked(symbol, close, close, close, close, 1_000_000.0) for symbol, close in closes.items()}
        if not bars:
            raise ContractError.of("slice", "hold at least one bar", dict(closes))
        return self._deliver(bars, at)

    def fill(self, intent: OrderIntent, price: float, quantity: float | None = None, commission: float = 0.0) -> Order:
        """Book an execution of `intent` and tell the strategy.

        Parameters
        ----------
        intent : OrderIntent
            One that the strategy returned, or any other.
        price : float
            Paid or received, in currency.
        quantity : float, optional
            Signed units. What is left of the intent if not given, which needs an intent in units.
        commission : float
            In currency.

        Returns
        -------
        Order
            As the strategy saw it in `on_order_update`.

        Raises
        ------
        ConfigurationError
            If price or quantity make no execution, or the quantity has to be given and is not.
        InvalidTransition
            If more is filled than the order has left.
        """
        self._expect("running", "start() comes before fill()")
        if not (math.isfinite(price) and price > 0):
            raise ConfigurationError.of("fill price", "be a finite price above 0", price)
        if len(self._cursor.block) == 0 or math.isnan(self._ledger.marks.get(intent.symbol, math.nan)):
            raise DataNotFound(f"{intent.symbol!r} has no price yet. Deliver a bar of it before the fill.")
        order = self._working(intent)
        if order is None:
            order = self._open(intent, self._signed_quantity(intent) if quantity is None else quantity)
        signed = order.remaining * order.side.sign if quantity is None else quantity
        if signed * order.side.sign <= 0 or not math.isfinite(signed):
            raise ConfigurationError.of("fill quantity", f"have the sign of a {order.side} order", signed)
        order.record_fill(abs(signed), price, commission, self._now_ns)
        self._fill_count += 1
        fill = Fill(
            execution_id=str(self._fill_count),
            order_id=order.order_id,
            strategy=order.strategy,
            symbol=order.symbol,
            side=order.side,
            quantity=abs(signed),
            price_ideal=price,
            price=price,
            commission=commission,
            ts_ns=self._now_ns,
            bar_ns=int(self._cursor.block.label_ns[-1]),
            tag=order.tag,
        )
        self._ledger.apply(fill)
        self.strategy.on_order_update(order, self.context)
        return order

    def cancel(self, intent: OrderIntent | CancelIntent, reason: str = "cancelled by the test") -> Order:
        """Cancel the working order of `intent` and tell the strategy."""
        return self._end(intent, OrderStatus.CANCELLED, reason)

    def reject(self, intent: OrderIntent, reason: str = "rejected by the test") -> Order:
        """Reject the working order of `intent` and tell the strategy."""
        return self._end(intent, OrderStatus.REJECTED, reason)

    def stop(self) -> None:
        """Call `on_stop`; nothing can be delivered afterwards."""
        self._expect("running", "start() comes before stop(), and stop() comes once")
        self._stage = "stopped"
        self.strategy.on_stop(self.context)

    def save_and_restore(self) -> Strategy:
        """Carry the strategy's state through JSON into a fresh instance, go on with that, and return it.

        The fresh instance is made with the same parameters; it gets `on_start`, then `load_state`.

        Raises
        ------
        StrategyError
            If the state is not JSON-able, or the fresh instance does not save the same state again.
        """
        self._expect("running", "start() comes before save_and_restore()")
        state = self._through_json("save_state()", self.strategy.save_state())
        notes = self._through_json("context.metadata", self.context.metadata)
        fresh = type(self.strategy)(**self.strategy.params)
        fresh.on_start(self.context)
        # `on_start` may write first notes; those of the checkpoint replace them.
        self.context.metadata.clear()
        self.context.metadata.update(notes)
        fresh.load_state(state)
        again = self._through_json("save_state()", fresh.save_state())
        lost = sorted(key for key in {**state, **again} if key not in state or key not in again or state[key] != again[key])
        if lost:
            raise StrategyError.of(
                f"{self.strategy.name} load_state", "restore all that save_state returns", lost, "These keys differ afterwards."
            )
        self.strategy = fresh
        return fresh

    def _expect(self, stage: str, rule: str) -> None:
        if self._stage != stage:
            raise StrategyError(f"{rule}; the harness is {self._stage}.")

    def _deliver(self, bars: Mapping[str, Bar], at: dt.datetime | None) -> list[OrderIntent | CancelIntent | ReplaceIntent]:
        self._expect("running", "start() comes before the first bar, and stop() after the last")
        label_ns, known_ns = self._stamps(at)
        block = self._cursor.block
        for symbol in bars:
            block.column(symbol)
        self._cursor.block = _grown(block, bars, label_ns, known_ns)
        self._cursor.row = len(block)
        self._now_ns = known_ns
        if self._feed is not None:
            self._feed.take(replace(self._cursor.block, start=self._cursor.row))
            self._features.enter({label: self._feed.values(label) for label in self._feed.plan.asked}, self._cursor.row)
        moment = BarSlice(self._cursor.block, self._cursor.row)
        for event in (moment,) if self.strategy.event_type is BarSlice else moment:
            self.strategy.on_market_event(event, self.context)
        intents = list(self.strategy.generate_orders(self.context))
        for intent in intents:
            if not isinstance(intent, (OrderIntent, CancelIntent, ReplaceIntent)):
                raise StrategyError.of(
                    f"{self.strategy.name} generate_orders", "return OrderIntent, CancelIntent and ReplaceIntent only", intent
                )
            if isinstance(intent, OrderIntent):
                self._receive(intent)
        return intents

    def _stamps(self, at: dt.datetime | None) -> tuple[int, int]:
        size = self._bar_size
        is_first = len(self._cursor.block) == 0
        if at is not None:
            known = to_ns(at)
            if not is_first and known <= self._now_ns:
                raise ContractError.of("at", "be later than the bar before", at.isoformat())
        elif size.is_intraday:
            known = self._now_ns + size.ns
        else:
            day = self._now_ns // NS_PER_DAY + (0 if is_first else 1)
            known = day * NS_PER_DAY + DAILY_CLOSE_NS
        return known - size.ns if size.is_intraday else known // NS_PER_DAY * NS_PER_DAY, known

    def _receive(self, intent: OrderIntent) -> None:
        if intent.amount_kind is not AmountKind.SIZED:
            if quantity := self._units(intent):
                self._open(intent, quantity)
            return
        quantity, reason = self._by_rule(intent)
        order = self._open(intent, quantity or intent.amount)
        if not quantity:
            order.status = OrderStatus.PENDING
            order.move_to(OrderStatus.REJECTED, self._now_ns, reason)
            self.strategy.on_order_update(order, self.context)

    def _by_rule(self, intent: OrderIntent) -> tuple[float, str]:
        ledger, symbol = self._ledger, intent.symbol
        price = ledger.marks.get(symbol, math.nan) if len(self._cursor.block) else math.nan
        if math.isnan(price):
            raise DataNotFound(f"{symbol!r} has no price yet. Deliver a bar of it before an order in it.")
        power = ledger.buying_power(self.strategy.risk_limits.max_leverage)
        quantity, reason = self._sizer.size(
            intent, Instrument(symbol=symbol), price=price, equity=ledger.equity, buying_power=power
        )
        return quantity, reason

    def _units(self, intent: OrderIntent) -> float | None:
        if intent.amount_kind is AmountKind.QUANTITY:
            return intent.amount
        if intent.amount_kind is AmountKind.TARGET_POSITION:
            return intent.amount - self._ledger.quantity(intent.symbol)
        return None

    def _signed_quantity(self, intent: OrderIntent) -> float:
        units = self._by_rule(intent)[0] if intent.amount_kind is AmountKind.SIZED else self._units(intent)
        if units is None:
            raise ConfigurationError.of(
                f"fill of a {intent.amount_kind} intent", "be given a quantity", None, "Only the engine sizes it: quantity=..."
            )
        return units

    def _working(self, intent: OrderIntent | CancelIntent) -> Order | None:
        # The newest first: equal intents of different bars are different orders, and a test means the last one.
        for known, order in reversed(self._orders):
            is_meant = order.order_id == intent.order_id if isinstance(intent, CancelIntent) else known == intent
            if is_meant and not order.is_terminal:
                return order
        return None

    def _open(self, intent: OrderIntent, signed: float) -> Order:
        if signed == 0 or not math.isfinite(signed):
            raise ConfigurationError.of("fill quantity", "be a finite number other than 0", signed)
        strategy, side = self.strategy, Side.of(signed)
        group = group_id(intent.symbol, self._now_ns, len(self._orders))
        key = idempotency_key("harness", strategy.name, strategy.version, intent.symbol, side, group)
        order = Order(
            order_id=order_id(key),
            idempotency_key=key,
            group_id=group,
            strategy=strategy.name,
            symbol=intent.symbol,
            side=side,
            quantity=abs(signed),
            order_type=intent.order_type,
            created_ns=self._now_ns,
            arrives_ns=self._now_ns,
            limit_price=intent.limit_price,
            stop_price=intent.stop_price,
            time_in_force=intent.time_in_force,
            expires_ns=None if intent.expires_at is None else to_ns(intent.expires_at),
            tag=intent.tag,
            oco_id=intent.oco,
            reduce_only=intent.reduce_only,
            trail_amount=intent.trail_amount,
            trail_percent=intent.trail_percent,
            status=OrderStatus.ACKNOWLEDGED,
        )
        self._orders.append((intent, order))
        return order

    def _end(self, intent: OrderIntent | CancelIntent, status: OrderStatus, reason: str) -> Order:
        self._expect("running", "start() comes before cancel() and reject()")
        order = self._working(intent)
        if order is None:
            raise ConfigurationError.of("intent", "have a working order", intent, "See harness.orders.")
        order.move_to(status, self._now_ns, reason)
        self.strategy.on_order_update(order, self.context)
        return order

    def _through_json(self, what: str, value: object) -> dict[str, Any]:
        try:
            carried = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as exc:
            raise StrategyError.of(f"{self.strategy.name} {what}", "be JSON-able without NaN", value, str(exc)) from exc
        if not isinstance(carried, dict):
            raise StrategyError.of(f"{self.strategy.name} {what}", "be a dict", value)
        return carried


def _feed_of(strategy: Strategy, symbols: tuple[str, ...]) -> Any:
    # Features stand on the SDK, so that it can know them only by name.
    requests = strategy.required_features()
    return import_module("fairlead.features.feed").Feed(requests, symbols) if requests else None


def _sizer_of(sizing: object) -> Any:
    # Sizing and calendars stand on the SDK as well.
    position = import_module("fairlead.risk.position")
    rule = {} if sizing is None else sizing
    return position.RuleSizer(build_settings(position.SizingRule, rule, "sizing"))


def _hours_of(calendar: str) -> HoursOf:
    found: HoursOf = import_module("fairlead.data.closing").session_hours(calendar)
    return found


def _checked(symbol: str, first: float, top: float, bottom: float, close: float, volume: float) -> Bar:
    for name, price in (("open", first), ("high", top), ("low", bottom), ("close", close)):
        if not (math.isfinite(price) and price > 0):
            raise ContractError.of(f"{symbol} {name}", "be a finite price above 0", price)
    if not bottom <= min(first, close) <= max(first, close) <= top:
        raise ContractError.of(f"{symbol} bar", "have low <= open, close <= high", (first, top, bottom, close))
    if not (math.isfinite(volume) and volume >= 0):
        raise ContractError.of(f"{symbol} volume", "be a finite number, at least 0", volume)
    return Bar(symbol, 0, 0, float(first), float(top), float(bottom), float(close), float(volume))


def _empty_block(symbols: tuple[str, ...]) -> BarBlock:
    stamps, table = np.empty(0, np.int64), np.empty((0, len(symbols)))
    return BarBlock(symbols, stamps, stamps, np.empty(0, np.int32), table, table, table, table, table, table)


def _grown(block: BarBlock, bars: Mapping[str, Bar], label_ns: int, known_ns: int) -> BarBlock:
    # Copying every row is quadratic; a test delivers tens of bars, and immutable blocks cannot leak a later one.
    row = np.full((5, len(block.symbols)), np.nan)
    for symbol, bar in bars.items():
        row[:, block.columns[symbol]] = bar[3:]
    before = block.mark[-1] if len(block) else np.full(len(block.symbols), np.nan)
    mark = np.where(np.isnan(row[3]), before, row[3])
    return BarBlock(
        block.symbols,
        np.append(block.label_ns, np.int64(label_ns)),
        np.append(block.known_ns, np.int64(known_ns)),
        np.append(block.session, np.int32(known_ns // NS_PER_DAY)),
        np.vstack([block.open, row[0]]),
        np.vstack([block.high, row[1]]),
        np.vstack([block.low, row[2]]),
        np.vstack([block.close, row[3]]),
        np.vstack([block.volume, row[4]]),
        np.vstack([block.mark, mark]),
    )
