"""Orders that leave their size to the session: in the engine, in the harness, and in a configuration."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import fairlead
from fairlead.backtest.api import study_setup
from fairlead.config.loading import load_settings
from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound
from fairlead.core.instruments import Instrument
from fairlead.core.orders import AmountKind, OrderStatus
from fairlead.engine.session import run_session
from fairlead.risk import PositionSizer, SizingConfig, SizingRule
from fairlead.risk.position import RuleSizer
from fairlead.sdk import OrderIntent, Side, Strategy, StrategyHarness, TimeInForce, one_cancels_other
from fairlead.strategies.inside_bar import InsideBar
from support_cli import fairlead as type_in
from support_sessions import Scripted, allocate, days, flat, plan, steady

UTC = dt.UTC


def sized(intents, *, rule=None, cash=10_000.0, bars=None, instruments=None, **limits):
    """The orders of a strategy that returns these intents at the first close, 100."""
    source = days({"A": bars or [flat(100), *steady(6, 100)]})
    allocation = replace(allocate(Scripted({0: intents}), capital=cash, **{"max_leverage": 1, **limits}), sizing=rule)
    return run_session(replace(plan(source, Scripted({})), allocations=(allocation,), instruments=instruments or {}))


def entry_orders(record):
    return [order for order in record.orders if not order.parent_id]


def buy(price=101.0, stop=100.6, **kwargs):
    return OrderIntent.sized("A", Side.BUY, stop_price=price, **kwargs).with_exits(stop_loss=stop)


@pytest.mark.parametrize(
    ("intent", "rule", "units"),
    [
        (buy(), None, 19),  # the golden of domain rule 5: 250 by risk, clipped
        (buy(), SizingRule(max_pos_pct=1000), 99),  # no more than the buying power of 10,000
        (buy(), SizingRule(risk_pct=Decimal("0.05")), 12),
        (buy(), SizingRule(mode="fixed", fixed_qty=7), 7),
        (buy(), SizingRule(mode="pct_equity", pos_pct=10), 9),
        (buy(), SizingRule(max_symbol_qty=3), 3),
        (OrderIntent.sized("A", "BUY").with_exits(stop_loss=98), None, 20),  # the last price is the entry
        (OrderIntent.sized("A", "SELL", limit_price=100).with_exits(stop_loss=102), None, -20),
        (OrderIntent.sized("A", "SELL", stop_price=50).with_exits(stop_loss=51), SizingRule(risk_pct="0.1"), -10),
        (OrderIntent.sized("A", "BUY", stop_price=101, limit_price=102).with_exits(stop_loss=100.6), None, 19),
        (OrderIntent.sized("A", "BUY"), SizingRule(mode="pct_equity"), 10),
    ],
)
def test_a_sized_order_has_the_size_of_the_rule(intent, rule, units):
    """Entry: the stop price, else the limit, else the last price. Stop: that of the exits."""
    record = sized([intent], rule=rule)
    (order,) = entry_orders(record)
    assert order.quantity * order.side.sign == units
    assert order.status is not OrderStatus.REJECTED


@pytest.mark.parametrize(
    ("intent", "rule", "cash", "reason"),
    [
        (OrderIntent.sized("A", "BUY"), None, 10_000.0, "no_stop"),
        (buy(), None, 500.0, "below_min_qty"),
        (buy(), SizingRule(mode="fixed", fixed_qty="0.5"), 10_000.0, "below_min_qty"),
        (OrderIntent.sized("A", "BUY").with_exits(take_profit=110), None, 10_000.0, "no_stop"),
        (buy(price=101.0 + 1e-12, stop=101.0), None, 10_000.0, "no_stop_distance"),
    ],
)
def test_no_size_is_a_rejection_with_the_reason(intent, rule, cash, reason):
    """Nothing is raised to the minimum."""
    record = sized([intent], rule=rule, cash=cash)
    assert [(o.status, o.reason) for o in entry_orders(record)] == [(OrderStatus.REJECTED, reason)]
    assert record.fills == []


def test_both_legs_of_a_pair_are_sized_on_their_own():
    """As if the other one were not there: only one fills. The last one has the wider stop."""
    pair = one_cancels_other(buy(), OrderIntent.sized("A", "SELL", stop_price=99).with_exits(stop_loss=104))
    record = sized(pair, rule=SizingRule(max_pos_pct=90, risk_pct="0.5"))
    assert [order.quantity for order in entry_orders(record)] == [89, 10]


def test_buying_power_is_what_positions_and_waiting_orders_leave():
    """6,000 rest in an order: 4,000 are left, and twice as much with twice the leverage."""
    first = OrderIntent.limit("A", 60, 100.0, time_in_force=TimeInForce.GTC)
    wide = SizingRule(mode="pct_equity", pos_pct=100, max_pos_pct=100)
    alone = [order.quantity for order in entry_orders(sized([OrderIntent.sized("A", "BUY", stop_price=100)], rule=wide))]
    assert alone == [100]
    source = days({"A": [flat(100), *steady(6, 100)]})
    script = {0: [first], 1: [OrderIntent.sized("A", "BUY", stop_price=100)]}
    for leverage, units in ((1, 40), (1.5, 90)):
        allocation = replace(allocate(Scripted(script), capital=10_000.0, max_leverage=leverage), sizing=wide)
        strategy = allocation.strategy
        type(strategy).risk_limits = type(strategy).risk_limits.model_copy(update={"max_leverage": 2.0})
        record = run_session(replace(plan(source, Scripted({})), allocations=(allocation,)))
        assert record.orders[1].quantity == units, record.orders[1]


def test_the_grid_is_that_of_the_instrument():
    """Lots of a tenth, ticks of a quarter worth 12.50 each."""
    future = Instrument(symbol="A", tick_size=0.25, multiplier=50.0, lot_step=0.1, min_quantity=0.1)
    record = sized([buy(stop=100.0)], rule=SizingRule(max_pos_pct=1000), instruments={"A": future})
    # A hundred at risk; four ticks of 12.50 a contract. The account buys 10,000 / 5,050 of them.
    assert [order.quantity for order in entry_orders(record)] == [1.9]


def test_a_sizer_of_a_rule_is_the_position_sizer():
    """The same numbers, whatever the intent."""
    rng = np.random.default_rng(11)
    rule, instrument = SizingRule(risk_pct=2, max_pos_pct=35), Instrument(symbol="A", lot_step=0.01, min_quantity=0.05)
    ours = RuleSizer(rule)
    for entry, distance, equity in zip(
        rng.uniform(1, 500, 50), rng.uniform(0.01, 0.9, 50), rng.uniform(10, 1e6, 50), strict=True
    ):
        price, stop = round(float(entry), 2), round(float(entry * (1 - distance)), 2)
        intent = OrderIntent.sized("A", "BUY", stop_price=price).with_exits(stop_loss=stop)
        config = SizingConfig(equity=Decimal(repr(float(equity))), risk_pct=2, max_pos_pct=35, lot_step="0.01", min_qty="0.05")
        expected = PositionSizer(config).calculate(price, stop)
        found = ours.size(intent, instrument, price=1.0, equity=float(equity))
        assert (Decimal(repr(found.quantity)), found.note) == (expected.quantity, expected.reason)


def test_an_amount_that_is_no_direction_is_refused():
    """So is a side that is none, and a setup without a time zone."""
    with pytest.raises(ContractError, match="'A sized' must be a direction, 1 to buy or -1 to sell, was 2"):
        OrderIntent(symbol="A", amount=2, amount_kind=AmountKind.SIZED)
    with pytest.raises(ValueError, match="'UP' is not a valid Side"):
        OrderIntent.sized("A", "UP")
    with pytest.raises(ContractError, match="carry a time zone"):
        OrderIntent(symbol="A", amount=1, setup_at=dt.datetime(2024, 1, 2))  # noqa: DTZ001  that is the mistake
    with pytest.raises(ContractError, match="stop_loss < entry < take_profit"):
        buy(stop=102)


def test_a_group_is_named_after_its_setup():
    """Twice is no collision, nor is an order that was decided at that instant; what is to come is no name."""
    early = dt.datetime(2024, 1, 2, 21, tzinfo=UTC)
    named = [OrderIntent(symbol="A", amount=1, setup_at=early)]
    later = [OrderIntent(symbol="A", amount=1, setup_at=dt.datetime(2030, 1, 1, tzinfo=UTC))]
    script = {0: [OrderIntent.market("A", 1)], 1: named, 2: named, 3: later}
    record = run_session(plan(days({"A": steady(6, 100)}), Scripted(script)))
    groups = [order.group_id for order in record.orders]
    assert groups[:3] == ["A_20240102_210000", "A_20240102_210000_1", "A_20240102_210000_2"]
    assert groups[3] == "A_20240105_210000"
    assert len({order.order_id for order in record.orders}) == 4


# Elsewhere.


def test_the_harness_sizes_by_the_same_rule():
    """At once; what comes to nothing is rejected, and the strategy hears of it."""
    heard = []

    class Sizes(Scripted):
        def on_order_update(self, order, context):
            heard.append((order.status, order.reason))

    harness = StrategyHarness(Sizes({0: [buy()], 1: [OrderIntent.sized("A", "BUY")]}), cash=10_000.0, symbols=("A",))
    harness.start()
    (intent,) = harness.bar("A", 100)
    assert [order.quantity for order in harness.context.open_orders] == [19]
    harness.fill(intent, 101.0)
    assert harness.portfolio.quantity("A") == 19
    harness.bar("A", 100)
    assert heard[-1] == (OrderStatus.REJECTED, "no_stop")
    assert harness.fill(buy(), 101.0).quantity == 19
    other = StrategyHarness(Scripted({0: [buy()]}), symbols=("A",), sizing={"mode": "fixed", "fixed_qty": 3})
    other.start()
    other.bar("A", 100)
    assert [order.quantity for order in other.orders] == [3]
    with pytest.raises(ConfigurationError, match="sizing: 'risk_pct'"):
        StrategyHarness(Scripted({}), sizing={"risk_pct": 0})
    untold = StrategyHarness(Scripted({}), symbols=("A",))
    untold.start()
    with pytest.raises(DataNotFound, match="'A' has no price yet"):
        untold.fill(buy(), 101.0)


CONFIG = """\
mode: backtest
data: {{type: historical, source: csv, path: ACME.csv, bar_size: 1d}}
strategies:
  - name: buyer
    strategy: buyer.py
    capital: 10_000
    {sizing}
