"""Round trips: what every position cost and brought, at average cost, from fills and corporate actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from fairlead.core.accounting import is_dust
from fairlead.core.errors import DataError
from fairlead.core.events import ActionKind
from fairlead.core.fills import Fill
from fairlead.core.identity import short_hash
from fairlead.core.orders import Order, OrderRole, OrderType, Side
from fairlead.core.time import NS_PER_MINUTE, format_utc
from fairlead.engine.record import AppliedAction, RunRecord

EXIT_REASONS: Final = frozenset({"stop_loss", "take_profit", "session_end", "trailing_stop", "manual", "corporate_action"})
"""The list of domain rule 6.12, and ``corporate_action``: a merger, a delisting, or shares that met a position against them."""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A quantity that was bought and sold again (or the reverse), or is still held at the end.

    Attributes
    ----------
    order_id, exit_order_id : str
        The order that opened the position, and the one that closed this part of it; empty where a corporate action did.
    side : Side
        BUY for a long trade.
    qty : float
        Units closed, in units of the exit (after splits).
    entry_ns, exit_ns : int
        First fill since the position was flat; the closing fill, or the last instant of the run while open.
    entry_price, exit_price : float
        Before slippage; the entry is the average cost. While open, the exit is the last price.
    entry_exec_price, exit_exec_price : float
        As paid and received.
    gross_pnl : float
        From the prices before slippage, in currency.
    slippage_cost, commission_cost : float
        In currency; the entry's share and the exit's.
    net_pnl : float
        gross_pnl - slippage_cost - commission_cost.
    exit_reason : str
        One of `EXIT_REASONS`; empty while open.
    """

    trade_id: str
    order_id: str
    exit_order_id: str
    oco_id: str
    strategy: str
    symbol: str
    side: Side
    qty: float
    multiplier: float
    entry_ns: int
    exit_ns: int
    entry_price: float
    exit_price: float
    entry_exec_price: float
    exit_exec_price: float
    gross_pnl: float
    slippage_cost: float
    commission_cost: float
    net_pnl: float
    exit_reason: str
    status: Literal["closed", "open"]

    @property
    def duration_minutes(self) -> float:
        """Holding time in minutes."""
        return (self.exit_ns - self.entry_ns) / NS_PER_MINUTE

    @property
    def return_frac(self) -> float:
        """Net profit as a fraction of what the entry cost."""
        return self.net_pnl / (self.entry_exec_price * self.qty * self.multiplier)


@dataclass(frozen=True, slots=True)
class Dividend:
    """Cash that a held position received (long) or paid (short), or the worth of shares that came in as a dividend."""

    ts_ns: int
    strategy: str
    symbol: str
    quantity: float
    cash: float


