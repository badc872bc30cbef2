"""Fairlead's answer to a scenario, through `fairlead.backtest` alone."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pandas as pd

import fairlead
from fairlead.core.instruments import Instrument
from fairlead.execution.margin import AccountSettings
from fairlead.execution.settings import ExecutionSettings
from fairlead.sdk import CancelIntent, Intents, OrderIntent, Strategy, TimeInForce
from parity.answers import Answer, answer_of
from parity.scenario import Ask, Cancel, Scenario, Weights

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
_COLUMNS = ("open", "high", "low", "close", "volume")


class Script(Strategy):
    """Orders what a scenario says, on the bars it says."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__()
        self.scenario = scenario
        self.bar = -1

    def generate_orders(self, context: Any) -> Intents:
        self.bar += 1
        if self.scenario.rule is not None:
            return self._crossover(context)
        wanted: list[Any] = []
        for step in self.scenario.steps:
            if step.bar != self.bar:
                continue
            if isinstance(step, Ask):
                wanted.append(intent_of(step))
            elif isinstance(step, Weights):
                wanted += [OrderIntent.target_weight(symbol, weight) for symbol, weight in step.weights.items()]
            elif isinstance(step, Cancel):
                wanted += [CancelIntent(order.order_id) for order in context.open_orders if order.tag == step.name]
        return wanted

    def _crossover(self, context: Any) -> Intents:
        rule = self.scenario.rule
        closes = context.historical_data.closes("A", rule.slow)
        if len(closes) < rule.slow:
            return []
        is_long = closes[-rule.fast :].mean() > closes.mean()
        return [OrderIntent.target_position("A", rule.quantity if is_long else -rule.quantity)]


def intent_of(ask: Ask) -> OrderIntent:
    """Return the order of a scenario as Fairlead's intent."""
    plain = replace(_plain(ask), oco=ask.oco)
    if ask.take_profit is None and ask.stop_loss is None:
        return plain
    return plain.with_exits(take_profit=ask.take_profit, stop_loss=ask.stop_loss)


def _plain(ask: Ask) -> OrderIntent:
    lasting = {"time_in_force": TimeInForce.DAY if ask.day else TimeInForce.GTC, "tag": ask.name}
    if ask.at_close:
        return OrderIntent.on_close(ask.symbol, ask.quantity, tag=ask.name)
    if ask.trail_percent is not None:
        return OrderIntent.trailing_stop(ask.symbol, ask.quantity, percent=ask.trail_percent, **lasting)
    if ask.stop is not None and ask.limit is not None:
        return OrderIntent.stop_limit(ask.symbol, ask.quantity, ask.stop, ask.limit, **lasting)
    if ask.stop is not None:
        return OrderIntent.stop(ask.symbol, ask.quantity, ask.stop, **lasting)
    if ask.limit is not None:
        return OrderIntent.limit(ask.symbol, ask.quantity, ask.limit, **lasting)
    return OrderIntent.market(ask.symbol, ask.quantity, **lasting)


def run(scenario: Scenario) -> Answer:
    """Run a scenario and return its fills, last cash and last equity."""
    sessions = scenario.as_json()["sessions"]
    index = pd.DatetimeIndex(sessions, tz="UTC")
    frames = {symbol: pd.DataFrame(rows, columns=_COLUMNS, index=index) for symbol, rows in scenario.bars.items()}
    result = fairlead.backtest(
        Script(scenario),
        frames,
        cash=scenario.cash,
        commission=_commission(scenario),
        slippage={"model": "fixed", "params": {"bps": scenario.slippage_bps}},
        execution=ExecutionSettings(
            max_bar_participation=scenario.participation,
            limit_fill_on_touch=scenario.touch_fills,
            account=AccountSettings(type=scenario.account),
        ),
        instruments={
            symbol: Instrument(symbol=symbol, lot_step=scenario.lot, min_quantity=scenario.lot) for symbol in scenario.bars
        },
        risk_limits={"max_leverage": 1.0},
        bar_size="1d",
        now=lambda: NOON,
    )
    labels = {int(stamp.value): i for i, stamp in enumerate(index)}
    fills = [(labels[f.bar_ns], f.symbol, f.signed_quantity, f.price) for f in result.record.fills]
    account = result.record.account
    return answer_of(fills, cash=float(account.cash[-1]), equity=float(account.equity[-1]))


def _commission(scenario: Scenario) -> Any:
    terms = dict(scenario.commission)
    kind = terms.pop("kind", "none")
    # In the scenarios nobody caps a commission.
    return {"model": kind, "params": {**terms, "max_frac": 1.0} if kind == "per_share" else terms}
