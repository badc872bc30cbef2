"""A run record on disk: Parquet tables beside the readable files, from which the same record can be read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fairlead.core.errors import DataError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.fills import Fill
from fairlead.core.orders import Order, OrderStatus, OrderType, OrderUpdate, Side, TimeInForce
from fairlead.engine.record import AppliedAction, EquityCurve, RunRecord, SessionPrices, StrategyOutcome

EQUITY: Final = "equity.parquet"
EVENTS: Final = "events.parquet"
ORDERS: Final = "orders.parquet"
PRICES: Final = "prices.parquet"

_S, _F, _I = pa.string(), pa.float64(), pa.int64()
EVENT_SCHEMA: Final = pa.schema(
    [
        ("ts_ns", _I),
        ("kind", _S),
        ("strategy", _S),
        ("symbol", _S),
        ("order_id", _S),
        ("seq", _I),
        ("previous", _S),
        ("status", _S),
        ("filled_quantity", _F),
        ("average_price", _F),
        ("execution_id", _S),
        ("side", _S),
        ("quantity", _F),
        ("price_ideal", _F),
        ("price", _F),
        ("commission", _F),
        ("bar_ns", _I),
        ("action", _S),
        ("ex_session", _I),
        ("value", _F),
        ("quantity_before", _F),
        ("quantity_after", _F),
        ("cash", _F),
        ("text", _S),
    ]
)
"""Kinds: ``order`` (a status change), ``fill``, ``action`` (met a position) and ``market_action`` (took effect in the data)."""

_ORDER_TYPES: Final[Mapping[str, pa.DataType]] = {
    **dict.fromkeys(("quantity", "limit_price", "stop_price", "filled_quantity", "average_price", "commission"), _F),
    **dict.fromkeys(("executed", "decided_quantity", "decided_limit", "decided_stop"), _F),
    **dict.fromkeys(("created_ns", "arrives_ns", "expires_ns", "day_session", "update_count"), _I),
    "stop_triggered": pa.bool_(),
}
_ORDER_ENUMS: Final[Mapping[str, Callable[[str], object]]] = {
    "side": Side,
    "order_type": OrderType,
    "time_in_force": TimeInForce,
    "status": OrderStatus,
}


def event_rows(record: RunRecord) -> list[dict[str, Any]]:
    """Return what happened, in order: at one instant actions come first, then then fills, then status changes.

    Market actions stand at the end; they carry no instant.
    """
    rows = [(applied.ts_ns, 0, _action_row(applied)) for applied in record.applied_actions]
    rows += [(fill.ts_ns, 1, _fill_row(fill)) for fill in record.fills]
    rows += [(update.ts_ns, 2, _update_row(update)) for update in record.updates]
    rows.sort(key=lambda entry: entry[:2])  # stable: ties keep the order in which they happened
    return [row for _, _, row in rows] + [_market_row(action) for action in record.market_actions]


def write_record(folder: Path, record: RunRecord) -> None:
    """Write the four Parquet tables of `record` into `folder`."""
    # A strategy that is alone has the account's curve; it is written once and read for both.
    own = {name: curve for name, curve in record.by_strategy.items() if not _same(curve, record.account)}
    curves = {"": record.account, **own}
    equity = {
        "strategy": pa.array(
            np.repeat(np.array(list(curves), dtype=object), [len(c.ts_ns) for c in curves.values()]), _S
        ).dictionary_encode()
    }
    for name in ("ts_ns", "session", "equity", "cash", "gross", "net"):
        equity[name] = pa.array(np.concatenate([getattr(curve, name) for curve in curves.values()]))
    _write(pa.table(equity), folder / EQUITY)
    _write(pa.Table.from_pylist(event_rows(record), EVENT_SCHEMA), folder / EVENTS)
    _write(_order_table(record.orders), folder / ORDERS)
    prices = record.prices
    columns = {"session": pa.array(prices.session), "ts_ns": pa.array(prices.ts_ns)}
    columns |= {f"mark:{symbol}": pa.array(prices.mark[:, i]) for i, symbol in enumerate(prices.symbols)}
    _write(pa.table(columns), folder / PRICES)


def record_facts(record: RunRecord) -> dict[str, Any]:
    """Return what the tables do not hold, as plain data for the manifest."""
    return {
        "initial_cash": record.initial_cash,
        "bars": record.bars,
        "digest": record.digest,
        "strategies": [asdict(strategy) for strategy in record.strategies],
        "stage_seconds": dict(record.stage_seconds),
    }


def read_record(folder: Path, run_id: str, facts: Mapping[str, Any]) -> RunRecord:
    """Return the record that `write_record` and `record_facts` described.

    Raises
    ------
    DataError
        If a table is missing or unreadable.
    """
    curves = _read_curves(folder)
    events = _read(folder / EVENTS).to_pylist()
    strategies = tuple(StrategyOutcome(**strategy) for strategy in facts["strategies"])
    prices = _read(folder / PRICES)
    marks = [name for name in prices.column_names if name.startswith("mark:")]
    sessions = prices["session"].to_numpy().astype(np.int32)
    return RunRecord(
        run_id=run_id,
        initial_cash=float(facts["initial_cash"]),
        strategies=strategies,
        account=curves[""],
        by_strategy={s.name: curves.get(s.name, curves[""]) for s in strategies},
        prices=SessionPrices(
            tuple(name.removeprefix("mark:") for name in marks),
            sessions,
            prices["ts_ns"].to_numpy(),
            np.column_stack([prices[name].to_numpy() for name in marks]) if marks else np.empty((len(sessions), 0)),
        ),
        orders=[_order(row) for row in _read(folder / ORDERS).to_pylist()],
        updates=[_update(row) for row in events if row["kind"] == "order"],
        fills=[_fill(row) for row in events if row["kind"] == "fill"],
        applied_actions=[_applied(row) for row in events if row["kind"] == "action"],
        market_actions=[_corporate(row) for row in events if row["kind"] == "market_action"],
        bars=int(facts["bars"]),
        digest=str(facts["digest"]),
        stage_seconds=dict(facts["stage_seconds"]),
    )


def _same(curve: EquityCurve, other: EquityCurve) -> bool:
    return all(np.array_equal(getattr(curve, f.name), getattr(other, f.name)) for f in fields(EquityCurve))


def _read_curves(folder: Path) -> dict[str, EquityCurve]:
    table = _read(folder / EQUITY)
    names = table["strategy"].cast(_S).to_numpy()
    curves: dict[str, EquityCurve] = {}
    for name in dict.fromkeys(["", *names.tolist()]):
        rows = np.flatnonzero(names == name)
        part = {column: table[column].to_numpy()[rows] for column in table.column_names if column != "strategy"}
        curves[name] = EquityCurve(**part)
    return curves


def _order_table(orders: Sequence[Order]) -> pa.Table:
    names = [f.name for f in fields(Order)]
    return pa.table({name: pa.array([getattr(order, name) for order in orders], _ORDER_TYPES.get(name, _S)) for name in names})


def _order(row: dict[str, Any]) -> Order:
    values: dict[str, Any] = {name: _ORDER_ENUMS[name](value) if name in _ORDER_ENUMS else value for name, value in row.items()}
    return Order(**values)


def _update_row(update: OrderUpdate) -> dict[str, Any]:
    return {
        "ts_ns": update.ts_ns,
        "kind": "order",
        "order_id": update.order_id,
        "seq": update.seq,
        "previous": update.previous.value,
        "status": update.status.value,
        "filled_quantity": update.filled_quantity,
        "average_price": update.average_price,
        "text": update.reason,
    }


def _update(row: dict[str, Any]) -> OrderUpdate:
    return OrderUpdate(
        row["order_id"],
        row["seq"],
        row["ts_ns"],
        OrderStatus(row["previous"]),
        OrderStatus(row["status"]),
        row["filled_quantity"],
        row["average_price"],
        row["text"],
    )


def _fill_row(fill: Fill) -> dict[str, Any]:
    return {
        "ts_ns": fill.ts_ns,
        "kind": "fill",
        "strategy": fill.strategy,
        "symbol": fill.symbol,
        "order_id": fill.order_id,
        "execution_id": fill.execution_id,
        "side": fill.side.value,
        "quantity": fill.quantity,
        "price_ideal": fill.price_ideal,
        "price": fill.price,
        "commission": fill.commission,
        "bar_ns": fill.bar_ns,
        "text": fill.tag,
    }


def _fill(row: dict[str, Any]) -> Fill:
    return Fill(
        execution_id=row["execution_id"],
        order_id=row["order_id"],
        strategy=row["strategy"],
        symbol=row["symbol"],
        side=Side(row["side"]),
        quantity=row["quantity"],
        price_ideal=row["price_ideal"],
        price=row["price"],
        commission=row["commission"],
        ts_ns=row["ts_ns"],
        bar_ns=row["bar_ns"],
        tag=row["text"],
    )


def _market_row(action: CorporateAction) -> dict[str, Any]:
    return {
        "kind": "market_action",
        "symbol": action.symbol,
        "action": action.kind.value,
        "ex_session": action.ex_session,
        "value": action.value,
    }


def _action_row(applied: AppliedAction) -> dict[str, Any]:
    return {
        **_market_row(applied.action),
        "ts_ns": applied.ts_ns,
        "kind": "action",
        "strategy": applied.strategy,
        "quantity_before": applied.quantity_before,
        "quantity_after": applied.quantity_after,
        "cash": applied.cash,
    }


def _corporate(row: dict[str, Any]) -> CorporateAction:
    return CorporateAction(row["symbol"], row["ex_session"], ActionKind(row["action"]), row["value"])


def _applied(row: dict[str, Any]) -> AppliedAction:
    return AppliedAction(
        row["ts_ns"], row["strategy"], _corporate(row), row["quantity_before"], row["quantity_after"], row["cash"]
    )


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as exc:
        raise DataError(f"cannot read {path}: {exc}. The run directory is damaged; run it again.") from exc