@dataclass(frozen=True, slots=True)
class FillLeg:
    """The part of a fill that opened, or that closed, a position. A fill that crosses zero has both, the exit first."""

    fill: Fill
    trade_id: str
    fill_type: Literal["ENTRY", "EXIT"]
    quantity: float
    commission: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that profit and loss consists of.

    Attributes
    ----------
    trades : list of RoundTrip
        In the order of their exits; open ones last, by strategy and symbol.
    financing : float
        Interest received, less interest and loan fees paid, in currency.
    """

    trades: list[RoundTrip] = field(default_factory=list)
    dividends: list[Dividend] = field(default_factory=list)
    legs: list[FillLeg] = field(default_factory=list)
    financing: float = 0.0

    @property
    def closed(self) -> list[RoundTrip]:
        """Trades that have ended."""
        return [trade for trade in self.trades if trade.status == "closed"]

    @property
    def open(self) -> list[RoundTrip]:
        """Positions at the end of the run, marked at the last price."""
        return [trade for trade in self.trades if trade.status == "open"]

    @property
    def total_pnl(self) -> float:
        """Net profit of all trades plus dividends and financing, in currency: final equity minus all that was paid in."""
        trades, dividends = sum(trade.net_pnl for trade in self.trades), sum(dividend.cash for dividend in self.dividends)
        return trades + dividends + self.financing


class _Lot:
    """The open position of one strategy in one symbol, with ideal and paid average cost side by side."""

    __slots__ = (
        "commission",
        "entry_ns",
        "exec_price",
        "group_id",
        "ideal_price",
        "largest",
        "order_id",
        "quantity",
        "symbol",
        "trade_id",
    )

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.quantity = 0.0
        self.largest = 0.0
        self.ideal_price = 0.0
        self.exec_price = 0.0
        self.commission = 0.0
        self.entry_ns = 0
        self.order_id = self.group_id = self.trade_id = ""

    def add(self, signed: float, prices: tuple[float, float], commission: float) -> None:
        held, quantity = abs(self.quantity), abs(signed)
        size = held + quantity
        self.ideal_price = (self.ideal_price * held + prices[0] * quantity) / size
        self.exec_price = (self.exec_price * held + prices[1] * quantity) / size
        self.commission += commission
        self.quantity += signed
        self.largest = max(self.largest, abs(self.quantity))

    def split(self, ratio: float) -> None:
        self.quantity *= ratio
        self.largest *= ratio
        self.ideal_price /= ratio
        self.exec_price /= ratio

    def copy(self) -> _Lot:
        twin = _Lot(self.symbol)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        return twin

    def clear(self) -> None:
        self.quantity = self.largest = self.commission = self.ideal_price = self.exec_price = 0.0


class _Builder:
    def __init__(self, orders: Mapping[str, Order], multipliers: Mapping[str, float]) -> None:
        self.ledger = Ledger()
        self.lots: dict[tuple[str, str], _Lot] = {}
        self.orders = orders
        self.multipliers = multipliers
        self.used_ids: dict[str, int] = {}

    def fill(self, fill: Fill) -> None:
        lot = self._lot(fill.strategy, fill.symbol)
        remaining, commission = fill.quantity, fill.commission
        held, largest = abs(lot.quantity), lot.largest
        if held and (lot.quantity > 0) != (fill.side is Side.BUY):
            closed = min(held, remaining)
            if is_dust(held - remaining, largest):
                closed = held
            share = commission * (closed / remaining) if closed < remaining else commission
            self._close(lot, fill, closed, (fill.price_ideal, fill.price), share)
            remaining -= closed
            commission -= share
        if not is_dust(remaining, largest):
            if lot.quantity == 0.0:
                order = self.orders.get(fill.order_id)
                lot.entry_ns, lot.order_id = fill.ts_ns, fill.order_id
                lot.group_id = order.group_id if order is not None else ""
                lot.trade_id = self._new_id(fill.order_id, fill.ts_ns)
            lot.add(remaining * fill.side.sign, (fill.price_ideal, fill.price), commission)
            self.ledger.legs.append(FillLeg(fill, lot.trade_id, "ENTRY", remaining, commission))

    def action(self, applied: AppliedAction) -> None:
        action, strategy = applied.action, applied.strategy
        paid = applied.cash if action.kind is ActionKind.DIVIDEND else applied.in_kind
        if paid:
            self.ledger.dividends.append(Dividend(applied.ts_ns, strategy, action.symbol, applied.quantity_before, paid))
        if applied.in_kind:
            price = applied.in_kind / (applied.other_quantity * self.multipliers.get(action.other, 1.0))
            source = _Lot(action.other)
            source.entry_ns, source.trade_id = applied.ts_ns, self._new_id(action.other, applied.ts_ns)
            self._transfer(applied, source, (price, price), 0.0)
            return
        lot = self.lots.get((strategy, action.symbol))
        if lot is None or lot.quantity == 0.0:
            return
        if action.share_factor != 1.0:
            lot.split(action.share_factor)
        elif applied.other_quantity or action.ends_symbol:
            self._exchange(applied, lot)

    def _exchange(self, applied: AppliedAction, lot: _Lot) -> None:
        """Move a part of a position's cost to another symbol; what ends with it is closed at what was paid."""
        action, fraction = applied.action, applied.cost_fraction
        multiplier = self.multipliers.get(action.symbol, 1.0)
        units, commission = lot.quantity, lot.commission * fraction
        costs = lot.ideal_price * fraction, lot.exec_price * fraction
        lot.ideal_price -= costs[0]
        lot.exec_price -= costs[1]
        lot.commission -= commission
        source = lot.copy()
        if action.ends_symbol:
            if fraction < 1.0:
                price = applied.cash / (units * multiplier)
                self._close(lot, applied, abs(units), (price, price), 0.0)
            lot.clear()
        if applied.other_quantity:
            scale = units * multiplier / (applied.other_quantity * self.multipliers.get(action.other, 1.0))
            if fraction < 1.0:
                source.trade_id = self._new_id(source.order_id, source.entry_ns)
            self._transfer(applied, source, (costs[0] * scale, costs[1] * scale), commission)

    def _transfer(self, applied: AppliedAction, source: _Lot, prices: tuple[float, float], commission: float) -> None:
        """Book units that came in for `prices`, before and after slippage, and with an entry that `source` remembers."""
        remaining = abs(applied.other_quantity)
        sign = 1.0 if applied.other_quantity > 0 else -1.0
        lot = self._lot(applied.strategy, applied.action.other)
        held, largest = abs(lot.quantity), lot.largest
        if held and (lot.quantity > 0) != (sign > 0):
            closed = min(held, remaining)
            if is_dust(held - remaining, largest):
                closed = held
            share = commission * min(1.0, closed / remaining)
            self._close(lot, applied, closed, prices, share)
            remaining -= closed
            commission -= share
        if not is_dust(remaining, largest):
            if lot.quantity == 0.0:
                lot.entry_ns, lot.order_id = source.entry_ns, source.order_id
                lot.group_id, lot.trade_id = source.group_id, source.trade_id
            lot.add(sign * remaining, prices, commission)

    def mark_open(self, ts_ns: int, marks: Mapping[str, float]) -> None:
        for (strategy, symbol), lot in sorted(self.lots.items()):
            if lot.quantity == 0.0:
                continue
            mark = marks.get(symbol, float("nan"))
            if mark != mark:
                raise DataError(f"no last price for {symbol!r}, of which {lot.quantity} units are held at the end of the run.")
            self.ledger.trades.append(self._trip(lot, strategy, abs(lot.quantity), ts_ns, (mark, mark), lot.commission))

    def _close(
        self, lot: _Lot, cause: Fill | AppliedAction, quantity: float, prices: tuple[float, float], exit_commission: float
    ) -> None:
        held = abs(lot.quantity)
        carried = lot.commission * (quantity / held)
        sign = -1.0 if lot.quantity > 0 else 1.0
        trip = self._trip(lot, cause.strategy, quantity, cause.ts_ns, prices, carried + exit_commission, cause)
        self.ledger.trades.append(trip)
        if isinstance(cause, Fill):
            self.ledger.legs.append(FillLeg(cause, trip.trade_id, "EXIT", quantity, exit_commission))
        lot.commission -= carried
        lot.quantity += quantity * sign
        if quantity == held:
            lot.clear()
        else:
            lot.trade_id = self._new_id(lot.order_id, lot.entry_ns)

    def _trip(
        self,
        lot: _Lot,
        strategy: str,
        quantity: float,
        ts_ns: int,
        prices: tuple[float, float],
        commission: float,
        cause: Fill | AppliedAction | None = None,
    ) -> RoundTrip:
        exit_ideal, exit_exec = prices
        multiplier = self.multipliers.get(lot.symbol, 1.0)
        sign = 1.0 if lot.quantity > 0 else -1.0
        gross = sign * (exit_ideal - lot.ideal_price) * quantity * multiplier
        paid = sign * (exit_exec - lot.exec_price) * quantity * multiplier
        return RoundTrip(
            trade_id=lot.trade_id,
            order_id=lot.order_id,
            exit_order_id=cause.order_id if isinstance(cause, Fill) else "",
            oco_id=lot.group_id,
            strategy=strategy,
            symbol=lot.symbol,
            side=Side.of(lot.quantity),
            qty=quantity,
            multiplier=multiplier,
            entry_ns=lot.entry_ns,
            exit_ns=ts_ns,
            entry_price=lot.ideal_price,
            exit_price=exit_ideal,
            entry_exec_price=lot.exec_price,
            exit_exec_price=exit_exec,
            gross_pnl=gross,
            slippage_cost=gross - paid,
            commission_cost=commission,
            net_pnl=paid - commission,
            exit_reason="" if cause is None else self._reason(cause),
            status="open" if cause is None else "closed",
        )

    def _reason(self, fill: Fill | AppliedAction) -> str:
        if isinstance(fill, AppliedAction):
            return "corporate_action"
        if fill.tag in EXIT_REASONS:
            return fill.tag
        order = self.orders.get(fill.order_id)
        if order is not None and order.role is OrderRole.TAKE_PROFIT:
            return "take_profit"
        is_stop = order is not None and order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
        return "stop_loss" if is_stop else "manual"

    def _lot(self, strategy: str, symbol: str) -> _Lot:
        lot = self.lots.get((strategy, symbol))
        if lot is None:
            lot = self.lots[strategy, symbol] = _Lot(symbol)
        return lot

    def _new_id(self, order_id: str, entry_ns: int) -> str:
        # One entry may be closed in several parts; the first keeps the id of domain rule 1.6, the others add an ordinal.
        base = short_hash(order_id, format_utc(entry_ns))
        ordinal = self.used_ids.get(base, 0)
        self.used_ids[base] = ordinal + 1
        return short_hash(order_id, format_utc(entry_ns), str(ordinal)) if ordinal else base


