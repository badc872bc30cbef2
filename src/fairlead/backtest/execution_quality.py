"""How a run's orders were executed, order by order, against the prices at which they were decided (Perold 1988).

A decision is made at a price. What the market did until the fill is *delay*, what the venue took on top is *slippage*, what the
broker took is *commission*, and what the price did to the part that never filled is *opportunity*. Their sum is the
*implementation shortfall*: what the run earned less than the same decisions would have earned at the prices at which they were
made. All are costs in currency: positive is worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.fills import Fill
from fairlead.core.orders import Order, OrderRole, OrderStatus, OrderType
from fairlead.engine.record import ExecutionPrices, RunRecord

Reference: TypeAlias = Literal["arrival", "trigger"]
_STOPS: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
_EXITS: Final = frozenset({OrderRole.TAKE_PROFIT, OrderRole.STOP_LOSS})
_UNKNOWN: Final = float("nan")


class Cost(NamedTuple):
    """What executions cost against a reference price.

    Parameters
    ----------
    amount : float
        Currency; negative if they were better than the reference.
    value : float
        What they were worth at the reference, in currency, above 0.
    """

    amount: float
    value: float

    @property
    def bps(self) -> float | None:
        """Basis points of the value; None without any."""
        return 1e4 * self.amount / self.value if self.value > 0 else None


@dataclass(frozen=True, slots=True)
class OrderExecution:
    """One order as it was executed; amounts in currency, None where the prices they need are not known.

    Attributes
    ----------
    order : Order
    reference : {'arrival', 'trigger'}
        What it is judged against. A market or limit order: the last price known when it was decided. A stop, and each exit of
        a bracket: the level at which it was to act, for nobody wished to trade before.
    reference_price : float or None
        In the units of the order's decision.
    first_fill_ns, last_fill_ns : int or None
        When its executions became known.
    fills : int
    against_arrival, against_trigger, against_mid, against_typical : Cost or None
        Of its executions. The typical price is (high + low + close) / 3 of the bar of the fill: what bars can say of a
        volume-weighted average price.
    delay : float or None
        From the reference to the price before costs.
    slippage, commission : float
    opportunity : float or None
        What the unfilled part lost by the close of the session in which the order ended. 0 for an order that was refused,
        for one judged against a trigger, and for one whose place a sibling took.
    paper_value : float or None
        What was decided, at the reference: the base of shortfall in basis points.
    """

    order: Order
    reference: Reference
    reference_price: float | None
    first_fill_ns: int | None
    last_fill_ns: int | None
    fills: int
    against_arrival: Cost | None
    against_trigger: Cost | None
    against_mid: Cost | None
    against_typical: Cost | None
    traded_value: float
    delay: float | None
    slippage: float
    commission: float
    opportunity: float | None
    paper_value: float | None

    @property
    def shortfall(self) -> float | None:
        """Delay, slippage, commission and opportunity together."""
        if self.delay is None or self.opportunity is None:
            return None
        return self.delay + self.slippage + self.commission + self.opportunity


def order_executions(record: RunRecord, multipliers: Mapping[str, float] | None = None) -> list[OrderExecution]:
    """Return every order of `record` as it was executed, in the order in which they were decided.

    Parameters
    ----------
    multipliers : mapping of symbol to float, optional
        Currency value of one unit at price 1; 1.0 where absent.
    """
    return list(_Judge(record, multipliers or {}).orders())


class _Judge:
    def __init__(self, record: RunRecord, multipliers: Mapping[str, float]) -> None:
        self._record = record
        self._multipliers = multipliers
        self._fills: dict[str, list[int]] = {}
        for i, fill in enumerate(record.fills):
            self._fills.setdefault(fill.order_id, []).append(i)
        self._prices = record.execution_prices or _nothing_known(record)
        self._typical: FloatArray = self._prices.bar[:, 1:4].mean(axis=1)
        self._actions: dict[str, list[CorporateAction]] = {}
        for action in record.market_actions:
            self._actions.setdefault(action.symbol, []).append(action)
        self._columns = {symbol: i for i, symbol in enumerate(record.prices.symbols)}
        self._served_sets = {order.oco_id for order in record.orders if order.oco_id and order.filled_quantity > 0}
        self._ends = {u.order_id: u.ts_ns for u in record.updates if u.status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED)}

    def orders(self) -> Iterator[OrderExecution]:
        for i, order in enumerate(self._record.orders):
            yield self._judge(order, float(self._prices.arrival[i]))

    def _judge(self, order: Order, arrival: float) -> OrderExecution:
        is_trigger = order.order_type in _STOPS or order.role in _EXITS
        quantity, limit, stop = order.decision
        level = (stop if order.order_type in _STOPS else limit) if is_trigger else arrival
        reference = _UNKNOWN if level is None else level
        multiplier = self._multipliers.get(order.symbol, 1.0)
        decided = self._session(order.created_ns)
        places = self._fills.get(order.order_id, [])
        fills = [self._record.fills[at] for at in places]
        at_reference = [self._carried(order.symbol, reference, decided, self._session(fill.ts_ns)) for fill in fills]
        against = _cost(fills, at_reference, multiplier)
        slippage = sum(fill.slippage * fill.quantity * multiplier for fill in fills)
        delay = against.amount - slippage if against is not None else _UNKNOWN if fills else 0.0
        refused = order.status is OrderStatus.REJECTED
        if refused:
            paper = 0.0
        elif is_trigger:
            paper = sum(fill.quantity * price * multiplier for fill, price in zip(fills, at_reference, strict=True))
        else:
            paper = quantity * reference * multiplier
        return OrderExecution(
            order=order,
            reference="trigger" if is_trigger else "arrival",
            reference_price=_known(reference),
            first_fill_ns=fills[0].ts_ns if fills else None,
            last_fill_ns=fills[-1].ts_ns if fills else None,
            fills=len(fills),
            against_arrival=None if is_trigger else against,
            against_trigger=against if is_trigger else None,
            against_mid=_cost(fills, [float(self._prices.mid[at]) for at in places], multiplier),
            against_typical=_cost(fills, [float(self._typical[at]) for at in places], multiplier),
            traded_value=sum(fill.quantity * fill.price * multiplier for fill in fills),
            delay=_known(delay),
            slippage=slippage,
            commission=sum(fill.commission for fill in fills),
            opportunity=0.0 if refused or is_trigger else _known(self._missed(order, reference, decided) * multiplier),
            paper_value=_known(paper),
        )

    def _missed(self, order: Order, reference: float, decided: int) -> float:
        if order.remaining <= 0 or order.order_id not in self._ends or order.oco_id in self._served_sets or order.parent_id:
            return 0.0
        prices = self._record.prices
        ended = self._session(self._ends[order.order_id])
        row = int(np.searchsorted(prices.session, ended, side="right")) - 1
        close = float(prices.mark[row, self._columns[order.symbol]]) if row >= 0 else _UNKNOWN
        return order.side.sign * (close - self._carried(order.symbol, reference, decided, ended)) * order.remaining

    def _session(self, ts_ns: int) -> int:
        stamps, sessions = self._record.account.ts_ns, self._record.account.session
        at = int(np.searchsorted(stamps, ts_ns, side="right")) - 1
        return int(sessions[max(at, 0)]) if len(sessions) else 0

    def _carried(self, symbol: str, price: float, since: int, until: int) -> float:
        """Return a price of session `since` in the terms of session `until`: units and rights may have changed between."""
        for action in self._actions.get(symbol, ()):
            if since < action.ex_session <= until:
                if action.kind is ActionKind.DIVIDEND:
                    # Who had bought at the decision would have been paid.
                    price -= action.value
                elif action.share_factor != 1.0:
                    price /= action.share_factor
                else:
                    # After a spin-off or a merger the symbol is another thing, and the old price says nothing about it.
                    return _UNKNOWN
        return price


def _cost(fills: Sequence[Fill], reference: Sequence[float], multiplier: float) -> Cost | None:
    """Return what `fills` cost against the reference price of each; None if there is none, or one is not known."""
    amount = sum(f.side.sign * (f.price - r) * f.quantity * multiplier for f, r in zip(fills, reference, strict=True))
    value = sum(fill.quantity * price * multiplier for fill, price in zip(fills, reference, strict=True))
    return Cost(amount, value) if fills and amount == amount else None


def _known(value: float) -> float | None:
    return value if value == value else None


def _nothing_known(record: RunRecord) -> ExecutionPrices:
    fills = len(record.fills)
    unknown = np.full(fills, np.nan)
    return ExecutionPrices(np.full(len(record.orders), np.nan), np.full((fills, 5), np.nan), unknown)
