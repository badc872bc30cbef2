"""A run record on disk: Parquet tables beside the readable files, from which the same record can be read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fairlead.backtest.checkrows import read_checks
from fairlead.backtest.eventrows import BAR, EVENT_SCHEMA, MID, applied_of, corporate_of, event_rows
from fairlead.contracts.rows import ORDER_KINDS, fill_of, order_of, update_of
from fairlead.core.arrays import FloatArray
from fairlead.core.errors import DataError
from fairlead.engine.record import (
    CashFlow,
    EquityCurve,
    ExecutionPrices,
    FinancingCharge,
    RunRecord,
    SessionPrices,
    StrategyOutcome,
)

EQUITY: Final = "equity.parquet"
EVENTS: Final = "events.parquet"
ORDERS: Final = "orders.parquet"
PRICES: Final = "prices.parquet"
_ARRIVAL: Final = "arrival_price"

_S, _F, _I = pa.string(), pa.float64(), pa.int64()
_TYPES: Final[Mapping[str, pa.DataType]] = {"float": _F, "int": _I, "bool": pa.bool_()}


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
    _write(_order_table(record), folder / ORDERS)
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
        "financing": [list(charge) for charge in record.financing],
        **({"cash_flows": [list(flow) for flow in record.cash_flows]} if record.cash_flows else {}),
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
    orders = _read(folder / ORDERS).to_pylist()
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
        orders=[order_of(row) for row in orders],
        updates=[update_of(row) for row in events if row["kind"] == "order"],
        fills=[fill_of(row) for row in events if row["kind"] == "fill"],
        applied_actions=[applied_of(row) for row in events if row["kind"] == "action"],
        market_actions=[corporate_of(row) for row in events if row["kind"] == "market_action"],
        bars=int(facts["bars"]),
        digest=str(facts["digest"]),
        stage_seconds=dict(facts["stage_seconds"]),
        financing=[FinancingCharge(*charge) for charge in facts.get("financing", ())],
        cash_flows=[CashFlow(*flow) for flow in facts.get("cash_flows", ())],
        order_checks=read_checks(folder),
        execution_prices=_execution_prices(orders, [row for row in events if row["kind"] == "fill"]),
    )


def read_events(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's events as they were written; see `EVENT_SCHEMA`.

    Raises
    ------
    DataError
        If the table is missing or unreadable.
    """
    rows: list[dict[str, Any]] = _read(folder / EVENTS).to_pylist()
    return rows


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


def _order_table(record: RunRecord) -> pa.Table:
    columns = {
        name: pa.array([getattr(order, name) for order in record.orders], _TYPES.get(kind, _S))
        for name, kind in ORDER_KINDS.items()
    }
    noted = record.execution_prices
    arrival = np.full(len(record.orders), np.nan) if noted is None else noted.arrival
    return pa.table({**columns, _ARRIVAL: pa.array(arrival, _F, from_pandas=True)})


def _execution_prices(orders: Sequence[dict[str, Any]], fills: Sequence[dict[str, Any]]) -> ExecutionPrices | None:
    """Return what was noted; None if nothing was, as in the records of earlier versions."""

    def column(rows: Sequence[dict[str, Any]], name: str) -> FloatArray:
        return np.array([row.get(name) for row in rows], dtype=np.float64)

    if any(_ARRIVAL not in row for row in orders):
        return None
    bar = np.empty((len(fills), len(BAR)))
    for i, name in enumerate(BAR):
        bar[:, i] = column(fills, name)
    return ExecutionPrices(column(orders, _ARRIVAL), bar, column(fills, MID))


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as exc:
        raise DataError(f"cannot read {path}: {exc}. The run directory is damaged; run it again.") from exc
