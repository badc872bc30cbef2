"""Intents: what a strategy wants. What becomes of it is decided by sizing, checks and execution."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, replace
from typing import Any, Final

from fairlead.core.errors import ContractError
from fairlead.core.exits import Exits, check_trail
from fairlead.core.instruments import check_symbol
from fairlead.core.orders import AmountKind, OrderType, Side, TimeInForce
from fairlead.core.time import to_ns

_QUANTITY: Final = AmountKind.QUANTITY
_TARGET_POSITION: Final = AmountKind.TARGET_POSITION
_TARGET_WEIGHT: Final = AmountKind.TARGET_WEIGHT
_TARGETS: Final = frozenset({_TARGET_POSITION, _TARGET_WEIGHT})
_WITH_LIMIT: Final = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_WITH_STOP: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_IN_AUCTIONS: Final = frozenset({OrderType.MARKET, OrderType.LIMIT})
_OPG: Final = TimeInForce.OPG
_CLS: Final = TimeInForce.CLS
_GTD: Final = TimeInForce.GTD
_DAY: Final = TimeInForce.DAY
_SIZED: Final = AmountKind.SIZED
_MARKET: Final = OrderType.MARKET
_TRAILING: Final = OrderType.TRAILING_STOP


@dataclass(frozen=True, kw_only=True, init=False)
class OrderIntent:
    """What a strategy wants; sizing, guards and execution decide what becomes of it.

    Use the short constructors: `market`, `limit`, `stop`, `stop_limit`, `notional`, `target_position`, `target_weight` and
    `sized`.

    Parameters
    ----------
    amount : float
        Signed. In units, in currency, or as a fraction of equity, as `amount_kind` says; a direction if the session sizes it.
    limit_price, stop_price : float, optional
        In currency; the tick grid is applied when the order is made.
    expires_at : datetime, optional
        Required by, and only for, `TimeInForce.GTD`.
    trail_amount, trail_percent : float, optional
        For a trailing stop: how far it stays behind the best price, in currency or in percent of it.
    reduce_only : bool
        Only lower the position: what would open or turn it is not filled.
    exits : Exits, optional
        Protection that comes to life with the fills of this order: see `with_exits`.
    followers : tuple of OrderIntent
        What is ordered when this order is filled: see `then`.
    oco : str
        A name that is equal for the intents of one decision of which only one may fill: see `one_cancels_other`.
    tag : str
        A reason of your own; it travels with the order into every artefact.
    setup_at : datetime, optional
        The instant of what led to the order, where that is not the decision's own: its group is named after it.

    Raises
    ------
    ContractError
        If a value is not finite, or type and prices do not fit together.
    """

    # The defaults stand in the constructor alone: what is also an attribute of the class is slower to read from an instance.
    symbol: str
    amount: float
    amount_kind: AmountKind
    order_type: OrderType
    limit_price: float | None
    stop_price: float | None
    time_in_force: TimeInForce
    expires_at: dt.datetime | None
    trail_amount: float | None
    trail_percent: float | None
    reduce_only: bool
    exits: Exits | None
    followers: tuple[OrderIntent, ...]
    oco: str
    tag: str
    setup_at: dt.datetime | None

    def __init__(
        self,
        *,
        symbol: str,
        amount: float,
        amount_kind: AmountKind = AmountKind.QUANTITY,
        order_type: OrderType = OrderType.MARKET,
        limit_price: float | None = None,
        stop_price: float | None = None,
        time_in_force: TimeInForce = TimeInForce.DAY,
        expires_at: dt.datetime | None = None,
        trail_amount: float | None = None,
        trail_percent: float | None = None,
        reduce_only: bool = False,
        exits: Exits | None = None,
        followers: tuple[OrderIntent, ...] = (),
        oco: str = "",
        tag: str = "",
        setup_at: dt.datetime | None = None,
    ) -> None:
        # By hand, and all at once: the constructor of a frozen dataclass sets every field with a call of its own, which costs
        # more than everything else that is done with an intent until it is an order.
        symbol = check_symbol(symbol)
        fields = {
            "symbol": symbol,
            "amount": amount,
            "amount_kind": amount_kind,
            "order_type": order_type,
            "limit_price": limit_price,
            "stop_price": stop_price,
            "time_in_force": time_in_force,
            "expires_at": expires_at,
            "trail_amount": trail_amount,
            "trail_percent": trail_percent,
            "reduce_only": reduce_only,
            "exits": exits,
            "followers": followers,
            "oco": oco,
            "tag": tag,
            "setup_at": setup_at,
        }
        object.__setattr__(self, "__dict__", fields)
        if not math.isfinite(amount):
            raise ContractError.of(f"{symbol} amount", "be a finite number", amount)
        if amount == 0 and amount_kind not in _TARGETS:
            raise ContractError.of(f"{symbol} {amount_kind}", "not be 0", amount, "Return no intent instead.")
        # Everything below is about what a plain market order does not have.
        if order_type is not _MARKET or limit_price is not None or stop_price is not None:
            self._check_prices()
        if (time_in_force is _GTD) != (expires_at is not None):
            raise ContractError.of(f"{symbol} expires_at", "be given for GTD orders, and only for them", expires_at)
        if expires_at is not None:
            to_ns(expires_at)
        if amount_kind is _SIZED or setup_at is not None:
            self._check_setup()
        if order_type is _TRAILING or trail_amount is not None or trail_percent is not None:
            check_trail(f"{symbol} {order_type}", order_type, trail_amount, trail_percent)
        if (time_in_force is _OPG or time_in_force is _CLS) and order_type not in _IN_AUCTIONS:
            raise ContractError.of(f"{symbol} {time_in_force} order", "be a market or limit order", order_type)
        if exits is not None or followers:
            self._check_family()

    def _check_prices(self) -> None:
        _check_price(self, "limit_price", self.limit_price, wanted=self.order_type in _WITH_LIMIT)
        _check_price(self, "stop_price", self.stop_price, wanted=self.order_type in _WITH_STOP)
        if self.limit_price is not None and self.stop_price is not None:
            _check_stop_limit(self, self.stop_price, self.limit_price)

    def _check_setup(self) -> None:
        if self.amount_kind is _SIZED and abs(self.amount) != 1:
            raise ContractError.of(f"{self.symbol} {self.amount_kind}", "be a direction, 1 to buy or -1 to sell", self.amount)
        if self.setup_at is not None:
            to_ns(self.setup_at)

    def _check_family(self) -> None:
        entry = self.stop_price if self.stop_price is not None else self.limit_price
        if self.exits is not None:
            if self.amount == 0:
                raise ContractError.of(
                    f"{self.symbol} exits", "not be given with a target of 0", self.exits, "There is nothing to protect."
                )
            self.exits.check(self.symbol, 1 if self.amount > 0 else -1, entry)
        for follower in self.followers:
            if not isinstance(follower, OrderIntent):
                raise ContractError.of(f"{self.symbol} followers", "be orders", follower)
            if follower.followers or follower.exits is not None:
                raise ContractError.of(f"{self.symbol} followers", "have no exits or followers of their own", follower.symbol)

    def with_exits(
        self,
        *,
        take_profit: float | None = None,
        stop_loss: float | None = None,
        trail_amount: float | None = None,
        trail_percent: float | None = None,
    ) -> OrderIntent:
        """Return the intent as a bracket: its fills are protected from the moment on at which they happen.

        Parameters
        ----------
        take_profit : float, optional
            Limit price at which to leave with a profit.
        stop_loss : float, optional
            Stop price at which to leave with a loss.
        trail_amount, trail_percent : float, optional
            Instead of `stop_loss`, or from it on: a stop that follows the price. In currency, or in percent.

        Notes
        -----
        Both exits are good till cancelled, for as much as the fills have opened; what one of them fills is taken off the other.
        An order that only closes, as a target may turn out to, has nothing to protect.

        Raises
        ------
        ContractError
            If no exit is given, or one lies on the wrong side of the entry.
        """
        return replace(self, exits=Exits(take_profit, stop_loss, trail_amount, trail_percent))

    def then(self, *followers: OrderIntent) -> OrderIntent:
        """Return the intent with others that are ordered once it is filled completely."""
        return replace(self, followers=(*self.followers, *followers))

    @classmethod
    def market(
        cls, symbol: str, quantity: float, *, time_in_force: TimeInForce = TimeInForce.DAY, tag: str = ""
    ) -> OrderIntent:
        """Buy (`quantity` > 0) or sell (< 0) at the next price."""
        return _at_market(cls, symbol, quantity, _QUANTITY, tag, time_in_force)

    @classmethod
    def limit(
        cls,
        symbol: str,
        quantity: float,
        price: float,
        *,
        time_in_force: TimeInForce = TimeInForce.DAY,
        expires_at: dt.datetime | None = None,
        tag: str = "",
    ) -> OrderIntent:
        """Buy at `price` or lower, or sell at `price` or higher."""
        return cls(
            symbol=symbol,
            amount=quantity,
            order_type=OrderType.LIMIT,
            limit_price=price,
            time_in_force=time_in_force,
            expires_at=expires_at,
            tag=tag,
        )

    @classmethod
    def stop(
        cls,
        symbol: str,
        quantity: float,
        price: float,
        *,
        time_in_force: TimeInForce = TimeInForce.DAY,
        expires_at: dt.datetime | None = None,
        tag: str = "",
    ) -> OrderIntent:
        """Buy once the market trades at `price` or higher, or sell once it trades at `price` or lower."""
        return cls(
            symbol=symbol,
            amount=quantity,
            order_type=OrderType.STOP,
            stop_price=price,
            time_in_force=time_in_force,
            expires_at=expires_at,
            tag=tag,
        )

    @classmethod
    def stop_limit(
        cls,
        symbol: str,
        quantity: float,
        stop_price: float,
        limit_price: float,
        *,
        time_in_force: TimeInForce = TimeInForce.DAY,
        expires_at: dt.datetime | None = None,
        tag: str = "",
    ) -> OrderIntent:
        """Once the stop is touched, work a limit order."""
        return cls(
            symbol=symbol,
            amount=quantity,
            order_type=OrderType.STOP_LIMIT,
            stop_price=stop_price,
            limit_price=limit_price,
            time_in_force=time_in_force,
            expires_at=expires_at,
            tag=tag,
        )

    @classmethod
    def trailing_stop(
        cls,
        symbol: str,
        quantity: float,
        *,
        amount: float | None = None,
        percent: float | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        tag: str = "",
    ) -> OrderIntent:
        """Sell (`quantity` < 0) once the price has fallen by `amount` of currency, or `percent`, from its best; or buy."""
        return cls(
            symbol=symbol,
            amount=quantity,
            order_type=OrderType.TRAILING_STOP,
            trail_amount=amount,
            trail_percent=percent,
            time_in_force=time_in_force,
            tag=tag,
        )

    @classmethod
    def on_open(cls, symbol: str, quantity: float, *, limit_price: float | None = None, tag: str = "") -> OrderIntent:
        """Trade in the next opening auction, at `limit_price` or better if one is given; what is not filled ends."""
        return cls._in_auction(symbol, quantity, limit_price, TimeInForce.OPG, tag)

    @classmethod
    def on_close(cls, symbol: str, quantity: float, *, limit_price: float | None = None, tag: str = "") -> OrderIntent:
        """Trade in the next closing auction, at `limit_price` or better if one is given; what is not filled ends."""
        return cls._in_auction(symbol, quantity, limit_price, TimeInForce.CLS, tag)

    @classmethod
    def _in_auction(
        cls, symbol: str, quantity: float, limit_price: float | None, auction: TimeInForce, tag: str
    ) -> OrderIntent:
        kind = OrderType.MARKET if limit_price is None else OrderType.LIMIT
        return cls(symbol=symbol, amount=quantity, order_type=kind, limit_price=limit_price, time_in_force=auction, tag=tag)

    @classmethod
    def adaptive(
        cls, symbol: str, quantity: float, *, time_in_force: TimeInForce = TimeInForce.DAY, tag: str = ""
    ) -> OrderIntent:
        """Buy or sell without hurry, over a bar instead of at its open."""
        return cls(symbol=symbol, amount=quantity, order_type=OrderType.ADAPTIVE, time_in_force=time_in_force, tag=tag)

    @classmethod
    def notional(cls, symbol: str, amount: float, *, tag: str = "") -> OrderIntent:
        """Buy (> 0) or sell (< 0) for `amount` of currency at the next price."""
        return _at_market(cls, symbol, amount, AmountKind.NOTIONAL, tag)

    @classmethod
    def target_position(cls, symbol: str, quantity: float, *, tag: str = "") -> OrderIntent:
        """Trade to a signed position of `quantity` units at the next price."""
        return _at_market(cls, symbol, quantity, _TARGET_POSITION, tag)

    @classmethod
    def target_weight(cls, symbol: str, weight: float, *, tag: str = "") -> OrderIntent:
        """Trade to a signed share of equity: 0.5 is half of it, long."""
        return _at_market(cls, symbol, weight, _TARGET_WEIGHT, tag)

    @classmethod
    def sized(
        cls,
        symbol: str,
        side: Side | str,
        *,
        limit_price: float | None = None,
        stop_price: float | None = None,
        time_in_force: TimeInForce = TimeInForce.DAY,
        expires_at: dt.datetime | None = None,
        tag: str = "",
    ) -> OrderIntent:
        """Buy or sell as much as the sizing rule of the session says: a market, limit, stop or stop-limit order.

        Notes
        -----
        The rule takes as entry the stop price, else the limit price, else the last price; and as stop that of `with_exits`,
        without which a size by risk is none.
        """
        kinds = {(False, False): _MARKET, (True, False): OrderType.LIMIT, (False, True): OrderType.STOP}
        return cls(
            symbol=symbol,
            amount=Side(side).sign,
            amount_kind=_SIZED,
            order_type=kinds.get((limit_price is not None, stop_price is not None), OrderType.STOP_LIMIT),
            limit_price=limit_price,
            stop_price=stop_price,
            time_in_force=time_in_force,
            expires_at=expires_at,
            tag=tag,
        )


# The fields of a plain market order, in their order and with their defaults, as the constructor sets them.
_PLAIN: Final[dict[str, Any]] = vars(OrderIntent(symbol="A", amount=1.0))
_new: Final = object.__new__
_set: Final = object.__setattr__


def _at_market(
    cls: type[OrderIntent], symbol: str, amount: float, kind: AmountKind, tag: str, in_force: TimeInForce = _DAY
) -> OrderIntent:
    # Of all that the constructor asks, only symbol and amount can be wrong with most orders. If they are, it says so.
    symbol = check_symbol(symbol)
    if cls is not OrderIntent or not math.isfinite(amount) or not (amount or kind in _TARGETS) or in_force is _GTD:
        return cls(symbol=symbol, amount=amount, amount_kind=kind, time_in_force=in_force, tag=tag)
    fields = _PLAIN.copy()
    fields["symbol"], fields["amount"], fields["amount_kind"] = symbol, amount, kind
    fields["time_in_force"], fields["tag"] = in_force, tag
    intent = _new(OrderIntent)
    _set(intent, "__dict__", fields)
    return intent


def _check_price(intent: OrderIntent, name: str, price: float | None, *, wanted: bool) -> None:
    where = f"{intent.symbol} {name}"
    if wanted and price is None:
        raise ContractError.of(where, f"be given for a {intent.order_type} order", price)
    if not wanted and price is not None:
        raise ContractError.of(where, f"not be given for a {intent.order_type} order", price)
    if price is not None and not (math.isfinite(price) and price > 0):
        raise ContractError.of(where, "be a finite price above 0", price)


@dataclass(frozen=True, slots=True)
class CancelIntent:
    """A strategy's wish to take a working order back. Return it from `generate_orders` like any other intent."""

    order_id: str


