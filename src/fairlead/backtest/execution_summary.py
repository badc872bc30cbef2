"""The execution of a run in numbers: fill rates, slippage, latency, costs and shortfall, in all and by strategy and symbol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fairlead.backtest.execution_quality import Cost, OrderExecution, order_executions
from fairlead.backtest.scorecard import was_marketable
from fairlead.core.orders import OrderStatus
from fairlead.core.time import NS_PER_SECOND
from fairlead.engine.record import RunRecord

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION: Final = "1.0"
_ENDED: Final = (OrderStatus.REJECTED, OrderStatus.CANCELLED, OrderStatus.EXPIRED)


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution of durations, in seconds."""

    count: int
    mean: float
    median: float
    p95: float
    largest: float

    @classmethod
    def of(cls, durations_ns: Sequence[int]) -> Spread | None:
        """Return the distribution of `durations_ns`; None if there is none."""
        if not durations_ns:
            return None
        seconds = np.array(durations_ns, dtype=np.float64) / NS_PER_SECOND
        return cls(
            len(seconds),
            float(seconds.mean()),
            float(np.median(seconds)),
            float(np.quantile(seconds, 0.95)),
            float(seconds.max()),
        )


@dataclass(frozen=True, slots=True)
class Slippage:
    """Slippage against one reference, over the orders for which it is known.

    Attributes
    ----------
    cost : float
        Currency; negative is better than the reference.
    bps : float or None
        Of the value at the reference: orders count by their size.
    orders : int
        How many could be measured.
    """

    cost: float
    bps: float | None
    orders: int

    @classmethod
    def of(cls, costs: Iterable[Cost | None]) -> Slippage | None:
        """Return the sum of `costs`; None if none is known."""
        known = [cost for cost in costs if cost is not None]
        if not known:
            return None
        total = Cost(sum(cost.amount for cost in known), sum(cost.value for cost in known))
        return cls(total.amount, total.bps, len(known))


