"""History as the compiled loop reads it: whole arrays, and what of a session's settings it knows."""

from __future__ import annotations

from typing import Final

import numpy as np

from fairlead.core.arrays import FloatArray, IntArray
from fairlead.core.bars import BarBlock
from fairlead.core.errors import DataNotFound
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.instruments import Instrument
from fairlead.data.closing import session_closes
from fairlead.engine.compiled import layout as at
from fairlead.engine.compiled.layout import History
from fairlead.engine.session import SessionPlan
from fairlead.execution.commission import BpsCommission, NoCommission, PerOrderCommission, PerShareCommission
from fairlead.execution.cost_kernels import BPS
from fairlead.execution.slippage import FixedSlippage, NoSlippage, VolumeSlippage
from fairlead.sdk.limits import RiskLimits

KINDS: Final = {ActionKind.SPLIT: at.SPLIT, ActionKind.STOCK_DIVIDEND: at.SPLIT, ActionKind.DIVIDEND: at.DIVIDEND}
"""The corporate actions that the compiled loop knows."""
_NS_PER_MS: Final = 1_000_000
_FIELDS: Final = ("open", "high", "low", "close", "volume", "mark")
_CLOSE: Final = _FIELDS.index("close")


class LoadedHistory:
    """The whole history of a plan in memory.

    Parameters
    ----------
    plan : SessionPlan
        Its allocations are not read.
    blocks : list of BarBlock
        Of its source, with nothing carried.

    Attributes
    ----------
    arrays : History
        Without the rules of one strategy: `ruled` returns it with them.
    actions : list of CorporateAction
        In the order of ``arrays.actions``.
    days : int32 array of shape (sessions,)
        Session dates in days since the epoch.
    bars : int
    """

    def __init__(self, plan: SessionPlan, blocks: list[BarBlock]) -> None:
        if not blocks:
            raise DataNotFound(f"dataset {plan.source.name!r} holds no bar in the chosen dates.")
        self.plan, self.blocks = plan, blocks
        self.symbols = plan.source.symbols
        self.instruments = [
            plan.instruments.get(symbol) or Instrument(symbol=symbol, calendar=plan.source.calendar) for symbol in self.symbols
        ]
        market, times, last_rows = _market(blocks), _times(plan, blocks), _last_rows(blocks)
        self.days = times[last_rows, at.SESSION].astype(np.int32)
        self.bars = int((~np.isnan(market[:, :, _CLOSE])).sum())
        self.actions, rows, columns = _actions(blocks, market[:, :, _CLOSE])
        table = np.array([rows, columns, [KINDS[a.kind] for a in self.actions]], np.int64).reshape(3, -1)
        values = np.array([a.value if KINDS[a.kind] == at.DIVIDEND else a.share_factor for a in self.actions], np.float64)
        grid = np.array([[i.lot_step, i.min_quantity, i.tick, float(i.shortable), i.multiplier] for i in self.instruments])
        self.arrays = History(market, times, last_rows, table, values, grid, np.zeros(at.RULES))
        self._ruled: dict[tuple[float, float | None, float], History] = {}

    def ruled(self, capital: float, limits: RiskLimits) -> History:
        """Return the arrays with the rules of a strategy that has so much capital and such limits."""
        key = capital, limits.max_position_size, limits.max_leverage
        if key not in self._ruled:
            self._ruled[key] = self.arrays._replace(
                rules=_rules(self.plan, capital, limits, float(self.arrays.instruments[:, at.LOT].max()))
            )
        return self._ruled[key]


def _market(blocks: list[BarBlock]) -> FloatArray:
    rows = sum(len(block) - block.start for block in blocks)
    market = np.empty((rows, len(blocks[0].symbols), len(_FIELDS)))
    done = 0
    for block in blocks:
        count = len(block) - block.start
        for i, name in enumerate(_FIELDS):
            market[done : done + count, :, i] = getattr(block, name)[block.start :]
        done += count
    return market