@dataclass(frozen=True, slots=True)
class ReplaceIntent:
    """A strategy's wish to change a working order; what is None stays as it is.

    Parameters
    ----------
    quantity : float, optional
        New total, unsigned, in units; at least what has been filled.
    limit_price, stop_price : float, optional
        In currency; only where the order has such a price.

    Notes
    -----
    A new price or a larger quantity sends the order to the end of the queue, as at an exchange.
    """

    order_id: str
    quantity: float | None = None
    limit_price: float | None = None
    stop_price: float | None = None

    def __post_init__(self) -> None:
        for name in ("quantity", "limit_price", "stop_price"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ContractError.of(name, "be a finite number above 0", value)
        if self.quantity is None and self.limit_price is None and self.stop_price is None:
            raise ContractError.of("ReplaceIntent", "change something", None)


def one_cancels_other(*intents: OrderIntent, name: str = "oco") -> list[OrderIntent]:
    """Return intents of which the first that fills, even in part, cancels the others (domain rule 4.3).

    Parameters
    ----------
    *intents : OrderIntent
        At least two.
    name : str
        Tells several such sets of one decision apart.

    Raises
    ------
    ContractError
        If there are fewer than two.
    """
    if len(intents) < 2:
        raise ContractError.of("one_cancels_other", "be given at least two intents", len(intents))
    return [replace(intent, oco=name) for intent in intents]


def _check_stop_limit(intent: OrderIntent, stop: float, limit: float) -> None:
    # Domain rule 12: otherwise the order would wait, once triggered, for the price to come back.
    if (limit - stop) * intent.amount < 0:
        rule = "be at least the stop of a buy" if intent.amount > 0 else "be at most the stop of a sell"
        raise ContractError.of(f"{intent.symbol} limit_price of a stop-limit order", rule, (stop, limit))
