"""One small probe for everything of the SDK that a strategy can read: what it is given, and what is a value of its own.

A probe is a function of one thing: the context, a bar, a slice, an order, an action; or of nothing.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, ClassVar, Final

from fairlead.core.errors import UnknownName
from fairlead.sdk import (
    Bar,
    BarSlice,
    ConfigurationError,
    Context,
    CorporateAction,
    OrderIntent,
    Quote,
    RiskLimits,
    Side,
    Strategy,
    StrategyHarness,
    TimeInForce,
    Trade,
    find_strategy,
    lint_strategy,
    one_cancels_other,
    parameter,
)
from support_sdk_kernel import Kernel
from support_sdk_market import HELD, plain

Read = Callable[[Any], Any]
OWN: Final = "MAIN"
LOOKBACK: Final = 1_100


def _fields(prefix: str, *names: str) -> dict[str, Read]:
    """Probes of plain attributes."""
    return {f"{prefix}.{name}": attrgetter(name) for name in names}


def _of_positions(name: str, read: Callable[[Any, Any], Any]) -> dict[str, Read]:
    """A probe of every position that is held, with its last price."""

    def found(context: Context) -> dict[str, Any]:
        held = context.portfolio.positions
        return {symbol: read(held[symbol], context.historical_data.closes(symbol, 1)[-1]) for symbol in sorted(held)}

    return {f"Position.{name}": found}


def _window(method: str, **given: Any) -> Read:
    return lambda context: {
        symbol: getattr(context.historical_data, method)(symbol, 9, **given) for symbol in ("HOLE", "NEW", "PAY", "SPL")
    }


CONTEXT: Final[dict[str, Read]] = {
    "Context": lambda context: type(context).__name__,
    **_fields("Context", "current_ns", "current_time", "symbols", "universe", "risk_limits"),
    "Context.portfolio": lambda context: type(context.portfolio).__name__,
    "Context.features": lambda context: type(context.features).__name__,
    "Context.historical_data": lambda context: type(context.historical_data).__name__,
    "Context.metadata": lambda context: dict(context.metadata),
    "Context.open_orders": lambda context: [(order.order_id, order.status) for order in context.open_orders],
    "Context.random": lambda context: context.random.random(3),
    "Context.session_at": lambda context: context.session_at(context.current_ns - 1),
    **{
        f"SessionHours.{name}": lambda context, name=name: getattr(context.session_at(context.current_ns - 1), name)
        for name in ("close_ns", "open_ns", "segment_close_ns", "segment_open_ns", "session")
    },
    "FeatureView": lambda context: isinstance(context.features.get("mean", OWN), float),
    "FeatureView.get": lambda context: {s: context.features.get("mean", s) for s in HELD},
    "FeatureView.get(output)": lambda context: [context.features.get("bands", OWN, o) for o in ("middle", "upper", "lower")],
    "FeatureView.row": lambda context: context.features.row("mean"),
    "FeatureView.row(output)": lambda context: context.features.row("bands", "upper"),
    "HistoricalData": lambda context: context.historical_data.closes(OWN, 1),
    "HistoricalData.bars": lambda context: [context.historical_data.bars(s, 5) for s in ("HOLE", "NEW", "SPL")],
    "HistoricalData.closes": _window("closes"),
    "HistoricalData.closes(adjusted)": _window("closes", adjusted=False),
    "HistoricalData.panel": lambda context: context.historical_data.panel(9),
    "HistoricalData.panel(adjusted)": lambda context: context.historical_data.panel(9, adjusted=False),
    "HistoricalData.panel(field)": lambda context: context.historical_data.panel(9, "volume"),
    "HistoricalData.values": _window("values"),
    "HistoricalData.values(adjusted)": _window("values", adjusted=False),
    "HistoricalData.values(field)": lambda context: [
        context.historical_data.values("SPL", 9, field) for field in ("open", "high", "low", "close", "volume")
    ],
    "PortfolioView": lambda context: repr(context.portfolio),
    **{
        f"PortfolioView.{name}": lambda context, name=name: getattr(context.portfolio, name)
        for name in ("cash", "equity", "gross_exposure", "leverage", "net_exposure", "realised_pnl", "unrealised_pnl")
    },
    "PortfolioView.buying_power": lambda context: context.portfolio.buying_power(),
    "PortfolioView.buying_power(max_leverage)": lambda context: context.portfolio.buying_power(2.0),
    "PortfolioView.positions": lambda context: {s: p.quantity for s, p in context.portfolio.positions.items()},
    "PortfolioView.quantity": lambda context: [context.portfolio.quantity(s) for s in HELD],
    "PortfolioView.weight": lambda context: [context.portfolio.weight(s) for s in HELD],
    **_of_positions("average_price", lambda position, _: position.average_price),
    **_of_positions("market_value", lambda position, price: position.market_value(price)),
    **_of_positions("multiplier", lambda position, _: position.multiplier),
    **_of_positions("quantity", lambda position, _: position.quantity),
    **_of_positions("realised_pnl", lambda position, _: position.realised_pnl),
    **_of_positions("symbol", lambda position, _: position.symbol),
    **_of_positions("unrealised_pnl", lambda position, price: position.unrealised_pnl(price)),
    "RiskLimits": lambda context: context.risk_limits.model_dump(),
    **{
        f"RiskLimits.{name}": lambda context, name=name: getattr(context.risk_limits, name)
        for name in ("max_leverage", "max_position_size")
    },
    "RiskLimits.tightened_by": lambda context: context.risk_limits.tightened_by(RiskLimits(max_leverage=0.5)),
}
"""At every instant."""

BAR: Final[dict[str, Read]] = {
    "Bar": tuple,
    **_fields("Bar", "close", "high", "known_ns", "label", "label_ns", "low", "open", "symbol", "timestamp", "volume"),
}
"""Of every bar, however it comes."""

SLICE: Final[dict[str, Read]] = {
    "BarSlice": repr,
    **_fields("BarSlice", "close", "high", "known_ns", "label_ns", "low", "open", "present", "symbols", "volume"),
    "BarSlice.__contains__": lambda slice_: [symbol in slice_ for symbol in (*HELD, "NONE")],
    "BarSlice.__getitem__": lambda slice_: slice_[OWN],
    "BarSlice.__iter__": list,
    "BarSlice.__len__": len,
}
"""Of every slice."""

ORDER: Final[dict[str, Read]] = {
    "Order": lambda order: type(order).__name__,
    **_fields("Order", "order_id", "idempotency_key", "group_id", "strategy", "symbol", "side", "quantity", "order_type"),
    **_fields("Order", "created_ns", "arrives_ns", "limit_price", "stop_price", "time_in_force", "expires_ns", "tag", "oco_id"),
    **_fields("Order", "parent_id", "role", "reduce_only", "trail_amount", "trail_percent", "status", "filled_quantity"),
    **_fields("Order", "average_price", "commission", "reason", "day_session", "stop_triggered", "update_count", "executed"),
    **_fields("Order", "decided_quantity", "decided_limit", "decided_stop", "decided_symbol", "decision", "remaining"),
    **_fields("Order", "is_terminal"),
}
"""Of every order, whenever it changes."""

ACTION: Final[dict[str, Read]] = {
    "CorporateAction": lambda action: type(action).__name__,
    **_fields("CorporateAction", "symbol", "ex_session", "kind", "value", "other", "cash", "basis", "facts", "sort_key"),
    **_fields("CorporateAction", "ends_symbol", "share_factor"),
    "CorporateAction.price_factor": lambda action: action.price_factor(50.0),
    "CorporateAction.price_factor(other_price)": lambda action: action.price_factor(50.0, 20.0),
}
"""Of every corporate action that a strategy hears of."""


class Small(Strategy):
    """Has a parameter of every make, and says what it keeps."""

    count: int = parameter(3, ge=1, le=9, doc="How many.")
    share: float = parameter(0.5, gt=0, lt=1)
    kind: str = parameter("slow", choices=("slow", "fast"))
    risk_limits: ClassVar[RiskLimits] = RiskLimits(max_position_size=0.5)

    def validate(self) -> None:
        self.kept = {"count": self.count}

    def generate_orders(self, context: Context) -> list[OrderIntent]:
        return [OrderIntent.market("AAPL", self.count)] if context.portfolio.quantity("AAPL") == 0 else []

    def save_state(self) -> dict[str, Any]:
        return dict(self.kept)

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.kept = dict(state)


class Hasty(Strategy):
    """Does what a strategy must not."""

    def on_start(self, context: Context) -> None:
        self.began = time.time()  # noqa: TID251  the fault that the check is to find


def _driven() -> Any:
    harness = StrategyHarness(Small())
    harness.start()
    (intent,) = harness.bar("AAPL", close=101)
    harness.fill(intent, price=101.5)
    harness.save_and_restore()
    return harness.portfolio.quantity("AAPL"), harness.bar("AAPL", close=102), harness.strategy.kept


def _restored() -> dict[str, Any]:
    other = Small()
    other.load_state({"count": 7})
    return other.kept


def _refusal(make: Callable[[], object]) -> str:
    try:
        make()
    except (ConfigurationError, UnknownName) as exc:
        return str(exc)
    return "nothing was refused"


def _declared(**given: Any) -> object:
    return type("Declared", (Strategy,), {"x": parameter(5, **given)})().params


_QUOTE: Final = Quote("A", 1_000, 9.0, 11.0, 100.0, 200.0)
_TRADE: Final = Trade("A", 1_000, 10.0, 5.0)

PURE: Final[dict[str, Callable[[], Any]]] = {
    "ConfigurationError": lambda: _refusal(lambda: Small(count=0)),
    "ConfigurationError.of": lambda: str(ConfigurationError.of("x", "be 1", 2)),
    "ConfigurationError.of(remedy)": lambda: str(ConfigurationError.of("x", "be 1", 2, "Say 1.")),
    "CorporateAction.delisting": lambda: CorporateAction.delisting("A", 1),
    "CorporateAction.delisting(cash)": lambda: CorporateAction.delisting("A", 1, cash=2.0),
    "CorporateAction.merger": lambda: CorporateAction.merger("A", 1, cash=2.0, shares=0.5, acquirer="B"),
    "CorporateAction.merger(acquirer)": lambda: CorporateAction.merger("A", 1, shares=0.5, acquirer="C"),
    "CorporateAction.merger(cash)": lambda: CorporateAction.merger("A", 1, cash=3.0),
    "CorporateAction.merger(shares)": lambda: CorporateAction.merger("A", 1, shares=2.0, acquirer="B"),
    "CorporateAction.rename": lambda: CorporateAction.rename("A", 1, "B"),
    "CorporateAction.spin_off": lambda: CorporateAction.spin_off("A", 1, "B", 0.2),
    "CorporateAction.spin_off(basis)": lambda: CorporateAction.spin_off("A", 1, "B", 0.2, basis=0.1),
    "CorporateAction.stock_dividend": lambda: CorporateAction.stock_dividend("A", 1, 0.05),
    "FeatureRequest": lambda: Reader().required_features(),
    "Intents": lambda: [intent.symbol for intent in StrategyHarness(Small()).strategy.generate_orders(_context())],
    "KernelStrategy.arguments": lambda: Kernel().arguments(),
    "KernelStrategy.kernel": lambda: Kernel.kernel().__name__,
    "KernelStrategy.numbers": lambda: Kernel().numbers(),
    "KernelStrategy.scan": lambda: callable(Kernel().scan()),
    "KernelStrategy.state_size": lambda: Kernel.state_size,
    "Quote": lambda: tuple(_QUOTE),
    **{
        f"Quote.{name}": lambda name=name: getattr(_QUOTE, name)
        for name in ("ask", "ask_size", "bid", "bid_size", "known_ns", "mid", "symbol", "timestamp")
    },
    "Trade": lambda: tuple(_TRADE),
    **{
        f"Trade.{name}": lambda name=name: getattr(_TRADE, name)
        for name in ("known_ns", "price", "size", "symbol", "timestamp")
    },
    "Side": lambda: [side.value for side in Side],
    "Side.of": lambda: [Side.of(2.0), Side.of(-1.0)],
    "Side.sign": lambda: [side.sign for side in Side],
    "Strategy": lambda: Small().params,
    "Strategy.event_type": lambda: [cls.event_type.__name__ for cls in (BarReader, SliceReader)],
    "Strategy.features": lambda: Reader.features,
    "Strategy.load_state": _restored,
    "Strategy.name": lambda: Small.name,
    "Strategy.parameters": lambda: sorted(Small.parameters),
    "Strategy.params": lambda: Small(count=4).params,
    "Strategy.risk_limits": lambda: Small.risk_limits,
    "Strategy.save_state": lambda: Small().save_state(),
    "Strategy.schema": Small.schema,
    "Strategy.version": lambda: Small.version,
    "StrategyHarness": _driven,
    "find_strategy": lambda: find_strategy("support_sdk_reads:Small").name,
    "lint_strategy": lambda: [violation.code for violation in lint_strategy(Hasty)],
    "parameter": _declared,
    "parameter(choices)": lambda: _refusal(lambda: _declared(choices=(1, 2))),
    "parameter(doc)": lambda: Small.schema()["properties"]["count"],
    **{
        f"parameter({bound})": lambda bound=bound, limit=limit: _refusal(lambda: _declared(**{bound: limit}))
        for bound, limit in (("ge", 6), ("gt", 5), ("le", 4), ("lt", 5))
    },
}
"""Once, when the session is over: values and helpers that need nothing but themselves."""


def _context() -> Context:
    harness = StrategyHarness(Small())
    harness.start()
    return harness.context


KINDS: Final = tuple(
    f"ActionKind.{name}" for name in ("DELISTING", "DIVIDEND", "MERGER", "RENAME", "SPIN_OFF", "SPLIT", "STOCK_DIVIDEND")
)
"""The actions that the readers hear of, by kind."""

HOOKS: Final = tuple(
    f"Strategy.{name}"
    for name in (
        *("validate", "required_symbols", "required_features", "lookback", "on_start", "on_market_event"),
        *("generate_orders", "on_order_update", "on_corporate_action", "on_stop"),
    )
)
"""What a session calls of a strategy; the readers note when."""


def later() -> dict[int, list[OrderIntent]]:
    """What the readers order after their first instant, so that there is no field of an order without a value."""
    gtc = TimeInForce.GTC
    ends = dt.datetime(2024, 1, 12, 20, tzinfo=dt.UTC)
    return {
        3: [OrderIntent.stop_limit("SPL", 3, 230.0, 231.0, time_in_force=gtc, tag="rests over the split")],
        4: one_cancels_other(*(OrderIntent.limit(OWN, 2, 50.0 + i, time_in_force=gtc) for i in range(2))),
        5: [OrderIntent.market("PAY", 5).with_exits(take_profit=52.0, trail_percent=2.0)],
        6: [OrderIntent.market("PAR", 5).with_exits(stop_loss=70.0, trail_amount=3.0)],
        7: [OrderIntent.limit("OLD", 4, 20.0, time_in_force=TimeInForce.GTD, expires_at=ends)],
    }


class Reader(Strategy):
    """Holds some of everything, keeps a few orders working, and reads all there is to read."""

    features: ClassVar[tuple[str, ...]] = ("rsi",)
    risk_limits: ClassVar[RiskLimits] = RiskLimits(max_position_size=0.9)
    size: int = parameter(7, ge=1, doc="Shares of each.")

    def validate(self) -> None:
        self.seen: dict[str, list[Any]] = {}
        self.instants = 0
        self.later = later()
        self.note("Strategy.validate", sorted(self.parameters))

    def note(self, name: str, value: Any) -> None:
        """Keep what a probe has seen."""
        self.seen.setdefault(name, []).append(value)

    def read(self, probes: Mapping[str, Read], given: Any) -> None:
        """Ask every probe of a kind."""
        for name, probe in probes.items():
            self.note(name, plain(probe(given)))

    def once(self, name: str, value: Any) -> Any:
        """Keep that a hook was asked; how often is the session's business."""
        self.seen.setdefault(name, [plain(value)])
        return value

    def required_symbols(self) -> tuple[str, ...]:
        return self.once("Strategy.required_symbols", (OWN,))

    def required_features(self) -> dict[str, Any]:
        asked = {**super().required_features(), "mean": ("sma", {"n": 3}), "bands": ("bollinger", {"n": 5})}
        return self.once("Strategy.required_features", asked)

    def lookback(self) -> int:
        return self.once("Strategy.lookback", LOOKBACK)

    def on_start(self, context: Context) -> None:
        context.metadata["began"] = context.current_ns
        self.note("Strategy.on_start", context.current_ns)

    def on_market_event(self, event: Bar | BarSlice, context: Context) -> None:
        self.note("Strategy.on_market_event", (context.current_ns, event.known_ns))

    def on_order_update(self, order: Any, context: Context) -> None:
        self.note("Strategy.on_order_update", (context.current_ns, order.order_id))
        self.read(ORDER, order)

    def on_corporate_action(self, action: CorporateAction, context: Context) -> None:
        self.note("Strategy.on_corporate_action", (context.current_ns, action.symbol))
        self.note(f"ActionKind.{action.kind.name}", plain(action))
        self.read(ACTION, action)

    def generate_orders(self, context: Context) -> list[OrderIntent]:
        self.note("Strategy.generate_orders", context.current_ns)
        self.read(CONTEXT, context)
        context.metadata["instants"] = self.instants = self.instants + 1
        if self.instants == 1:
            return [OrderIntent.market(s, self.size) for s in HELD if s not in {"KID", "NEW"}]
        return self.later.get(self.instants, [])

    def on_stop(self, context: Context) -> None:
        self.note("Strategy.on_stop", context.current_ns)
        for name, probe in PURE.items():
            self.note(name, plain(probe()))


class BarReader(Reader):
    """Gets one bar after the other."""

    def on_market_event(self, event: Bar, context: Context) -> None:
        super().on_market_event(event, context)
        self.read(BAR, event)


class SliceReader(Reader):
    """Gets all bars of an instant at once."""

    event_type: ClassVar[type[BarSlice]] = BarSlice

    def on_market_event(self, event: BarSlice, context: Context) -> None:
        super().on_market_event(event, context)
        self.read(SLICE, event)
        for bar in event:
            self.read(BAR, bar)
