"""The rows of a run's files: orders, filled orders and trades in the canonical columns (domain rules 4.1, 4.4, 6.12)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeAlias

from fairlead.backtest.execution_quality import Cost, OrderExecution
from fairlead.backtest.info import RunInfo
from fairlead.backtest.trades import FillLeg, Ledger, RoundTrip
from fairlead.contracts.cells import instant_text
from fairlead.contracts.orders.row import OPEN_END, SCHEMA_VERSION
from fairlead.core.grid import GRID_TOLERANCE
from fairlead.core.instruments import Instrument
from fairlead.core.orders import Order, OrderStatus, OrderUpdate, TimeInForce
from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND, format_utc
from fairlead.engine.record import RunRecord

Row: TypeAlias = dict[str, str]

OUTCOME_COLUMNS: Final = ("status", "filled_qty", "avg_price", "reason", "tag")
"""What became of an order; they follow the canonical columns."""

FILL_COLUMNS: Final = (
    "fill_id",
    "order_id",
    "trade_id",
    "symbol",
    "fill_type",
    "fill_ts",
    "bar_ts",
    "price_ideal",
    "price_exec",
    "qty",
    "commission",
    "slippage",
    "reason",
)

TRADE_COLUMNS: Final = (
    "trade_id",
    "order_id",
    "oco_id",
    "symbol",
    "side",
    "qty",
    "entry_ts",
    "exit_ts",
    "entry_price",
    "exit_price",
    "entry_exec_price",
    "exit_exec_price",
    "gross_pnl",
    "slippage_cost",
    "commission_cost",
    "net_pnl",
    "exit_reason",
    "duration_minutes",
    "signal_tf",
    "exec_tf",
    "evidence_status",
    "evidence_codes",
    "strategy",
    "status",
)

EXECUTION_COLUMNS: Final = (
    "order_id",
    "strategy",
    "symbol",
    "side",
    "order_type",
    "status",
    "reason",
    "decided_at",
    "arrived_at",
    "first_fill_at",
    "last_fill_at",
    "qty",
    "filled_qty",
    "fills",
    "reference",
    "reference_price",
    "avg_price",
    "arrival_bps",
    "trigger_bps",
    "mid_bps",
    "typical_bps",
    "delay",
    "slippage",
    "commission",
    "opportunity",
    "shortfall",
    "paper_value",
)
"""How each order was executed: amounts in currency, positive for worse, empty where the prices they need are not known."""


def number(value: float | None) -> str:
    """Return the shortest text of `value` that reads back as itself, without an exponent; empty for None."""
    if value is None:
        return ""
    text = repr(float(value))
    return format(Decimal(text), "f") if "e" in text else text


def quantity_text(instrument: Instrument, quantity: float) -> str:
    """Return an exact multiple of the lot; off the grid (after an uneven split) the number as it is."""
    steps = quantity / instrument.lot_step
    if abs(steps - round(steps)) > GRID_TOLERANCE * max(1.0, abs(steps)):
        return number(quantity)
    return format(instrument.quantity_to_decimal(quantity), "f")


def price_text(instrument: Instrument, price: float | None) -> str:
    """Return an exact multiple of the tick; empty for None."""
    return "" if price is None else format(instrument.price_to_decimal(price), "f")


def to_csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Return RFC 4180 text with a header and LF line ends."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


class Tables:
    """Writes the rows of one run.

    Parameters
    ----------
    instruments : mapping of symbol to Instrument
        Grid of each symbol; the default US equity rule where absent.
    """

    def __init__(self, record: RunRecord, info: RunInfo, ledger: Ledger, instruments: Mapping[str, Instrument]) -> None:
        self._record = record
        self._info = info
        self._ledger = ledger
        symbols = {order.symbol for order in record.orders} | {fill.symbol for fill in record.fills}
        self._instruments = {s: instruments.get(s) or Instrument(symbol=s) for s in symbols}
        self._versions = {strategy.name: strategy.version for strategy in record.strategies}
        self._orders = {order.order_id: order for order in record.orders}
        self._closes = dict(zip(record.prices.session.tolist(), record.prices.ts_ns.tolist(), strict=True))

    def orders(self) -> Iterator[Row]:
        """Yield the canonical order columns, then `OUTCOME_COLUMNS`.

        A GTD order is written as GTC with its expiry in ``valid_to``: the file's enum knows no GTD.
        """
        for order in self._record.orders:
            instrument = self._instruments[order.symbol]
            good_till = order.time_in_force is TimeInForce.GTD
            yield {
                "order_id": order.order_id,
                "idempotency_key": order.idempotency_key,
                "oco_id": order.group_id,
                "run_id": self._record.run_id,
                "symbol": order.symbol,
                "side": order.side.value,
                "qty": quantity_text(instrument, order.quantity),
                "limit_price": price_text(instrument, order.limit_price),
                "stop_price": price_text(instrument, order.stop_price),
                "take_profit_price": "",
                "valid_from": format_utc(order.arrives_ns),
                "valid_to": self._valid_to(order),
                "session": "RTH",
                "time_in_force": TimeInForce.GTC.value if good_till else order.time_in_force.value,
                "source": "backtest" if self._info.mode == "replay" else self._info.mode,
                "strategy": order.strategy,
                "strategy_version": self._versions.get(order.strategy, ""),
                "order_type": order.order_type.value,
                "stop_loss_price": "",
                "created_at": format_utc(order.created_ns),
                "schema_version": SCHEMA_VERSION,
                "status": order.status.value,
                "filled_qty": quantity_text(instrument, order.filled_quantity),
                "avg_price": number(order.average_price),
                "reason": order.reason,
                "tag": order.tag,
            }

    def fills(self) -> Iterator[Row]:
        """Yield executions and refusals in order of time.

        A fill that crosses zero gives two rows, EXIT and ENTRY, with one ``fill_id``. Cancelled, expired and rejected orders
        have a row each, with the unfilled quantity.
        """
        ends = [u for u in self._record.updates if u.status in _ENDS]
        legs = iter(self._ledger.legs)
        leg = next(legs, None)
        for update in ends:
            while leg is not None and leg.fill.ts_ns <= update.ts_ns:
                yield self._leg(leg)
                leg = next(legs, None)
            yield self._end(update)
        while leg is not None:
            yield self._leg(leg)
            leg = next(legs, None)

    def executions(self, executions: Iterable[OrderExecution]) -> Iterator[Row]:
        """Yield each order as it was executed, in the order of the decisions."""
        for item in executions:
            order = item.order
            instrument = self._instruments[order.symbol]
            yield {
                "order_id": order.order_id,
                "strategy": order.strategy,
                "symbol": order.symbol,
                "side": order.side.value,
                "order_type": order.order_type.value,
                "status": order.status.value,
                "reason": order.reason,
                "decided_at": format_utc(order.created_ns),
                "arrived_at": format_utc(order.arrives_ns),
                "first_fill_at": "" if item.first_fill_ns is None else format_utc(item.first_fill_ns),
                "last_fill_at": "" if item.last_fill_ns is None else format_utc(item.last_fill_ns),
                "qty": quantity_text(instrument, order.quantity),
                "filled_qty": quantity_text(instrument, order.filled_quantity),
                "fills": str(item.fills),
                "reference": item.reference,
                "reference_price": number(item.reference_price),
                "avg_price": number(order.average_price),
                "arrival_bps": _bps(item.against_arrival),
                "trigger_bps": _bps(item.against_trigger),
                "mid_bps": _bps(item.against_mid),
                "typical_bps": _bps(item.against_typical),
                "delay": number(item.delay),
                "slippage": number(item.slippage),
                "commission": number(item.commission),
                "opportunity": number(item.opportunity),
                "shortfall": number(item.shortfall),
                "paper_value": number(item.paper_value),
            }

    def trades(self) -> Iterator[Row]:
        """Yield round trips; open ones last, with status ``open`` and the last price in place of an exit."""
        bar_size = self._info.bar_size
        for trade in self._ledger.trades:
            codes = self._evidence(trade)
            instrument = self._instruments[trade.symbol]
            yield {
                "trade_id": trade.trade_id,
                "order_id": trade.order_id,
                "oco_id": trade.oco_id,
                "symbol": trade.symbol,
                "side": trade.side.value,
                "qty": quantity_text(instrument, trade.qty),
                "entry_ts": format_utc(trade.entry_ns),
                "exit_ts": format_utc(trade.exit_ns),
                "entry_price": number(trade.entry_price),
                "exit_price": number(trade.exit_price),
                "entry_exec_price": number(trade.entry_exec_price),
                "exit_exec_price": number(trade.exit_exec_price),
                "gross_pnl": number(trade.gross_pnl),
                "slippage_cost": number(trade.slippage_cost),
                "commission_cost": number(trade.commission_cost),
                "net_pnl": number(trade.net_pnl),
                "exit_reason": trade.exit_reason,
                "duration_minutes": number(trade.duration_minutes),
                "signal_tf": bar_size,
                "exec_tf": bar_size,
                "evidence_status": "FAIL" if any(code in _FAILURES for code in codes) else "PASS",
                "evidence_codes": ";".join(codes),
                "strategy": trade.strategy,
                "status": trade.status,
            }

    def _leg(self, leg: FillLeg) -> Row:
        fill = leg.fill
        instrument = self._instruments[fill.symbol]
        return {
            "fill_id": fill.fill_id,
            "order_id": fill.order_id,
            "trade_id": leg.trade_id,
            "symbol": fill.symbol,
            "fill_type": leg.fill_type,
            "fill_ts": format_utc(fill.ts_ns),
            "bar_ts": format_utc(fill.bar_ns),
            "price_ideal": number(fill.price_ideal),
            "price_exec": number(fill.price),
            "qty": quantity_text(instrument, leg.quantity),
            "commission": number(leg.commission),
            "slippage": number(fill.slippage * leg.quantity * instrument.multiplier),
            "reason": fill.tag,
        }

    def _end(self, update: OrderUpdate) -> Row:
        order = self._orders[update.order_id]
        row = dict.fromkeys(FILL_COLUMNS, "")
        unfilled = quantity_text(self._instruments[order.symbol], order.quantity - update.filled_quantity)
        return row | {
            "order_id": order.order_id,
            "symbol": order.symbol,
            "fill_type": "REJECT" if update.status is OrderStatus.REJECTED else "CANCEL",
            "fill_ts": format_utc(update.ts_ns),
            "qty": unfilled,
            "reason": update.reason or update.status.value.lower(),
        }

    def _valid_to(self, order: Order) -> str:
        """Exclusive end: an order's expiry, or the instant after its session's close, or no end."""
        if order.expires_ns is not None:
            return format_utc(max(order.expires_ns, order.arrives_ns + NS_PER_SECOND))
        if order.time_in_force is TimeInForce.GTC:
            return instant_text(OPEN_END)
        close = self._closes.get(order.day_session) if order.day_session is not None else None
        # An order whose session never came within the data is given a day.
        end = close + NS_PER_SECOND if close is not None else order.arrives_ns + NS_PER_DAY
        return format_utc(max(end, order.arrives_ns + NS_PER_SECOND))

    def _evidence(self, trade: RoundTrip) -> list[str]:
        """Check what a record can prove: no fill before its order was decided, none before the order arrived."""
        pairs = [(trade.order_id, trade.entry_ns), (trade.exit_order_id, trade.exit_ns)]
        seen = [(self._orders[order_id], ts_ns) for order_id, ts_ns in pairs if order_id in self._orders]
        valid = all(order.arrives_ns <= ts_ns for order, ts_ns in seen)
        codes = ["ORDER_VALIDITY_OK" if valid else "ORDER_VALIDITY_VIOLATION"]
        if any(ts_ns <= order.created_ns for order, ts_ns in seen):
            codes.append("LOOKAHEAD_SUSPECTED")
        return codes


_ENDS: Final = (OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED)
_FAILURES: Final = ("ORDER_VALIDITY_VIOLATION", "LOOKAHEAD_SUSPECTED")


def _bps(cost: Cost | None) -> str:
    return "" if cost is None else number(cost.bps)
