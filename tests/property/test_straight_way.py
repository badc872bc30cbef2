"""The straight way of plain market orders: it leaves the record that the desk leaves without it, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.instruments import Instrument
from fairlead.core.intents import OrderIntent
from fairlead.core.orders import OrderStatus, TimeInForce
from fairlead.engine.session import run_session
from fairlead.engine.straight import StraightWay
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import LatencySettings
from fairlead.sdk.strategy import Strategy
from support_sessions import allocate, days, free, minutes, plan, random_bars, split

INSTRUMENTS = {
    "A": {},
    "B": {"lot_step": 0.01, "min_quantity": 0.05, "multiplier": 5.0},
    "C": {"lot_step": 10.0, "min_quantity": 20.0, "shortable": False},
}


class Whims(Strategy):
    """Wants anything that can be wanted at the market, and now and then a limit order that is in the way of it."""

    def __init__(self, *, seed: int, most: int, busy: float) -> None:
        super().__init__()
        self.whims, self.most, self.busy = np.random.default_rng(seed), most, busy
        self.refused = 0

    def on_market_event(self, event, context):
        pass

    def on_order_update(self, order, context):
        self.refused += order.status is OrderStatus.REJECTED
        if self.refused == 25:
            raise ValueError("enough")

    def generate_orders(self, context):
        if self.whims.random() > self.busy:
            return []
        count = int(self.whims.integers(1, self.most + 1))
        # Mostly each symbol once: what names one twice is for the desk.
        once = [*self.whims.permutation(list("ABC")), "X"][:count] if self.whims.random() < 0.8 else []
        return [self.wish(symbol) for symbol in (once or self.whims.choice(list("ABC"), count))]

    def wish(self, symbol):
        whims, symbol = self.whims, str(symbol)
        amount, kind = float(whims.normal()), int(whims.integers(0, 8))
        if kind < 2:
            in_force = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.CLS)
            return OrderIntent.market(symbol, amount * 60.0, time_in_force=in_force[int(whims.integers(5))], tag=str(kind))
        if kind == 2:
            return OrderIntent.notional(symbol, amount * 3_000.0)
        if kind < 5:
            return OrderIntent.target_position(symbol, 0.0 if amount < -0.5 else amount * 60.0)
        if kind < 7:
            return OrderIntent.target_weight(symbol, round(amount * 0.4, 1), tag="share")
        return (
            OrderIntent.limit(symbol, amount * 40.0, 50.0 + amount)
            if whims.random() < 0.2
            else OrderIntent.market(symbol, 1e-9)
        )


@given(
    seed=st.integers(0, 2**32 - 1),
    most=st.sampled_from([1, 2, 3, 4]),
    busy=st.sampled_from([0.1, 0.5, 1.0]),
    daily=st.booleans(),
    gaps=st.sampled_from([0.0, 0.3]),
    limits=st.fixed_dictionaries(
        {"max_position_size": st.sampled_from([None, 0.3]), "max_leverage": st.sampled_from([0.8, 2.0, 20.0])}
    ),
    delay=st.sampled_from([0.0, 10.0, 90_000.0]),
    participation=st.sampled_from([0.01, 1.0]),
)
@settings(max_examples=80, deadline=None)
def test_it_leaves_the_record_of_the_desk(seed, most, busy, daily, gaps, limits, delay, participation):
    random = np.random.default_rng(seed)
    bars = {symbol: random_bars(random, 80, gaps=gaps, volume=4_000.0, start=50.0) for symbol in "ABC"}
    source = days(bars, actions=[split("B", 9, 2.0)]) if daily else minutes(bars, per_session=25, rows=13)
    execution = free(
        commission=CommissionSettings(model="per_share", params={"per_share": 0.01, "minimum": 1.5, "max_frac": 0.02}),
        latency=LatencySettings(mean_ms=delay, std_ms=delay / 2),
        max_bar_participation=participation,
    )

    def run():
        allocation = allocate(Whims(seed=seed, most=most, busy=busy), capital=20_000.0, **limits)
        own = {symbol: Instrument(symbol=symbol, **changes) for symbol, changes in INSTRUMENTS.items()}
        return run_session(plan(source, allocation, instruments=own, execution=execution))

    straight = run()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(StraightWay, "take", lambda *_: False)
        desk = run()
    for name in ("orders", "updates", "fills", "strategies"):
        assert repr(getattr(straight, name)) == repr(getattr(desk, name))
    np.testing.assert_array_equal(straight.account.equity, desk.account.equity)
    assert straight.digest == desk.digest


def test_plain_orders_do_take_it(monkeypatch):
    taken = []
    take = StraightWay.take

    def noted(self, runner, intents, now):
        taken.append(take(self, runner, intents, now))
        return taken[-1]

    monkeypatch.setattr(StraightWay, "take", noted)
    bars = {symbol: random_bars(np.random.default_rng(1), 200, volume=1e7, start=50.0) for symbol in "ABC"}
    run_session(plan(minutes(bars), allocate(Whims(seed=2, most=2, busy=0.5), capital=1e6)))
    assert taken.count(True) > 10
    assert taken.count(False) > 0