report: {{html: false, plots: false}}
"""
BUYER = """\
from fairlead.strategies.inside_bar import InsideBar
from fairlead.sdk import OrderIntent, Strategy

class Buyer(Strategy):
    def generate_orders(self, context):
        held = context.portfolio.quantity("ACME") or context.open_orders
        return [] if held else [OrderIntent.sized("ACME", "BUY")]
"""


def write(folder, sizing):
    (folder / "buyer.py").write_text(BUYER)
    rows = [f"2024-01-{day:02},100,101,99,100,1000000" for day in (2, 3, 4, 5, 8, 9)]
    (folder / "ACME.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows]) + "\n")
    (folder / "run.yaml").write_text(CONFIG.format(sizing=sizing))
    return folder / "run.yaml"


def test_a_configuration_has_a_rule_for_each_strategy(tmp_path):
    """It is used, shown, and refused where it is wrong, at its line."""
    write(tmp_path, "sizing: {mode: pct_equity, pos_pct: 15}")
    done = type_in("backtest", "run.yaml", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    result = fairlead.Result.load(next((tmp_path / "artifacts" / "runs").iterdir()))
    assert [order.quantity for order in result.record.orders] == [15]
    assert json.loads(done.out)
    bad = write(tmp_path, "sizing: {mode: pct_equity, pos_pct: 0}")
    done = type_in("backtest", "run.yaml", cwd=tmp_path)
    assert done.code == 2
    assert "run.yaml:7" in done.err
    assert "pos_pct" in done.err
    bad.write_text(CONFIG.format(sizing="sizing: {equity: 5}"))
    done = type_in("backtest", "run.yaml", cwd=tmp_path)
    assert (done.code, "equity" in done.err) == (2, True)
    loaded = load_settings(write(tmp_path, "sizing: {risk_pct: 0.5}"), environ={}, find=lambda _: Strategy)
    assert loaded.settings.strategies[0].sizing == SizingRule(risk_pct=Decimal("0.5"))
    assert math.isclose(float(loaded.effective["strategies"][0]["sizing"]["risk_pct"]), 0.5)


def test_the_call_from_python_takes_a_rule():
    """As settings or as a mapping; a study does too."""
    index = pd.date_range("2024-01-02", periods=6, freq="B", tz="UTC")
    data = pd.DataFrame({"open": 100.0, "high": 101.0, "low": 99.0, "close": 100.0, "volume": 1e6}, index=index)

    def run(**kwargs):
        strategy = Scripted({0: [OrderIntent.sized("A", "BUY")]})
        return fairlead.backtest(strategy, {"A": data}, cash=10_000, **kwargs)

    assert run(sizing={"mode": "pct_equity"}).record.orders[0].quantity == 10
    result = run(sizing=SizingRule(mode="fixed", fixed_qty=4))
    assert result.record.orders[0].quantity == 4
    assert result.info.config["strategies"][0]["sizing"]["mode"] == "fixed"
    assert "sizing" not in run().info.config["strategies"][0]
    with pytest.raises(ConfigurationError, match="sizing: 'mode'"):
        run(sizing={"mode": "kelly"})
    setup = study_setup(InsideBar, {"A": data}, sizing={"mode": "fixed"})
    assert setup.entries[0].sizing == SizingRule(mode="fixed")
