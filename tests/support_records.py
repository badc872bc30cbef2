"""Hand-made run records: a small ledger-true simulator for tests of results, metrics and reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fairlead.backtest.info import RunInfo
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.fills import Fill
from fairlead.core.identity import group_id, idempotency_key, order_id, short_hash
from fairlead.core.orders import Order, OrderStatus, OrderType, Side
from fairlead.core.portfolio import Portfolio
from fairlead.core.time import NS_PER_DAY, date_to_day, day_to_date
from fairlead.engine.record import AppliedAction, EquityCurve, RunRecord, SessionPrices, StrategyOutcome

CLOSE_NS = 21 * 3_600 * 1_000_000_000
"""Every session of these records closes at 21:00 UTC."""


def weekdays(first: str, count: int) -> np.ndarray:
    """Return `count` consecutive weekdays from `first` on, as days since the epoch."""
    start = np.busday_offset(np.datetime64(first, "D"), 0, roll="forward")
    return np.busday_offset(start, np.arange(count)).astype("datetime64[D]").astype(np.int64).astype(np.int32)


@dataclass
class Ask:
    """An order decided after the close of `row`; it fills at the open of the next row unless told otherwise."""

    row: int
    symbol: str
    quantity: float
    strategy: str = "alpha"
    order_type: OrderType = OrderType.MARKET
    price: float | None = None
    tag: str = ""
    ends: OrderStatus = OrderStatus.FILLED
    reason: str = ""
    parts: int = 1


@dataclass
class Market:
    """Daily prices by symbol; opens default to the closes of the same row."""

    closes: dict[str, Sequence[float]]
    days: np.ndarray
    opens: dict[str, Sequence[float]] = field(default_factory=dict)
    actions: tuple[CorporateAction, ...] = ()

    def open_of(self, symbol: str, row: int) -> float:
        return float(self.opens.get(symbol, self.closes[symbol])[row])


def split(symbol: str, day: int, ratio: float) -> CorporateAction:
    """Return a split effective in session `day`."""
    return CorporateAction(symbol, int(day), ActionKind.SPLIT, ratio)


def dividend(symbol: str, day: int, cash: float) -> CorporateAction:
    """Return a cash dividend with ex-session `day`."""
    return CorporateAction(symbol, int(day), ActionKind.DIVIDEND, cash)


def simulate(
    market: Market,
    asks: Sequence[Ask],
    *,
    cash: float = 100_000.0,
    run_id: str = "bt_20200101T000000Z_test_0badcafe",
    commission_bps: float = 1.0,
    slippage_bps: float = 2.0,
    strategies: Sequence[str] = ("alpha",),
    outcomes: dict[str, dict[str, Any]] | None = None,
    stage_seconds: dict[str, float] | None = None,
) -> RunRecord:
    """Run `asks` through real portfolios, one per strategy, each with an equal share of `cash`."""
    symbols = tuple(sorted(market.closes))
    marks: dict[str, float] = {}
    books = {name: Portfolio(cash / len(strategies), marks) for name in strategies}
    stamps = market.days.astype(np.int64) * NS_PER_DAY + CLOSE_NS
    orders: list[Order] = []
    updates, fills, applied = [], [], []
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in strategies}
    for row, day in enumerate(market.days):
        ts_ns = int(stamps[row])
        today = [action for action in market.actions if action.ex_session == day]
        for action in sorted(today, key=lambda a: (a.symbol, a.kind)):
            for name, book in books.items():
                applied += _apply(action, name, book, ts_ns)
        for ask in (ask for ask in asks if ask.row == row - 1):
            order, changes, done = _execute(ask, market, row, stamps, run_id, commission_bps, slippage_bps, len(orders))
            orders.append(order)
            updates += changes
            fills += done
            for fill in done:
                books[ask.strategy].apply(fill)
        for symbol in symbols:
            marks[symbol] = _known(market.closes[symbol][row], marks.get(symbol))
        for name, book in books.items():
            rows[name].append((book.equity, book.cash, book.gross_exposure, book.net_exposure))
    curves = {name: _curve(stamps, market.days, np.array(values)) for name, values in rows.items()}
    total = np.sum([np.array(values) for values in rows.values()], axis=0)
    closes = np.column_stack([np.asarray(market.closes[s], dtype=float) for s in symbols])
    return RunRecord(
        run_id=run_id,
        initial_cash=cash,
        strategies=tuple(
            StrategyOutcome(
                **{
                    "name": name,
                    "version": "1.0.0",
                    "params": {"fast": 20, "slow": 50},
                    "capital": cash / len(strategies),
                    "status": "completed",
                    **(outcomes or {}).get(name, {}),
                }
            )
            for name in strategies
        ),
        account=_curve(stamps, market.days, total),
        by_strategy=curves,
        prices=SessionPrices(symbols, market.days, stamps, closes),
        orders=orders,
        updates=updates,
        fills=fills,
        applied_actions=applied,
        market_actions=list(market.actions),
        bars=int(np.sum(~np.isnan(closes))),
        digest=short_hash(run_id[:2], *(f.fill_id[-4:] for f in fills)) * 4,
        stage_seconds=stage_seconds or {},
    )


def _known(price: float, before: float | None) -> float:
    return float(price) if price == price or before is None else before


def _apply(action: CorporateAction, name: str, book: Portfolio, ts_ns: int) -> list[AppliedAction]:
    before = book.quantity(action.symbol)
    if before == 0:
        return []
    paid = 0.0
    if action.kind is ActionKind.SPLIT:
        book.apply_split(action.symbol, action.value, ts_ns)
    else:
        paid = book.apply_dividend(action.symbol, action.value)
    return [AppliedAction(ts_ns, name, action, before, book.quantity(action.symbol), paid)]


def _execute(ask, market, row, stamps, run_id, commission_bps, slippage_bps, ordinal):
    created, now = int(stamps[ask.row]), int(stamps[row])
    side = Side.of(ask.quantity)
    group = group_id(ask.symbol, created, ordinal)
    key = idempotency_key(run_id, ask.strategy, "1.0.0", ask.symbol, side, group)
    order = Order(
        order_id=order_id(key),
        idempotency_key=key,
        group_id=group,
        strategy=ask.strategy,
        symbol=ask.symbol,
        side=side,
        quantity=abs(ask.quantity),
        order_type=ask.order_type,
        created_ns=created,
        arrives_ns=created,
        limit_price=ask.price if ask.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
        stop_price=ask.price if ask.order_type in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        tag=ask.tag,
        day_session=int(market.days[row]),
    )
    changes, fills = [order.move_to(OrderStatus.SUBMITTED, created)], []
    if ask.ends is OrderStatus.REJECTED:
        return order, [*changes, order.move_to(OrderStatus.REJECTED, created, ask.reason)], fills
    changes.append(order.move_to(OrderStatus.ACKNOWLEDGED, created))
    ideal = market.open_of(ask.symbol, row)
    paid = ideal * (1 + side.sign * slippage_bps / 1e4)
    if ask.ends is OrderStatus.FILLED or ask.parts > 1:
        size = order.quantity / ask.parts
        for part in range(ask.parts if ask.ends is OrderStatus.FILLED else ask.parts - 1):
            fee = size * paid * commission_bps / 1e4
            fills.append(
                Fill(str(part), order.order_id, ask.strategy, ask.symbol, side, size, ideal, paid, fee, now, now, ask.tag)
            )
            changes.append(order.record_fill(size, paid, fee, now))
    if ask.ends is not OrderStatus.FILLED:
        changes.append(order.move_to(ask.ends, now, ask.reason))
    return order, changes, fills


def _curve(stamps, days, values: np.ndarray) -> EquityCurve:
    columns = [np.ascontiguousarray(values[:, i]) for i in range(4)]
    return EquityCurve(stamps, days, *columns)


def info_for(record: RunRecord, **changes: Any) -> RunInfo:
    """Return provenance for a hand-made record."""
    days = record.prices.session
    return RunInfo(
        **{
            "run_id": record.run_id,
            "title": "Hand-made run",
            "created_at": "2020-01-01T00:00:00.000000Z",
            "code_version": "0.1.0",
            "python_version": "3.11.7",
            "dataset": "handmade",
            "dataset_hash": "d" * 64,
            "synthetic": False,
            "bar_size": "1d",
            "calendar": "XNYS",
            "symbols": record.prices.symbols,
            "start": day_to_date(int(days[0])).isoformat() if len(days) else "",
            "end": day_to_date(int(days[-1])).isoformat() if len(days) else "",
            "config": {"mode": "backtest", "strategies": [{"name": "alpha", "params": {"fast": 20, "slow": 50}}]},
            "config_hash": "c" * 64,
            "code_hash": "b" * 64,
            "costs": {"commission_bps": 1.0, "slippage_bps": 2.0},
            "command": "fairlead backtest config.yaml",
            **changes,
        }
    )


def constant_market(value: float = 100.0, count: int = 10) -> Market:
    """Return one symbol that never moves."""
    return Market({"AAA": [value] * count}, weekdays("2020-01-02", count))


def sma_run(symbols: Sequence[str] = ("AAPL",), *, fast: int = 20, slow: int = 50, cash: float = 100_000.0) -> RunRecord:
    """Return a moving-average crossover on the bundled real prices: raw closes, splits derived from the known dates."""
    from bokeh_sampledata import stocks

    tables = {symbol: getattr(stocks, symbol) for symbol in symbols}
    first = tables[symbols[0]]
    days = np.array(first["date"], dtype="datetime64[D]").astype(np.int64).astype(np.int32)
    closes = {symbol: np.array(table["close"], dtype=float) for symbol, table in tables.items()}
    opens = {symbol: np.array(table["open"], dtype=float) for symbol, table in tables.items()}
    known = {"AAPL": [("2000-06-21", 2.0), ("2005-02-28", 2.0)], "MSFT": [("2003-02-18", 2.0)]}
    actions = []
    for symbol in symbols:
        for text, ratio in known.get(symbol, []):
            actions.append(split(symbol, date_to_day(np.datetime64(text, "D").item()), ratio))
    if "AAPL" in symbols:
        actions.append(dividend("AAPL", date_to_day(np.datetime64("2012-08-09", "D").item()), 2.65))
    market = Market(closes, days, opens, tuple(sorted(actions, key=lambda a: (a.ex_session, a.symbol, a.kind))))
    asks = []
    for symbol in symbols:
        factor = np.ones(len(days))
        for action in actions:
            if action.symbol == symbol and action.kind is ActionKind.SPLIT:
                factor[days < action.ex_session] /= action.value
        adjusted = closes[symbol] * factor
        held = 0.0
        sums = np.cumsum(np.insert(adjusted, 0, 0.0))
        for row in range(slow, len(days) - 1):
            quick = (sums[row + 1] - sums[row + 1 - fast]) / fast
            calm = (sums[row + 1] - sums[row + 1 - slow]) / slow
            wanted = quick > calm
            if wanted and held == 0.0:
                units = np.floor(0.5 * cash / len(symbols) / closes[symbol][row])
                held = units / factor[row + 1]
                asks.append(Ask(row, symbol, float(units), tag="cross_up"))
            elif not wanted and held:
                # Held units grew with every split since.
                asks.append(Ask(row, symbol, -float(round(held * factor[row + 1])), tag="cross_down"))
                held = 0.0
    return simulate(market, asks, cash=cash)