def _times(plan: SessionPlan, blocks: list[BarBlock]) -> IntArray:
    label, known, session = (
        np.concatenate([getattr(block, name)[block.start :] for block in blocks]).astype(np.int64)
        for name in ("label_ns", "known_ns", "session")
    )
    ends = np.ones(len(known), np.int64)
    if plan.source.bar_size.is_intraday:
        close = session_closes(plan.source.calendar)
        closes = {int(day): close(int(day)) for day in np.unique(session)}
        never = int(np.iinfo(np.int64).max)
        of = np.array([never if closes[day] is None else closes[day] for day in np.unique(session).tolist()])
        ends = (known >= of[np.searchsorted(np.unique(session), session)]).astype(np.int64)
    return np.stack([label, known, session, ends], axis=1)


def _last_rows(blocks: list[BarBlock]) -> IntArray:
    session = np.concatenate([block.session[block.start :] for block in blocks])
    rows: IntArray = np.flatnonzero(np.append(session[1:] != session[:-1], True)).astype(np.int64)
    return rows


def _actions(blocks: list[BarBlock], close: FloatArray) -> tuple[list[CorporateAction], list[int], list[int]]:
    """Return what takes effect, and where: at a symbol's first bar from the action on, as the event loop does."""
    found: list[tuple[int, int, CorporateAction]] = []
    done = 0
    for block in blocks:
        for effective in block.actions:
            if effective.row >= block.start:
                first = done + effective.row - block.start
                traded = np.flatnonzero(~np.isnan(close[first:, effective.column]))
                if len(traded):
                    found.append((first + int(traded[0]), effective.column, effective.action))
        done += len(block) - block.start
    found.sort(key=lambda entry: entry[0])
    return [a for _, _, a in found], [row for row, _, _ in found], [column for _, column, _ in found]


def _rules(plan: SessionPlan, capital: float, limits: RiskLimits, lot: float) -> FloatArray:
    settings = plan.execution
    rules = np.zeros(at.RULES)
    rules[at.PARTICIPATION] = settings.max_bar_participation
    rules[at.ON_TOUCH] = settings.limit_fill_on_touch
    rules[at.SLIP_LIMITS] = settings.slippage_on_limits
    rules[at.SAME_BAR_EXIT] = settings.allow_same_bar_exit
    rules[at.GRACE_NS] = int(settings.arrival_grace_ms * _NS_PER_MS)
    rules[at.WHOLE_SESSIONS] = not plan.source.bar_size.is_intraday
    rules[at.SLIP_MODEL : at.SLIP_B + 1] = slippage_numbers(plan) or (0.0, 0.0, 0.0)
    rules[at.FEE_MODEL : at.FEE_C + 1] = commission_numbers(plan) or (0.0, 0.0, 0.0, 0.0)
    rules[at.MAX_SIZE] = float("nan") if limits.max_position_size is None else limits.max_position_size
    rules[at.MAX_LEVERAGE] = limits.max_leverage
    rules[at.CAPITAL] = capital
    rules[at.LARGEST_LOT] = lot
    return rules


def slippage_numbers(plan: SessionPlan) -> tuple[float, float, float] | None:
    """Return which slippage model it is and its numbers, None if the compiled loop does not know it."""
    model = plan.execution.slippage.build()
    if type(model) is NoSlippage:
        return at.CONSTANT, 0.0, 0.0
    if type(model) is FixedSlippage:
        return at.CONSTANT, model.bps / BPS, 0.0
    return (at.BY_VOLUME, model.base_bps, model.volume_factor) if type(model) is VolumeSlippage else None


def commission_numbers(plan: SessionPlan) -> tuple[float, float, float, float] | None:
    """Return which commission model it is and its numbers, None if the compiled loop does not know it."""
    model = plan.execution.commission.build()
    if type(model) is NoCommission:
        return at.NO_FEE, 0.0, 0.0, 0.0
    if type(model) is BpsCommission:
        return at.BPS, model.bps, 0.0, 0.0
    if type(model) is PerShareCommission:
        return at.PER_SHARE, model.per_share, model.minimum, model.max_frac
    return (at.PER_ORDER, model.amount, 0.0, 0.0) if type(model) is PerOrderCommission else None
