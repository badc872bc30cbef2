"""Fills and round trips of a replay: prices with costs, and profit (domain rule 6.9)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from fairlead.backtest.replay import layout as at
from fairlead.backtest.replay.bars import ReplayBars
from fairlead.backtest.replay.orders import Outcome
from fairlead.backtest.replay.settings import ReplayCosts
from fairlead.contracts.orders import CanonicalOrder
from fairlead.core.accounting import execute
from fairlead.core.identity import short_hash
from fairlead.core.instruments import Instrument
from fairlead.core.time import NS_PER_MINUTE, format_utc, to_ns
from fairlead.execution.commission import CommissionContext, CommissionModel, MonthVolume
from fairlead.execution.cost_kernels import BPS, slipped
from fairlead.execution.slippage import FixedSlippage

REASONS: Final[Mapping[int, str]] = {
    at.EXPIRED: "order_expired",
    at.CANCELLED_OCO: "order_cancelled_oco",
    at.AMBIGUOUS: "order_ambiguous_no_fill",
    at.NETTED: "order_rejected_netting_open_position",
    at.NOT_MARKETABLE: "order_cancelled_not_marketable",
    at.NO_SESSION: "order_rejected_no_extended_hours",
}
"""What is written of an order that did not fill."""
EXITS: Final[Mapping[int, str]] = {at.STOP_LOSS: "stop_loss", at.TAKE_PROFIT: "take_profit", at.SESSION_END: "session_end"}
_REJECTED: Final = (at.NETTED, at.NO_SESSION)
_LIMITS: Final = (at.AT_LIMIT, at.STOP_LIMIT)


class Trade(NamedTuple):
    """A round trip. Money in currency, instants in nanoseconds; places of bars count into `ReplayBars`."""

    trade_id: str
    order: CanonicalOrder
    place: int
    """Of the order, in the file."""
    side: int
    units: float
    multiplier: float
    entry_bar: int
    exit_bar: int
    entry_ns: int
    exit_ns: int
    entry_price: float
    exit_price: float
    entry_exec: float
    exit_exec: float
    entry_fee: float
    exit_fee: float
    gross_pnl: float
    slippage_cost: float
    net_pnl: float
    exit_reason: str

    @property
    def commission(self) -> float:
        """Of entry and exit."""
        return self.entry_fee + self.exit_fee

    @property
    def minutes(self) -> float:
        """How long it lasted."""
        return (self.exit_ns - self.entry_ns) / NS_PER_MINUTE


class Leg(NamedTuple):
    """A row of the filled orders: an execution, or the end of an order without one."""

    order: CanonicalOrder
    kind: str
    """ENTRY, EXIT, CANCEL or REJECT."""
    ts_ns: int
    bar_ns: int | None
    reason: str
    ordinal: int = 0
    """Of the execution, within the order; 0 for the end of an order."""
    trade: Trade | None = None


@dataclass(frozen=True, slots=True)
class Fills:
    """All that happened.

    Attributes
    ----------
    trades : tuple of Trade
        By the instant of the exit, then symbol and order.
    legs : tuple of Leg
        By instant (R12): exits, orders that end, entries.
    """

    trades: tuple[Trade, ...]
    legs: tuple[Leg, ...]


def book_fills(
    outcome: Outcome, bars: ReplayBars, costs: ReplayCosts, instruments: Mapping[str, Instrument] | None = None
) -> Fills:
    """Return what the walk over the bars means in money.

    Parameters
    ----------
    instruments : mapping of symbol to Instrument, optional
        Multipliers; 1 where absent.
    """
    desk = _Desk(outcome, bars, costs, instruments or {})
    trades = desk.trades()
    legs = [leg for trade in trades for leg in _executions(trade, bars)]
    legs += _ends(outcome, bars)
    legs.sort(key=_turn)
    return Fills(tuple(sorted(trades, key=lambda t: (t.exit_ns, t.order.symbol, t.order.order_id))), tuple(legs))


class _Desk:
    def __init__(self, outcome: Outcome, bars: ReplayBars, costs: ReplayCosts, instruments: Mapping[str, Instrument]) -> None:
        self._outcome = outcome
        self._bars = bars
        self._instruments = instruments
        self._commission: CommissionModel = costs.commission.build()
        slippage = costs.slippage.build()
        self._slip = slippage.bps / BPS if isinstance(slippage, FixedSlippage) else 0.0
        self._slip_limits = costs.slippage_on_limits
        self._volume = MonthVolume()

    def trades(self) -> list[Trade]:
        ints = self._outcome.ints
        filled = np.flatnonzero(ints[:, at.STATUS] == at.FILLED).tolist()
        # Charges may depend on what the month has seen, so they are made in the order of time: exits first.
        queue: list[tuple[int, int, str, str, int]] = []
        for i in filled:
            order = self._outcome.orders[i]
            for turn, column in ((2, at.BAR), (0 if ints[i, at.EXIT_BAR] > ints[i, at.BAR] else 3, at.EXIT_BAR)):
                queue.append((int(self._bars.ints[ints[i, column], at.KNOWN]), turn, order.symbol, order.order_id, i))
        charges: dict[int, list[tuple[float, float]]] = {i: [] for i in filled}
        for _, turn, _, _, i in sorted(queue):
            charges[i].append(self._charge(i, is_entry=turn == 2))
        return [self._trade(i, charges[i]) for i in filled]

    def _charge(self, i: int, *, is_entry: bool) -> tuple[float, float]:
        """Return the price with costs and the commission of an execution."""
        outcome, order = self._outcome, self._outcome.orders[i]
        side = int(outcome.order_ints[i, at.SIDE]) * (1 if is_entry else -1)
        ideal = float(outcome.floats[i, at.ENTRY if is_entry else at.EXIT])
        kind, reason = outcome.order_ints[i, at.KIND], outcome.ints[i, at.EXIT_REASON]
        at_limit = kind in _LIMITS if is_entry else reason == at.TAKE_PROFIT
        price = slipped(side, ideal, self._slip if self._slip_limits or not at_limit else 0.0)
        units, multiplier = float(order.qty), self._multiplier(order.symbol)
        bar = int(outcome.ints[i, at.BAR if is_entry else at.EXIT_BAR])
        model = self._commission
        if not model.needs_context:
            return price, model.charge(units, price, multiplier, 0.0, 0.0)
        session = int(self._bars.session[bar])
        volume = self._volume.of(order.strategy, session)
        fee = model.charge_in(CommissionContext(units, price, multiplier, side=side, month_volume=volume))
        self._volume.add(order.strategy, session, units)
        return price, fee

    def _multiplier(self, symbol: str) -> float:
        found = self._instruments.get(symbol)
        return 1.0 if found is None else found.multiplier

    def _trade(self, i: int, charges: Sequence[tuple[float, float]]) -> Trade:
        outcome, order = self._outcome, self._outcome.orders[i]
        entry_bar, exit_bar = int(outcome.ints[i, at.BAR]), int(outcome.ints[i, at.EXIT_BAR])
        entry_price, exit_price = outcome.floats[i].tolist()
        side, units = int(outcome.order_ints[i, at.SIDE]), float(order.qty)
        multiplier = self._multiplier(order.symbol)
        (entry_exec, entry_fee), (exit_exec, exit_fee) = charges
        gross = execute(side * units, entry_price, units, -side * units, exit_price, multiplier)[3]
        paid = execute(side * units, entry_exec, units, -side * units, exit_exec, multiplier)[3]
        entry_ns, exit_ns = (int(self._bars.ints[bar, at.KNOWN]) for bar in (entry_bar, exit_bar))
        return Trade(
            trade_id=short_hash(order.order_id, format_utc(entry_ns)),
            order=order,
            place=i,
            side=side,
            units=units,
            multiplier=multiplier,
            entry_bar=entry_bar,
            exit_bar=exit_bar,
            entry_ns=entry_ns,
            exit_ns=exit_ns,
            entry_price=entry_price,
            exit_price=exit_price,
            entry_exec=entry_exec,
            exit_exec=exit_exec,
            entry_fee=entry_fee,
            exit_fee=exit_fee,
            gross_pnl=gross,
            slippage_cost=gross - paid,
            net_pnl=paid - (entry_fee + exit_fee),
            exit_reason=EXITS[int(outcome.ints[i, at.EXIT_REASON])],
        )


def _executions(trade: Trade, bars: ReplayBars) -> Iterator[Leg]:
    entry, end = (int(bars.ints[bar, at.LABEL]) for bar in (trade.entry_bar, trade.exit_bar))
    yield Leg(trade.order, "ENTRY", trade.entry_ns, entry, trade.order.order_type.value.lower(), 1, trade)
    yield Leg(trade.order, "EXIT", trade.exit_ns, end, trade.exit_reason, 2, trade)


def _ends(outcome: Outcome, bars: ReplayBars) -> Iterator[Leg]:
    for i, order in enumerate(outcome.orders):
        status, bar = int(outcome.ints[i, at.STATUS]), int(outcome.ints[i, at.BAR])
        if status not in REASONS:
            continue
        known, label = bars.ints[bar, [at.KNOWN, at.LABEL]].tolist() if bar >= 0 else (None, None)
        if status == at.NO_SESSION:
            known = to_ns(order.valid_from)
        elif known is None:
            known = int(outcome.order_ints[i, at.TO])
        yield Leg(order, "REJECT" if status in _REJECTED else "CANCEL", known, label, REASONS[status])


def _turn(leg: Leg) -> tuple[int, int, str, str]:
    # A position that ends in the bar of its entry ends after it.
    late = leg.trade is not None and leg.trade.exit_bar == leg.trade.entry_bar
    turn = {"EXIT": 3 if late else 0, "CANCEL": 1, "REJECT": 1, "ENTRY": 2}[leg.kind]
    return leg.ts_ns, turn, leg.order.symbol, leg.order.order_id
