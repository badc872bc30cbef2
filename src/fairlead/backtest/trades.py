"""Round trips: what every position cost and brought, at average cost, from fills and corporate actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from fairlead.core.errors import DataError
from fairlead.core.events import ActionKind
from fairlead.core.fills import Fill
from fairlead.core.identity import short_hash
from fairlead.core.orders import Order, OrderType, Side
from fairlead.core.portfolio import is_dust
from fairlead.core.time import NS_PER_MINUTE, format_utc
from fairlead.engine.record import AppliedAction, RunRecord

EXIT_REASONS: Final = frozenset({"stop_loss", "take_profit", "session_end", "trailing_stop", "manual"})
"""The closed list of domain rule 6.12."""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A quantity that was bought and sold again (or the reverse), or is still held at the end.

    Attributes
    ----------
    order_id, exit_order_id : str
        The order that opened the position, and the one that closed this part of it.
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
    """Cash that a held position received (long) or paid (short)."""

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
    """

    trades: list[RoundTrip] = field(default_factory=list)
    dividends: list[Dividend] = field(default_factory=list)
    legs: list[FillLeg] = field(default_factory=list)

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
        """Net profit of all trades plus dividends, in currency: final equity minus initial cash."""
        return sum(trade.net_pnl for trade in self.trades) + sum(dividend.cash for dividend in self.dividends)


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
        "trade_id",
    )

    def __init__(self) -> None:
        self.quantity = 0.0
        self.largest = 0.0
        self.ideal_price = 0.0
        self.exec_price = 0.0
        self.commission = 0.0
        self.entry_ns = 0
        self.order_id = self.group_id = self.trade_id = ""

    def add(self, fill: Fill, quantity: float, commission: float) -> None:
        held, size = abs(self.quantity), abs(self.quantity) + quantity
        self.ideal_price = (self.ideal_price * held + fill.price_ideal * quantity) / size
        self.exec_price = (self.exec_price * held + fill.price * quantity) / size
        self.commission += commission
        self.quantity += quantity * fill.side.sign
        self.largest = max(self.largest, abs(self.quantity))

    def split(self, ratio: float) -> None:
        self.quantity *= ratio
        self.largest *= ratio
        self.ideal_price /= ratio
        self.exec_price /= ratio


class _Builder:
    def __init__(self, orders: Mapping[str, Order], multipliers: Mapping[str, float]) -> None:
        self.ledger = Ledger()
        self.lots: dict[tuple[str, str], _Lot] = {}
        self.orders = orders
        self.multipliers = multipliers
        self.used_ids: dict[str, int] = {}

    def fill(self, fill: Fill) -> None:
        lot = self.lots.setdefault((fill.strategy, fill.symbol), _Lot())
        remaining, commission = fill.quantity, fill.commission
        held, largest = abs(lot.quantity), lot.largest
        if held and (lot.quantity > 0) != (fill.side is Side.BUY):
            closed = min(held, remaining)
            if is_dust(held - remaining, largest):
                closed = held
            share = commission * (closed / remaining) if closed < remaining else commission
            self._close(lot, fill, closed, share)
            remaining -= closed
            commission -= share
        if not is_dust(remaining, largest):
            if lot.quantity == 0.0:
                order = self.orders.get(fill.order_id)
                lot.entry_ns, lot.order_id = fill.ts_ns, fill.order_id
                lot.group_id = order.group_id if order is not None else ""
                lot.trade_id = self._new_id(fill.order_id, fill.ts_ns)
            lot.add(fill, remaining, commission)
            self.ledger.legs.append(FillLeg(fill, lot.trade_id, "ENTRY", remaining, commission))

    def action(self, applied: AppliedAction) -> None:
        action = applied.action
        if action.kind is ActionKind.SPLIT:
            lot = self.lots.get((applied.strategy, action.symbol))
            if lot is not None:
                lot.split(action.value)
        if applied.cash:
            self.ledger.dividends.append(
                Dividend(applied.ts_ns, applied.strategy, action.symbol, applied.quantity_before, applied.cash)
            )

    def mark_open(self, ts_ns: int, marks: Mapping[str, float]) -> None:
        for (strategy, symbol), lot in sorted(self.lots.items()):
            if lot.quantity == 0.0:
                continue
            mark = marks.get(symbol, float("nan"))
            if mark != mark:
                raise DataError(f"no last price for {symbol!r}, of which {lot.quantity} units are held at the end of the run.")
            self.ledger.trades.append(self._trip(lot, strategy, symbol, abs(lot.quantity), ts_ns, (mark, mark), lot.commission))

    def _close(self, lot: _Lot, fill: Fill, quantity: float, exit_commission: float) -> None:
        held = abs(lot.quantity)
        carried = lot.commission * (quantity / held)
        prices = (fill.price_ideal, fill.price)
        trip = self._trip(lot, fill.strategy, fill.symbol, quantity, fill.ts_ns, prices, carried + exit_commission, fill)
        self.ledger.trades.append(trip)
        self.ledger.legs.append(FillLeg(fill, trip.trade_id, "EXIT", quantity, exit_commission))
        lot.commission -= carried
        lot.quantity += quantity * fill.side.sign
        if quantity == held:
            lot.quantity = lot.largest = lot.commission = lot.ideal_price = lot.exec_price = 0.0
        else:
            lot.trade_id = self._new_id(lot.order_id, lot.entry_ns)

    def _trip(
        self,
        lot: _Lot,
        strategy: str,
        symbol: str,
        quantity: float,
        ts_ns: int,
        prices: tuple[float, float],
        commission: float,
        fill: Fill | None = None,
    ) -> RoundTrip:
        exit_ideal, exit_exec = prices
        multiplier = self.multipliers.get(symbol, 1.0)
        sign = 1.0 if lot.quantity > 0 else -1.0
        gross = sign * (exit_ideal - lot.ideal_price) * quantity * multiplier
        paid = sign * (exit_exec - lot.exec_price) * quantity * multiplier
        return RoundTrip(
            trade_id=lot.trade_id,
            order_id=lot.order_id,
            exit_order_id=fill.order_id if fill is not None else "",
            oco_id=lot.group_id,
            strategy=strategy,
            symbol=symbol,
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
            exit_reason="" if fill is None else self._reason(fill),
            status="open" if fill is None else "closed",
        )

    def _reason(self, fill: Fill) -> str:
        if fill.tag in EXIT_REASONS:
            return fill.tag
        order = self.orders.get(fill.order_id)
        is_stop = order is not None and order.order_type in (OrderType.STOP, OrderType.STOP_LIMIT)
        return "stop_loss" if is_stop else "manual"

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
    profit. The arithmetic is that of `fairlead.core.portfolio.Position`.

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
    return build_ledger(
        record.fills,
        record.applied_actions,
        record.orders,
        last_ns=last_ns,
        last_marks=marks,
        multipliers=multipliers,
    )
