"""The canonical order: one row, exact and complete, with every rule that its columns can state (domain rules 4.1, 4.2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Self

from fairlead.contracts import cells
from fairlead.core.errors import ContractError
from fairlead.core.exits import Exits
from fairlead.core.identity import idempotency_key, order_id
from fairlead.core.instruments import Instrument, check_symbol
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import OrderType, Side, TimeInForce

SCHEMA_VERSION: Final = "1.0"
OPEN_END: Final = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
"""Stands for no end in sight. Later dates do not fit the nanosecond stamps of common readers."""

_TYPES: Final = (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT)
_TIMES: Final = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
_PRICES: Final = ("limit_price", "stop_price", "take_profit_price", "stop_loss_price")
_INSTANTS: Final = ("valid_from", "valid_to", "created_at")


class TradingHours(StrEnum):
    """In which hours an order may trade."""

    RTH = "RTH"
    ETH = "ETH"
    ALL = "ALL"


class OrderSource(StrEnum):
    """What made an order."""

    BACKTEST = "backtest"
    PAPER = "paper"
    LIVE = "live"


_KINDS: Final[Mapping[str, tuple[type[StrEnum], Sequence[StrEnum]]]] = {
    "side": (Side, tuple(Side)),
    "session": (TradingHours, tuple(TradingHours)),
    "time_in_force": (TimeInForce, _TIMES),
    "source": (OrderSource, tuple(OrderSource)),
    "order_type": (OrderType, _TYPES),
}


def order_idempotency_key(
    *, run_id: str, strategy: str, strategy_version: str, symbol: str, side: str, oco_id: str | None = None
) -> str:
    """Return the key under which an order can be sent once and no more: 16 hex digits.

    Two orders with these six fields equal are the same order. What may coexist or come again needs an `oco_id` of its own.

    Raises
    ------
    ContractError
        If a field contains ``|``.
    """
    return idempotency_key(run_id, strategy, strategy_version, symbol, side, oco_id or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalOrder:
    """One order as it crosses a border. Use `new`, which computes the two identifiers.

    Parameters
    ----------
    order_id, idempotency_key : str
        Follow from run, strategy, version, symbol, side and `oco_id`; see `order_idempotency_key`.
    oco_id : str, optional
        One-cancels-other group.
    qty : Decimal
        Units, above 0.
    limit_price : Decimal, optional
        Currency; for LIMIT and STOP_LIMIT, and only for them.
    stop_price : Decimal, optional
        Trigger of the entry, in currency; for STOP and STOP_LIMIT, and only for them.
    take_profit_price, stop_loss_price : Decimal, optional
        Exits of a bracket, in currency: below and above the entry of a buy, above and below that of a sell.
    valid_from, valid_to : datetime
        UTC, [from, to).
    strategy_version : str
        Semantic version.
    created_at : datetime
        UTC; no part of what the order is.

    Raises
    ------
    ContractError
        Naming the first rule that is broken.
    """

    order_id: str
    idempotency_key: str
    oco_id: str | None = None
    run_id: str
    symbol: str
    side: Side
    qty: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    take_profit_price: Decimal | None = None
    valid_from: dt.datetime
    valid_to: dt.datetime
    session: TradingHours = TradingHours.RTH
    time_in_force: TimeInForce = TimeInForce.DAY
    source: OrderSource
    strategy: str
    strategy_version: str
    order_type: OrderType
    stop_loss_price: Decimal | None = None
    created_at: dt.datetime
    schema_version: str = SCHEMA_VERSION

    def __post_init__(self) -> None:
        self._check_fields()
        key = _key(self)
        if self.idempotency_key != key:
            raise ContractError.of("idempotency_key", f"be {key}, as the other fields give it", self.idempotency_key)
        if self.order_id != order_id(key):
            raise ContractError.of("order_id", f"be {order_id(key)}, as the idempotency key gives it", self.order_id)
        if self.valid_to <= self.valid_from:
            raise ContractError.of("valid_to", "be after valid_from", cells.instant_text(self.valid_to))
        self.intent()

    def _check_fields(self) -> None:
        for name in ("run_id", "strategy", *(["oco_id"] if self.oco_id is not None else [])):
            cells.check_text(name, getattr(self, name))
        cells.check_text("symbol", self.symbol)
        if check_symbol(self.symbol) != self.symbol:
            raise ContractError.of("symbol", "be in upper case, without space around it", self.symbol)
        for name, (kind, allowed) in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or value not in allowed:
                raise ContractError.of(name, f"be one of {', '.join(allowed)}", value)
        cells.check_amount("qty", self.qty)
        for name in _PRICES:
            if getattr(self, name) is not None:
                cells.check_amount(name, getattr(self, name))
        for name in _INSTANTS:
            cells.check_utc(name, getattr(self, name))
        cells.check_semver("strategy_version", self.strategy_version)
        cells.check_schema(self.schema_version, SCHEMA_VERSION)

    @classmethod
    def new(cls, **values: Any) -> Self:
        """Return the order of these fields; `idempotency_key` and `order_id` are computed.

        Raises
        ------
        ContractError
            As the class does.
        """
        names = ("run_id", "strategy", "strategy_version", "symbol", "side")
        # What is missing or of a wrong kind is for the constructor to say.
        key = order_idempotency_key(**{name: str(values.get(name, "")) for name in names}, oco_id=values.get("oco_id"))
        return cls(order_id=order_id(key), idempotency_key=key, **values)

    @classmethod
    def from_cells(cls, row: Mapping[str, str]) -> Self:
        """Return the order that a row of text states; an absent or empty cell is null.

        Raises
        ------
        ContractError
            Naming the first column that breaks a rule.
        """
        values: dict[str, Any] = {}
        for name in ORDER_COLUMNS:
            text = row.get(name, "")
            if text:
                values[name] = _value(name, text)
            elif name in REQUIRED_COLUMNS or (name == "time_in_force" and name in row):
                raise ContractError.of(name, "not be empty", text)
        return cls(**values)

    def to_cells(self) -> list[str]:
        """Return the row as text, in the order of `ORDER_COLUMNS`."""
        return [_text(getattr(self, name)) for name in ORDER_COLUMNS]

    def intent(self) -> OrderIntent:
        """Return the order as what a strategy asks for: the rules of type, prices and bracket are those of an intent.

        Good till cancelled with an end in sight becomes good till date.
        """
        tif, expires_at = self.time_in_force, None
        if tif is TimeInForce.GTC and self.valid_to < OPEN_END:
            tif, expires_at = TimeInForce.GTD, self.valid_to
        target, stop = _float(self.take_profit_price), _float(self.stop_loss_price)
        return OrderIntent(
            symbol=self.symbol,
            amount=self.side.sign * float(self.qty),
            order_type=self.order_type,
            limit_price=_float(self.limit_price),
            stop_price=_float(self.stop_price),
            time_in_force=tif,
            expires_at=expires_at,
            exits=Exits(target, stop) if target is not None or stop is not None else None,
        )

    def check_grid(self, instrument: Instrument) -> None:
        """Refuse a price that is not on the tick, or a quantity that is not on the lot, of `instrument`.

        Raises
        ------
        ContractError
            Naming the column and the grid.
        """
        lot = Decimal(repr(float(instrument.lot_step)))
        if self.qty % lot:
            raise ContractError.of("qty", f"be a multiple of the lot, {lot}", str(self.qty))
        for name in _PRICES:
            price: Decimal | None = getattr(self, name)
            tick = Decimal(repr(float(instrument.tick_at(float(price))))) if price is not None else Decimal(1)
            if price is not None and price % tick:
                raise ContractError.of(name, f"be a multiple of the tick, {tick}", str(price))

    def same_order(self, other: CanonicalOrder) -> bool:
        """Whether both say the same but for `created_at`, which is clock time."""
        return all(getattr(self, name) == getattr(other, name) for name in ORDER_COLUMNS if name != "created_at")


ORDER_COLUMNS: Final = tuple(field.name for field in fields(CanonicalOrder))
"""The columns, in file order."""

_NULLABLE: Final = ("oco_id", *_PRICES, "session")
REQUIRED_COLUMNS: Final = tuple(name for name in ORDER_COLUMNS if name not in (*_NULLABLE, "time_in_force"))
"""What a file cannot do without; the others are null, RTH and DAY where their column is absent."""


def _key(order: CanonicalOrder) -> str:
    return order_idempotency_key(
        run_id=order.run_id,
        strategy=order.strategy,
        strategy_version=order.strategy_version,
        symbol=order.symbol,
        side=order.side,
        oco_id=order.oco_id,
    )


def _value(name: str, text: str) -> Any:
    if name in _KINDS:
        return cells.read_member(name, _KINDS[name][0], text)
    if name in _INSTANTS:
        return cells.read_instant(name, text)
    return cells.read_decimal(name, text) if name == "qty" or name in _PRICES else text


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return cells.decimal_text(value)
    if isinstance(value, dt.datetime):
        return cells.instant_text(value)
    return "" if value is None else str(value)


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
