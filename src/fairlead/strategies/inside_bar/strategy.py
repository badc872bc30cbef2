"""`InsideBar`: trade out of a bar that lies inside the one before it (domain rules 6.1-6.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from fairlead.core.orders import AmountKind, OrderRole
from fairlead.core.time import to_datetime
from fairlead.sdk import (
    Bar,
    CancelIntent,
    Context,
    CorporateAction,
    Intents,
    Order,
    OrderIntent,
    OrderStatus,
    ReplaceIntent,
    Side,
    Strategy,
    TimeInForce,
    one_cancels_other,
    parameter,
)
from fairlead.strategies.inside_bar.building import BarBuilder
from fairlead.strategies.inside_bar.machine import (
    Confirmation,
    InsideBarMachine,
    Reason,
    Reject,
    Setup,
    load_setup,
    save_setup,
)
from fairlead.strategies.inside_bar.rules import (
    DEFINITION_MODES,
    TIMEFRAMES,
    InsideBarRules,
    Leg,
    SignalBar,
    trailed_stop,
)
from fairlead.strategies.inside_bar.windows import SessionWindows

SESSION_END: Final = "session_end"
"""The tag of the orders that leave what is open at the end of its session (domain rule R8)."""
_SIDES: Final = {1: Side.BUY, -1: Side.SELL}


@dataclass(slots=True)
class _Trade:
    """An open position: the levels it was entered by, its best price so far, and when its session ends."""

    leg: Leg
    close_ns: int
    best: float


class InsideBar(Strategy):
    """Two stop orders around an inside bar, of which one may fill, with stop and target; flat at the session's end.

    A bar is inside if it stays within the bar before it, its mother. The first one of a window that passes the filters arms it:
    buy above the mother, sell below it, lose at most the capped distance, aim at a multiple of that.
    """

    name: ClassVar[str] = "insidebar"
    version: ClassVar[str] = "1.0.0"

    timeframe_minutes: int = parameter(5, choices=tuple(TIMEFRAMES), doc="Length of a signal bar.")
    session_timezone: str = parameter("America/New_York", doc="Zone of the windows.")
    session_windows: tuple[str, ...] = parameter(("09:30-11:00", "14:00-15:00"), doc="Local, start inside, end outside.")
    inside_bar_definition_mode: str = parameter(DEFINITION_MODES[0], choices=DEFINITION_MODES, doc="What has to lie in what.")
    inside_bar_mode: str = parameter("inclusive", choices=("inclusive", "strict"), doc="Whether touching a bound is inside.")
    atr_period: int = parameter(14, ge=1, le=500, doc="True ranges in the mean.")
    min_mother_bar_size: float = parameter(0.5, ge=0, le=100, doc="Least range of the mother, in ATR; 0 for any.")
    min_mother_body_fraction: float = parameter(0.55, ge=0, le=1, doc="Least body of the mother over its range; 0 for any.")
    min_inside_body_fraction: float = parameter(0.40, ge=0, le=1, doc="The same of the inside bar.")
    entry_level_mode: str = parameter("mother_bar", choices=("mother_bar", "inside_bar"), doc="Whose high and low are entries.")
    entry_trigger: str = parameter("stop_cross", choices=("stop_cross", "close_confirm"), doc="What makes it enter.")
    risk_reward_ratio: float = parameter(2.0, gt=0, le=100, doc="Way to the target over way to the stop.")
    stop_distance_cap_ticks: int = parameter(40, ge=1, le=1_000_000, doc="Farthest stop, in ticks.")
    tick_size: float = parameter(0.01, gt=0, le=1e6, doc="Grid of the levels, in currency.")
    order_validity_policy: str = parameter(
        "session_end", choices=("session_end", "fixed_minutes", "one_bar"), doc="How long orders wait."
    )
    order_validity_minutes: int = parameter(60, ge=1, le=1440, doc="For fixed_minutes.")
    valid_from_policy: str = parameter("signal_ts", choices=("signal_ts", "next_bar"), doc="When orders begin to wait.")
    max_trades_per_session: int = parameter(1, ge=1, le=100, doc="Setups of a window that are traded.")
    netting_mode: str = parameter("one_position_per_symbol", choices=("one_position_per_symbol",), doc="What may coexist.")
    trigger_must_be_within_session: bool = parameter(default=True, doc="Enter inside the windows only.")
    trailing_enabled: bool = parameter(default=False, doc="Move the stop once, see the two fractions.")
    trailing_trigger_tp_frac: float = parameter(0.70, gt=0, le=1, doc="Of the way to the target, after which it is moved.")
    trailing_risk_remaining_frac: float = parameter(0.50, ge=0, le=1, doc="Of the risk, which remains after it.")
    lookback_candles: int = parameter(50, ge=2, le=100_000, doc="Live scan: bars it looks at.")
    max_pattern_age_candles: int = parameter(12, ge=0, le=100_000, doc="Live scan: oldest pattern, in bars.")
    max_deviation_atr: float = parameter(3.0, gt=0, le=1000, doc="Live scan: farthest price from an entry, in ATR.")
    required_warmup_bars: int = parameter(40, ge=0, le=100_000, doc="Bars before the first setup.")

    def validate(self) -> None:
        """Check that the windows are such."""
        self._windows = SessionWindows(self.session_timezone, self.session_windows)

    @property
    def rules(self) -> InsideBarRules:
        """The parameters as the rules take them."""
        values: dict[str, Any] = self.params
        return InsideBarRules(**values)

    def on_start(self, context: Context) -> None:
        """Begin with nothing seen."""
        self._rules = self.rules
        self._machines: dict[str, InsideBarMachine] = {}
        self._builders: dict[str, BarBuilder] = {}
        self._setups: dict[str, Setup] = {}
        self._confirmed: dict[str, Confirmation] = {}
        self._ordered: dict[str, Setup] = {}
        self._trades: dict[str, _Trade] = {}
        context.metadata.update(rejects={}, netted=0)

    def on_market_event(self, event: Bar, context: Context) -> None:
        """Build signal bars, and look at those that are complete; follow the price of an open position."""
        hours = context.session_at(event.label_ns)
        if hours is None:
            return
        symbol = event.symbol
        builder = self._builders.get(symbol)
        if builder is None:
            builder = self._builders[symbol] = BarBuilder(self._rules.bar_ns)
            self._machines[symbol] = InsideBarMachine(self._rules, self._windows)
        prices = (event.open, event.high, event.low, event.close)
        for bar in builder.add(prices, event.label_ns, event.known_ns, hours):
            self._look(symbol, bar, context)
        trade = self._trades.get(symbol)
        if trade is not None:
            trade.best = max(trade.best, event.high) if trade.leg.sign > 0 else min(trade.best, event.low)

    def _look(self, symbol: str, bar: SignalBar, context: Context) -> None:
        found = self._machines[symbol].step(*bar, context.session_at(bar.start_ns))
        if isinstance(found, Reject):
            self._note(found.reason, context)
        elif isinstance(found, Confirmation):
            self._confirmed[symbol] = found
        elif found is not None and self._rules.entry_trigger == "stop_cross":
            # One that is not due yet has the place: its pair will wait when this one could be acted on.
            self._setups.setdefault(symbol, found)

    @staticmethod
    def _note(reason: Reason, context: Context) -> None:
        counts = context.metadata["rejects"]
        counts[reason.value] = counts.get(reason.value, 0) + 1

    def generate_orders(self, context: Context) -> Intents:
        """Order what is due, and look after what is open."""
        now = context.current_ns
        for symbol, builder in self._builders.items():
            if builder.end_ns and (late := builder.finish(now)) is not None:
                self._look(symbol, late, context)
        if not (self._setups or self._confirmed or self._trades):
            return ()
        intents: list[OrderIntent | CancelIntent | ReplaceIntent] = []
        for symbol in sorted(self._trades):
            intents += self._tend(symbol, self._trades[symbol], context)
        return [*intents, *self._due(now, context)]

    def _due(self, now: int, context: Context) -> Sequence[OrderIntent]:
        intents: list[OrderIntent] = []
        for symbol, setup in sorted(self._setups.items()):
            if now < setup.valid_from_ns:
                continue
            del self._setups[symbol]
            if now >= setup.valid_to_ns:
                self._note(Reason.INVALID_VALIDITY_WINDOW, context)
            elif self._is_free(symbol, context):
                # By the symbol: pairs of one instant must not be one set.
                intents += one_cancels_other(*(self._entry(symbol, setup, leg, now) for leg in setup.legs()), name=symbol)
        for symbol, (setup, leg) in sorted(self._confirmed.items()):
            if self._is_free(symbol, context):
                intents.append(self._entry(symbol, setup, leg, now, at_market=True))
        self._confirmed.clear()
        return intents

    def _is_free(self, symbol: str, context: Context) -> bool:
        works = any(order.symbol == symbol and not order.reduce_only for order in context.open_orders)
        if works or context.portfolio.quantity(symbol):
            context.metadata["netted"] += 1
            return False
        return True

    def _entry(self, symbol: str, setup: Setup, leg: Leg, now: int, *, at_market: bool = False) -> OrderIntent:
        self._ordered[symbol] = setup
        price, side = self._rules.price, _SIDES[leg.sign]
        if at_market:
            entry = OrderIntent.sized(symbol, side, tag=self.name)
        else:
            entry = OrderIntent.sized(
                symbol,
                side,
                stop_price=price(leg.entry),
                time_in_force=TimeInForce.GTD,
                expires_at=to_datetime(setup.valid_to_ns),
                tag=self.name,
            )
        if now != setup.signal_ns:
            entry = replace(entry, setup_at=to_datetime(setup.signal_ns))
        # It follows the entry at the venue, so that what is entered in the last bar of a session leaves in it as well.
        leave = OrderIntent(
            symbol=symbol,
            amount=0,
            amount_kind=AmountKind.TARGET_POSITION,
            time_in_force=TimeInForce.CLS,
            reduce_only=True,
            tag=SESSION_END,
        )
        return entry.with_exits(stop_loss=price(leg.stop), take_profit=price(leg.target)).then(leave)

    def _tend(self, symbol: str, trade: _Trade, context: Context) -> Sequence[OrderIntent | CancelIntent | ReplaceIntent]:
        orders = [order for order in context.open_orders if order.symbol == symbol and order.reduce_only]
        leaving = [order for order in orders if order.tag == SESSION_END]
        held = context.portfolio.quantity(symbol)
        if held == 0:
            del self._trades[symbol]
            return [CancelIntent(order.order_id) for order in leaving]
        if context.current_ns >= trade.close_ns:
            # The closing auction did not take all of it.
            order = OrderIntent.market(symbol, -held, tag=SESSION_END)
            return [] if leaving else [replace(order, reduce_only=True)]
        intents: list[OrderIntent | ReplaceIntent] = []
        missing = abs(held) - sum(order.remaining for order in leaving)
        if missing > 0:
            # The entry is filled in part, so that what follows it has not been ordered.
            order = OrderIntent.on_close(symbol, -missing if held > 0 else missing, tag=SESSION_END)
            intents.append(replace(order, reduce_only=True))
        if self._rules.trailing_enabled:
            intents += self._trail(trade, orders)
        return intents

    def _trail(self, trade: _Trade, orders: Sequence[Order]) -> Sequence[ReplaceIntent]:
        moved = trailed_stop(self._rules, trade.leg, trade.best)
        stop = next((order for order in orders if order.role is OrderRole.STOP_LOSS), None)
        if moved is None or stop is None or stop.stop_price is None:
            return []
        level = self._rules.price(moved)
        return [ReplaceIntent(stop.order_id, stop_price=level)] if (level - stop.stop_price) * trade.leg.sign > 0 else []

    def on_order_update(self, order: Order, context: Context) -> None:
        """Note what an entry has opened, and why one was refused."""
        symbol = order.symbol
        if order.reduce_only or symbol not in self._ordered:
            return
        if order.status is OrderStatus.REJECTED and order.reason == Reason.BELOW_MIN_QTY:
            self._note(Reason.BELOW_MIN_QTY, context)
        if order.filled_quantity > 0 and symbol not in self._trades:
            setup = self._ordered[symbol]
            leg = setup.long if order.side is Side.BUY else setup.short
            # The session of the fill: a session's last instant is outside of it.
            hours = context.session_at(context.current_ns - 1)
            close_ns = context.current_ns if hours is None else hours.close_ns
            self._trades[symbol] = _Trade(leg, close_ns, self._rules.price(leg.entry))

    def on_corporate_action(self, action: CorporateAction, context: Context) -> None:  # noqa: ARG002  the hook's signature is the contract
        """Put what is remembered into the prices after a split."""
        factor, machine = action.share_factor, self._machines.get(action.symbol)
        if factor != 1.0 and machine is not None:
            machine.rescale(1.0 / factor)
            self._builders[action.symbol].rescale(1.0 / factor)
            self._setups.pop(action.symbol, None)

    def save_state(self) -> dict[str, Any]:
        """Return what was seen, and what it is waiting for."""
        return {
            "machines": {symbol: machine.save() for symbol, machine in self._machines.items()},
            "builders": {symbol: builder.save() for symbol, builder in self._builders.items()},
            "setups": {symbol: save_setup(setup) for symbol, setup in self._setups.items()},
            "ordered": {symbol: save_setup(setup) for symbol, setup in self._ordered.items()},
            "trades": {s: [list(t.leg), t.close_ns, t.best] for s, t in self._trades.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take that back."""
        for symbol, seen in state["machines"].items():
            self._machines[symbol] = InsideBarMachine(self._rules, self._windows)
            self._machines[symbol].load(seen)
        for symbol, begun in state["builders"].items():
            self._builders[symbol] = BarBuilder(self._rules.bar_ns)
            self._builders[symbol].load(begun)
        self._setups = {symbol: load_setup(setup) for symbol, setup in state["setups"].items()}
        self._ordered = {symbol: load_setup(setup) for symbol, setup in state["ordered"].items()}
        self._trades = {symbol: _Trade(Leg(*leg), *rest) for symbol, (leg, *rest) in state["trades"].items()}
