"""One small probe for everything of the SDK that a strategy can ask for: each is a strategy that asks for it, and little else.

A script says what is returned at which instant. `shows` are words that must occur among what became of its orders: a type, a
status, a role, a reason, a tag.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fairlead.core.orders import AmountKind
from fairlead.sdk import (
    CancelIntent,
    Context,
    Order,
    OrderIntent,
    OrderType,
    ReplaceIntent,
    Side,
    Strategy,
    TimeInForce,
    one_cancels_other,
    parameter,
)
from support_sdk_market import THIN, plain

S: Final = "MAIN"
Wish = Sequence[Any] | Callable[[Context], Sequence[Any]]


@dataclass(frozen=True)
class Script:
    """What is wanted at which instant, counted from 0."""

    wishes: Mapping[int, Wish]
    shows: tuple[str, ...] = ("FILLED",)


def _at_first(intent: OrderIntent, *shows: str) -> Script:
    return Script({0: [intent]}, shows or ("FILLED",))


def _entered(then: Mapping[int, Wish], *shows: str) -> Script:
    """Something that needs a position: ten are bought first."""
    return Script({0: [OrderIntent.market(S, 10)], **then}, shows or ("FILLED",))


def _working(change: Callable[[str], Any], *shows: str) -> Script:
    """Something that is done to an order that works: a limit far away, for three hours."""
    first = OrderIntent.limit(S, 10, 90.0, time_in_force=TimeInForce.GTC)
    return Script({0: [first], 6: lambda context: [change(context.open_orders[0].order_id)]}, shows)


def _stated(**given: Any) -> Script:
    return _at_first(OrderIntent(**{"symbol": S, "amount": 10, **given}))


_EXPIRES: Final = dt.datetime(2024, 1, 3, 15, 45, tzinfo=dt.UTC)
_GTC: Final = TimeInForce.GTC
_BUILDERS: Final[dict[str, Callable[..., OrderIntent]]] = {
    "adaptive": lambda **given: OrderIntent.adaptive(S, 10, **given),
    "limit": lambda **given: OrderIntent.limit(S, 10, 98.0, **given),
    "market": lambda **given: OrderIntent.market(S, 10, **given),
    "notional": lambda **given: OrderIntent.notional(S, 1_000.0, **given),
    "on_close": lambda **given: OrderIntent.on_close(S, 10, **given),
    "on_open": lambda **given: OrderIntent.on_open(S, 10, **given),
    "sized": lambda **given: OrderIntent.sized(S, Side.BUY, **given).with_exits(stop_loss=80.0),
    "stop": lambda **given: OrderIntent.stop(S, 10, 102.0, **given),
    "stop_limit": lambda **given: OrderIntent.stop_limit(S, 10, 102.0, 104.0, **given),
    "target_position": lambda **given: OrderIntent.target_position(S, 10, **given),
    "target_weight": lambda **given: OrderIntent.target_weight(S, 0.1, **given),
    "trailing_stop": lambda **given: OrderIntent.trailing_stop(S, -10, **{"amount": 1.0, **given}),
}
"""Of each constructor an order that fills."""
_OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "adaptive": ("tag", "time_in_force"),
    "limit": ("expires_at", "tag", "time_in_force"),
    "market": ("tag", "time_in_force"),
    "notional": ("tag",),
    "on_close": ("limit_price", "tag"),
    "on_open": ("limit_price", "tag"),
    "sized": ("expires_at", "limit_price", "stop_price", "tag", "time_in_force"),
    "stop": ("expires_at", "tag", "time_in_force"),
    "stop_limit": ("expires_at", "tag", "time_in_force"),
    "target_position": ("tag",),
    "target_weight": ("tag",),
    "trailing_stop": ("amount", "percent", "tag", "time_in_force"),
}
_VALUES: Final[dict[str, dict[str, Any]]] = {
    "amount": {"amount": 2.0},
    "expires_at": {"expires_at": _EXPIRES, "time_in_force": TimeInForce.GTD},
    "limit_price": {"limit_price": 104.0},
    "percent": {"amount": None, "percent": 1.5},
    "stop_price": {"stop_price": 102.0},
    "tag": {"tag": "why"},
    "time_in_force": {"time_in_force": _GTC},
}
_SHOWN: Final = {"expires_at": "GTD", "tag": "why", "time_in_force": "GTC"}


def _option(name: str, option: str) -> Script:
    given = dict(_VALUES[option])
    if name == "sized" and option == "expires_at":
        given["limit_price"] = 104.0  # a market order never waits for its end
    return _at_first(_BUILDERS[name](**given), "FILLED", *([_SHOWN[option]] if option in _SHOWN else []))


_BRACKET: Final = OrderIntent.market(S, 10)
_SET: Final = one_cancels_other(OrderIntent.limit(S, 10, 90.0), OrderIntent.stop(S, 10, 102.0))
_FOLLOWED: Final = OrderIntent.market(S, 10).then(OrderIntent.limit(S, -10, 103.0, time_in_force=_GTC))
_EXITS: Final = {"take_profit": 104.0, "stop_loss": 96.0}

ORDERS: Final[dict[str, Script]] = {
    **{f"OrderIntent.{name}": _at_first(build()) for name, build in _BUILDERS.items()},
    **{f"OrderIntent.{name}({option})": _option(name, option) for name, options in _OPTIONS.items() for option in options},
    # The intent, field by field.
    "OrderIntent": _stated(),
    "OrderIntent.symbol": _stated(symbol=THIN),
    "OrderIntent.amount": _stated(amount=-7),
    "OrderIntent.amount_kind": _stated(amount=500.0, amount_kind=AmountKind.NOTIONAL),
    "OrderIntent.order_type": _stated(order_type=OrderType.ADAPTIVE),
    "OrderIntent.limit_price": _stated(order_type=OrderType.LIMIT, limit_price=99.0),
    "OrderIntent.stop_price": _stated(order_type=OrderType.STOP, stop_price=103.0),
    "OrderIntent.time_in_force": _stated(time_in_force=TimeInForce.IOC),
    "OrderIntent.expires_at": _stated(time_in_force=TimeInForce.GTD, expires_at=_EXPIRES),
    "OrderIntent.trail_amount": _stated(order_type=OrderType.TRAILING_STOP, amount=-10, trail_amount=1.5),
    "OrderIntent.trail_percent": _stated(order_type=OrderType.TRAILING_STOP, amount=-10, trail_percent=2.0),
    "OrderIntent.reduce_only": _entered(
        {3: [OrderIntent(symbol=S, amount=-25, reduce_only=True)]}, "CANCELLED", "nothing_to_reduce"
    ),
    "OrderIntent.exits": _at_first(_BRACKET.with_exits(**_EXITS), "FILLED", "stop_loss", "take_profit", "oco"),
    "OrderIntent.followers": _at_first(_FOLLOWED, "FILLED", "follower"),
    "OrderIntent.oco": Script({0: _SET}, ("FILLED", "oco")),
    "OrderIntent.tag": _stated(tag="because"),
    "OrderIntent.setup_at": Script(
        {2: lambda context: [OrderIntent(symbol=S, amount=10, setup_at=context.current_time - dt.timedelta(hours=1))]}
    ),
    "OrderIntent.with_exits": _at_first(_BRACKET.with_exits(**_EXITS), "take_profit", "stop_loss"),
    "OrderIntent.with_exits(stop_loss)": _at_first(_BRACKET.with_exits(stop_loss=97.0), "stop_loss"),
    "OrderIntent.with_exits(take_profit)": _at_first(_BRACKET.with_exits(take_profit=103.0), "take_profit"),
    "OrderIntent.with_exits(trail_amount)": _at_first(_BRACKET.with_exits(trail_amount=1.0), "TRAILING_STOP"),
    "OrderIntent.with_exits(trail_percent)": _at_first(_BRACKET.with_exits(trail_percent=1.0), "TRAILING_STOP"),
    "OrderIntent.then": _at_first(_FOLLOWED, "follower"),
    "Exits.stop_loss": _at_first(_BRACKET.with_exits(stop_loss=98.0), "stop_loss"),
    "Exits.take_profit": _at_first(_BRACKET.with_exits(take_profit=102.0), "take_profit"),
    "Exits.trail_amount": _at_first(_BRACKET.with_exits(trail_amount=2.0), "TRAILING_STOP"),
    "Exits.trail_percent": _at_first(_BRACKET.with_exits(trail_percent=2.0), "TRAILING_STOP"),
    "one_cancels_other": Script({0: _SET}, ("oco",)),
    "one_cancels_other(name)": Script(
        {
            0: [
                *one_cancels_other(OrderIntent.limit(S, 10, 90.0), OrderIntent.stop(S, 10, 102.0), name="up"),
                *one_cancels_other(OrderIntent.limit(S, -10, 110.0), OrderIntent.stop(S, -10, 98.0), name="down"),
            ]
        },
        ("oco",),
    ),
    # What is done to an order.
    "CancelIntent": _working(CancelIntent, "cancelled_by_strategy"),
    "CancelIntent.order_id": _working(lambda known: CancelIntent(order_id=known), "CANCELLED"),
    "ReplaceIntent": _working(lambda known: ReplaceIntent(known, limit_price=104.5), "replaced", "FILLED"),
    "ReplaceIntent.order_id": _working(lambda known: ReplaceIntent(order_id=known, limit_price=91.0), "replaced"),
    "ReplaceIntent.limit_price": _working(lambda known: ReplaceIntent(known, limit_price=91.5), "replaced"),
    "ReplaceIntent.quantity": _working(lambda known: ReplaceIntent(known, quantity=20), "replaced"),
    "ReplaceIntent.stop_price": Script(
        {
            0: [OrderIntent.stop(S, 10, 120.0, time_in_force=_GTC)],
            6: lambda context: [ReplaceIntent(context.open_orders[0].order_id, stop_price=102.0)],
        },
        ("replaced", "FILLED"),
    ),
    # Every type, time in force, kind of amount, side and role.
    "OrderType": _stated(order_type=OrderType("MARKET")),
    "OrderType.ADAPTIVE": _at_first(OrderIntent.adaptive(S, -10), "ADAPTIVE"),
    "OrderType.LIMIT": _at_first(OrderIntent.limit(S, -10, 102.0), "LIMIT"),
    "OrderType.MARKET": _at_first(OrderIntent.market(S, -10), "MARKET"),
    "OrderType.STOP": _at_first(OrderIntent.stop(S, -10, 98.0), "STOP"),
    "OrderType.STOP_LIMIT": _at_first(OrderIntent.stop_limit(S, -10, 98.0, 96.0), "STOP_LIMIT"),
    "OrderType.TRAILING_STOP": _at_first(OrderIntent.trailing_stop(S, 10, percent=1.0), "TRAILING_STOP"),
    "TimeInForce": _stated(time_in_force=TimeInForce("DAY")),
    "TimeInForce.CLS": _at_first(OrderIntent.on_close(S, -10), "CLS"),
    "TimeInForce.DAY": _at_first(OrderIntent.limit(S, 10, 90.0), "DAY", "day_end"),
    "TimeInForce.FOK": _at_first(OrderIntent.market(THIN, 700, time_in_force=TimeInForce.FOK), "FOK", "fok_not_filled"),
    "TimeInForce.GTC": _at_first(OrderIntent.limit(S, 10, 90.0, time_in_force=_GTC), "GTC", "end_of_run"),
    "TimeInForce.GTD": _at_first(
        OrderIntent.limit(S, 10, 90.0, time_in_force=TimeInForce.GTD, expires_at=_EXPIRES), "GTD", "expired"
    ),
    "TimeInForce.IOC": _at_first(OrderIntent.market(THIN, 700, time_in_force=TimeInForce.IOC), "IOC", "ioc_remainder"),
    "TimeInForce.OPG": _at_first(OrderIntent.on_open(S, -10), "OPG"),
    "AmountKind.NOTIONAL": _stated(amount=2_000.0, amount_kind=AmountKind.NOTIONAL),
    "AmountKind.QUANTITY": _stated(amount_kind=AmountKind.QUANTITY),
    "AmountKind.SIZED": _at_first(OrderIntent.sized(S, "SELL").with_exits(stop_loss=120.0)),
    "AmountKind.TARGET_POSITION": _stated(amount=-5, amount_kind=AmountKind.TARGET_POSITION),
    "AmountKind.TARGET_WEIGHT": _stated(amount=-0.05, amount_kind=AmountKind.TARGET_WEIGHT),
    "Side.BUY": _at_first(OrderIntent.market(S, 3), "BUY"),
    "Side.SELL": _at_first(OrderIntent.market(S, -3), "SELL"),
    "OrderRole.FOLLOWER": _at_first(_FOLLOWED, "follower"),
    "OrderRole.NONE": _stated(amount=2),
    "OrderRole.STOP_LOSS": _at_first(_BRACKET.with_exits(stop_loss=99.0), "stop_loss"),
    "OrderRole.TAKE_PROFIT": _at_first(_BRACKET.with_exits(take_profit=101.0), "take_profit"),
    # Every way that an order can go.
    "OrderStatus": _stated(amount=4),
    "OrderStatus.PENDING": _at_first(
        OrderIntent.limit(S, 10, 90.0).then(OrderIntent.market(S, -10)), "PENDING", "parent_ended"
    ),
    "OrderStatus.SUBMITTED": _at_first(OrderIntent.limit(S, 10, 90.0), "SUBMITTED"),
    "OrderStatus.ACKNOWLEDGED": _at_first(OrderIntent.limit(S, 10, 90.0), "ACKNOWLEDGED"),
    "OrderStatus.PARTIALLY_FILLED": _at_first(OrderIntent.market(THIN, 700), "PARTIALLY_FILLED"),
    "OrderStatus.PENDING_CANCEL": _working(CancelIntent, "PENDING_CANCEL"),
    "OrderStatus.FILLED": _at_first(OrderIntent.market(S, 1), "FILLED"),
    "OrderStatus.CANCELLED": _working(CancelIntent, "CANCELLED"),
    "OrderStatus.REJECTED": _at_first(OrderIntent.market(S, 100_000), "REJECTED"),
    "OrderStatus.EXPIRED": _at_first(OrderIntent.limit(S, 10, 90.0), "EXPIRED"),
}
"""By the name of what is probed."""

KERNELS: Final[dict[str, tuple[str, ...]]] = {
    "Kernel": ("HOLD", "Decision", "KernelStrategy", "KernelStrategy.decide", "target_position"),
    "Weighed": ("target_weight",),
    "Protected": ("target_position(stop_loss)", "target_position(take_profit)"),
    "WeighedAndProtected": ("target_weight(stop_loss)", "target_weight(take_profit)"),
}
"""What the kernel strategies of `support_sdk_kernel` stand for: their orders are what is compared."""


class Asker(Strategy):
    """Asks for what one probe says, and writes down what it hears."""

    probe: str = parameter("OrderIntent.market", doc="Which of them.")

    def validate(self) -> None:
        self.heard: list[Any] = []
        self.instants = 0

    def required_symbols(self) -> tuple[str, ...]:
        return (S,)

    def generate_orders(self, context: Context) -> Sequence[Any]:
        wish = ORDERS[self.probe].wishes.get(self.instants, ())
        self.instants += 1
        return wish(context) if callable(wish) else wish

    def on_order_update(self, order: Order, context: Context) -> None:
        self.heard.append((context.current_ns, plain(order)))