def build_ledger(
    fills: Sequence[Fill],
    applied_actions: Sequence[AppliedAction],
    orders: Sequence[Order],
    *,
    last_ns: int,
    last_marks: Mapping[str, float],
    multipliers: Mapping[str, float] | None = None,
) -> Ledger:
    """Turn fills and corporate actions into round trips at average cost, per strategy and symbol.

    Each reducing fill closes one trade. Commission of the entry is carried pro rata. A split scales quantity and prices of what
    is held. A fill that crosses zero closes fully and opens the rest. Dividends are listed beside the trades, not in their
    profit. What is paid for a symbol that ends closes a trade; what is changed into another symbol keeps its entry and takes
    its cost along. The arithmetic is that of `fairlead.core.portfolio`.

    Parameters
    ----------
    fills, applied_actions, orders : sequences
        In the order in which they happened. An action goes before the fills of the same instant.
    last_ns : int
        End of the run, nanoseconds.
    last_marks : mapping of symbol to price
        What open positions are valued at.
    multipliers : mapping of symbol to float, optional
        Currency value of one unit at price 1; 1.0 where absent.

    Raises
    ------
    DataError
        If a position is open at the end and its symbol has no last price.
    """
    builder = _Builder({order.order_id: order for order in orders}, multipliers or {})
    pending = iter(applied_actions)
    action = next(pending, None)
    for fill in fills:
        while action is not None and action.ts_ns <= fill.ts_ns:
            builder.action(action)
            action = next(pending, None)
        builder.fill(fill)
    while action is not None:
        builder.action(action)
        action = next(pending, None)
    builder.mark_open(last_ns, last_marks)
    return builder.ledger


def ledger_of(record: RunRecord, multipliers: Mapping[str, float] | None = None) -> Ledger:
    """Return the ledger of a run, with open positions marked at the last prices of `record`."""
    prices = record.prices
    marks = dict(zip(prices.symbols, prices.mark[-1].tolist(), strict=True)) if len(prices.mark) else {}
    last_ns = int(record.account.ts_ns[-1]) if len(record.account.ts_ns) else 0
    ledger = build_ledger(
        record.fills,
        record.applied_actions,
        record.orders,
        last_ns=last_ns,
        last_marks=marks,
        multipliers=multipliers,
    )
    return replace(ledger, financing=sum(charge.total for charge in record.financing))