@dataclass(frozen=True, slots=True)
class Costs:
    """What trading cost, in currency, and in basis points of what was traded.

    Attributes
    ----------
    financing : float or None
        Interest and borrow fees paid, less interest received; None if the run charged none. It is a strategy's, not a symbol's:
        interest is on cash.
    """

    slippage: float
    commission: float
    financing: float | None
    total: float
    bps: float | None


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The implementation shortfall of the orders whose reference is known, in currency.

    Attributes
    ----------
    total : float
        delay + slippage + commission + opportunity.
    bps : float or None
        Of what was decided, at the references.
    orders : int
        How many could be measured.
    """

    delay: float
    slippage: float
    commission: float
    opportunity: float
    total: float
    bps: float | None
    orders: int


@dataclass(frozen=True, slots=True)
class ExecutionSummary:
    """A group of orders in numbers.

    Attributes
    ----------
    statuses : dict of str to int
        How many ended how: FILLED, REJECTED, CANCELLED, EXPIRED. An order that filled in part counts as it ended.
    reasons : dict of str to dict of str to int
        Of the rejected, cancelled and expired orders, by status.
    partly_filled : int
        Orders that ended with a part of them filled.
    fill_rate_orders, fill_rate_quantity : float or None
        Share of the marketable orders that filled completely, and of their quantity that filled. Passive orders that ended
        untouched are left out (domain rule 13.2), and so is what no later bar could have met.
    decision_to_arrival, arrival_to_fill, time_to_fill : Spread or None
        Latency of what was sent; arrival to the first fill; decision to the last fill of what filled completely. A fill
        becomes known when its bar closes, so that on bars the last two say no more than that.
    arrival, trigger, mid, typical, modelled : Slippage or None
        Against the price at the decision, the level of a stop or exit, the quote, the typical price of the bar, and the price
        before the slippage model.
    """

    orders: int
    fills: int
    traded_value: float
    statuses: dict[str, int]
    reasons: dict[str, dict[str, int]]
    partly_filled: int
    fill_rate_orders: float | None
    fill_rate_quantity: float | None
    decision_to_arrival: Spread | None
    arrival_to_fill: Spread | None
    time_to_fill: Spread | None
    arrival: Slippage | None
    trigger: Slippage | None
    mid: Slippage | None
    typical: Slippage | None
    modelled: Slippage | None
    costs: Costs
    shortfall: Shortfall | None


@dataclass(frozen=True, eq=False)
class ExecutionQuality:
    """How a run was executed.

    Parameters
    ----------
    orders : list of OrderExecution
        In the order in which they were decided.
    last_ns : int
        End of the run.
    financing : mapping of strategy to float
        Interest and borrow fees paid, less interest received, in currency; empty if the run charged none.
    """

    orders: list[OrderExecution]
    last_ns: int
    financing: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def total(self) -> ExecutionSummary:
        """All orders together."""
        return self._summary(self.orders, sum(self.financing.values()) if self.financing else None)

    @cached_property
    def by_strategy(self) -> dict[str, ExecutionSummary]:
        """Each strategy's orders."""
        return self._groups(lambda o: o.order.strategy, self.financing)

    @cached_property
    def by_symbol(self) -> dict[str, ExecutionSummary]:
        """The orders in each symbol."""
        return self._groups(lambda o: o.order.symbol)

    @cached_property
    def by_order_type(self) -> dict[str, ExecutionSummary]:
        """The orders of each type."""
        return self._groups(lambda o: o.order.order_type.value)

    def frame(self) -> pd.DataFrame:
        """Return one row per order, as in ``execution_quality.csv``, with numbers and UTC stamps."""
        from fairlead.backtest.frames import execution_frame  # noqa: PLC0415  pandas loads only for those who look at frames

        return execution_frame(self.orders)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the single orders as JSON-able data."""
        groups = {"by_strategy": self.by_strategy, "by_symbol": self.by_symbol, "by_order_type": self.by_order_type}
        tables = {name: {key: asdict(summary) for key, summary in group.items()} for name, group in groups.items()}
        return {"schema_version": SCHEMA_VERSION, "total": asdict(self.total), **tables}

    def _groups(
        self, key: Callable[[OrderExecution], str], financing: Mapping[str, float] | None = None
    ) -> dict[str, ExecutionSummary]:
        members: dict[str, list[OrderExecution]] = {name: [] for name in financing or ()}
        for order in self.orders:
            members.setdefault(key(order), []).append(order)
        return {name: self._summary(members[name], (financing or {}).get(name)) for name in sorted(members)}

    def _summary(self, orders: Sequence[OrderExecution], paid: float | None) -> ExecutionSummary:
        slippage, commission = sum(o.slippage for o in orders), sum(o.commission for o in orders)
        traded = sum(o.traded_value for o in orders)
        total = slippage + commission + (paid or 0.0)
        modelled = [Cost(o.slippage, o.traded_value - o.order.side.sign * o.slippage) for o in orders if o.fills]
        marketable = [o for o in orders if was_marketable(o.order, self.last_ns)]
        asked = sum(o.order.quantity for o in marketable)
        sent = [o for o in orders if o.order.status is not OrderStatus.REJECTED and not o.order.parent_id]
        filled = [o for o in orders if o.order.status is OrderStatus.FILLED]
        return ExecutionSummary(
            orders=len(orders),
            fills=sum(o.fills for o in orders),
            traded_value=float(traded),
            statuses=_counted(o.order.status.value for o in orders),
            reasons={
                status.value: _counted(_code(o.order.reason) for o in orders if o.order.status is status)
                for status in _ENDED
                if any(o.order.status is status for o in orders)
            },
            partly_filled=sum(o.fills > 0 and o.order.status is not OrderStatus.FILLED for o in orders),
            fill_rate_orders=sum(o.order.status is OrderStatus.FILLED for o in marketable) / len(marketable)
            if marketable
            else None,
            fill_rate_quantity=sum(o.order.filled_quantity for o in marketable) / asked if asked > 0 else None,
            decision_to_arrival=Spread.of([o.order.arrives_ns - o.order.created_ns for o in sent]),
            arrival_to_fill=Spread.of([o.first_fill_ns - o.order.arrives_ns for o in orders if o.first_fill_ns is not None]),
            time_to_fill=Spread.of([o.last_fill_ns - o.order.created_ns for o in filled if o.last_fill_ns is not None]),
            arrival=Slippage.of(o.against_arrival for o in orders),
            trigger=Slippage.of(o.against_trigger for o in orders),
            mid=Slippage.of(o.against_mid for o in orders),
            typical=Slippage.of(o.against_typical for o in orders),
            modelled=Slippage.of(modelled),
            costs=Costs(float(slippage), float(commission), paid, float(total), 1e4 * total / traded if traded > 0 else None),
            shortfall=_shortfall(orders),
        )


def execution_quality(record: RunRecord, multipliers: Mapping[str, float] | None = None) -> ExecutionQuality:
    """Return how the orders of `record` were executed.

    Parameters
    ----------
    multipliers : mapping of symbol to float, optional
        Currency value of one unit at price 1; 1.0 where absent.

    Notes
    -----
    The slippage and the commission of the strategies, and those of the symbols, add up to the metrics ``total_slippage`` and
    ``total_fees`` of the run; the financing of the strategies to minus the metric ``financing``.
    """
    stamps = record.account.ts_ns
    last_ns = int(stamps[-1]) if len(stamps) else 0
    financing: dict[str, float] = {}
    for charge in record.financing:
        financing[charge.strategy] = financing.get(charge.strategy, 0.0) - charge.total
    return ExecutionQuality(order_executions(record, multipliers), last_ns, financing)


def _shortfall(orders: Sequence[OrderExecution]) -> Shortfall | None:
    known = [o for o in orders if o.shortfall is not None and o.paper_value is not None]
    if not known:
        return None
    delay, opportunity = sum(o.delay or 0.0 for o in known), sum(o.opportunity or 0.0 for o in known)
    slippage, commission = sum(o.slippage for o in known), sum(o.commission for o in known)
    decided = sum(o.paper_value or 0.0 for o in known)
    total = delay + slippage + commission + opportunity
    return Shortfall(
        float(delay),
        float(slippage),
        float(commission),
        float(opportunity),
        float(total),
        1e4 * total / decided if decided > 0 else None,
        len(known),
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _code(reason: str) -> str:
    # A refusal also says what it measured: "max_position_size: 12000 > 10000".
    return reason.partition(":")[0] or "unknown"
