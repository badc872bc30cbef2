"""Execution quality: a run of three orders worked out by hand, and each rule by which an order is judged."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from fairlead.backtest.execution_quality import Cost
from fairlead.backtest.execution_summary import Spread, execution_quality
from fairlead.contracts.files import canonical_json
from fairlead.core.intents import OrderIntent
from fairlead.core.time import NS_PER_DAY, NS_PER_SECOND
from fairlead.engine.record import FinancingCharge
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.slippage import SlippageSettings
from support_sessions import Scripted, allocate, days, dividend, flat, free, run, split

BARS = [(100, 101, 99, 100), (102, 104, 100, 103), (103, 105, 101, 104), (104, 108, 103, 107)]
COSTS = {
    "slippage": SlippageSettings(model="fixed", params={"bps": 10}),
    "commission": CommissionSettings(model="bps", params={"bps": 5}),
}


def executed(script, bars=BARS, actions=(), **settings):
    """Run a script on one symbol and return how its orders were executed."""
    record = run(days({"A": bars}, actions=list(actions)), Scripted(script), execution=free(**settings))
    return execution_quality(record)


@pytest.fixture(scope="module")
def three():
    """A buy at the open above its decision, a buy that the market never came down to, and a sell at its price."""
    return executed(
        {
            0: [OrderIntent.market("A", 10)],
            1: [OrderIntent.limit("A", 4, 100.0)],
            2: [OrderIntent.market("A", -10)],
        },
        **COSTS,
    )


def test_each_order_of_a_small_run_as_worked_out_by_hand(three):
    """Decided at 100, 103 and 104; filled at the opens 102 and 104, each 10 bps worse."""
    bought, missed, sold = three.orders
    assert (bought.reference, bought.reference_price) == ("arrival", 100.0)
    assert bought.delay == pytest.approx((102 - 100) * 10)
    assert bought.slippage == pytest.approx(0.102 * 10)
    assert bought.commission == pytest.approx(1021.02 * 0.0005)
    assert bought.opportunity == 0.0
    assert bought.against_arrival == pytest.approx(Cost(21.02, 1000.0))
    assert bought.against_arrival.bps == pytest.approx(210.2)
    assert bought.against_typical == pytest.approx(Cost(1021.02 - 1023.3333333333, 1023.3333333333))
    assert bought.against_mid is None
    assert bought.shortfall == pytest.approx(20 + 1.02 + 0.51051)
    assert (missed.delay, missed.slippage, missed.against_arrival) == (0.0, 0.0, None)
    assert missed.opportunity == pytest.approx((104 - 103) * 4)
    assert (sold.delay, sold.slippage) == (pytest.approx(0.0), pytest.approx(1.04))
    assert sold.against_arrival.bps == pytest.approx(10.0)


def test_the_parts_of_the_shortfall_add_up(three):
    """20 of delay, 2.06 of slippage, 1.03 of commission, 4 of opportunity, on 2,452 that was decided."""
    short = three.total.shortfall
    assert (short.delay, short.slippage, short.commission, short.opportunity) == pytest.approx((20.0, 2.06, 1.02999, 4.0))
    assert short.total == pytest.approx(27.08999)
    assert short.bps == pytest.approx(1e4 * 27.08999 / (1000 + 412 + 1040))
    assert short.orders == 3


def test_counts_rates_and_costs(three):
    """A limit that the market never reached expired by design: it lowers no fill rate, but it is reported."""
    total = three.total
    assert (total.orders, total.fills, total.partly_filled) == (3, 2, 0)
    assert total.statuses == {"EXPIRED": 1, "FILLED": 2}
    assert total.reasons == {"EXPIRED": {"day_end": 1}}
    assert (total.fill_rate_orders, total.fill_rate_quantity) == (1.0, 1.0)
    assert total.modelled.bps == pytest.approx(10.0)
    assert total.modelled.orders == 2
    assert total.costs.total == pytest.approx(2.06 + 1.02999)
    assert total.costs.bps == pytest.approx(1e4 * 3.08999 / (1021.02 + 1038.96))
    assert total.costs.financing is None
    assert total.arrival.cost == pytest.approx(21.02 + 1.04)
    assert total.trigger is None


def test_groups_hold_their_own_orders(three):
    """By order type the limit stands alone."""
    assert set(three.by_strategy) == {"alpha"}
    assert three.by_symbol["A"].orders == 3
    limits = three.by_order_type["LIMIT"]
    assert (limits.orders, limits.fills, limits.shortfall.opportunity) == (1, 0, pytest.approx(4.0))
    assert limits.fill_rate_orders is None


def test_time_is_measured_from_the_decision_to_the_arrival_and_to_the_fill():
    """With 10 ms of latency; on daily bars a fill is known a day later."""
    total = executed({0: [OrderIntent.market("A", 10)]}, latency=LatencySettings(mean_ms=10, std_ms=0)).total
    assert total.decision_to_arrival.median == pytest.approx(0.010)
    assert total.time_to_fill.largest == pytest.approx(86_400)
    assert total.arrival_to_fill.mean == pytest.approx(86_400 - 0.010)


def test_a_spread_is_the_quantiles_of_its_durations():
    """One to a hundred seconds."""
    spread = Spread.of([n * NS_PER_SECOND for n in range(1, 101)])
    assert (spread.count, spread.mean, spread.median, spread.largest) == (100, 50.5, 50.5, 100.0)
    assert spread.p95 == pytest.approx(95.05)
    assert Spread.of([]) is None


def test_a_split_between_decision_and_fill_changes_the_units_of_the_reference():
    """100 before a two-for-one split is 50 after it: filled at 51, ten old shares are delayed by 20."""
    bars = [flat(100.0), flat(51.0), flat(51.0)]
    (order,) = executed({0: [OrderIntent.market("A", 10)]}, bars, [split("A", 1, 2.0)]).orders
    assert order.delay == pytest.approx((51 - 50) * 20)
    assert order.paper_value == pytest.approx(1000.0)


def test_a_dividend_between_decision_and_fill_is_no_gain():
    """The price falls by what the buyer would have been paid, had he bought at the decision."""
    (order,) = executed({0: [OrderIntent.market("A", 10)]}, [flat(100.0), flat(99.0)], [dividend("A", 1, 1.0)]).orders
    assert order.delay == pytest.approx(0.0)


def test_the_unfilled_part_is_carried_across_a_split_too():
    """A GTC buy of ten at 40 that never fills, decided at 100, split two for one, taken back at the end at 55: 20 x 5."""
    bars = [flat(100.0), flat(50.0), flat(55.0)]
    intent = dataclasses.replace(OrderIntent.limit("A", 10, 40.0), time_in_force="GTC")
    (order,) = executed({0: [intent]}, bars, [split("A", 1, 2.0)]).orders
    assert order.order.reason == "end_of_run"
    assert order.opportunity == pytest.approx((55 - 50) * 20)


def test_a_stop_is_judged_against_its_level():
    """Nobody wished to sell before 95; the gap to 90 is what it lost."""
    bars = [flat(100.0), flat(100.0), flat(90.0)]
    quality = executed({0: [OrderIntent.market("A", 10)], 1: [OrderIntent.stop("A", -10, 95.0)]}, bars)
    stop = quality.orders[1]
    assert (stop.reference, stop.reference_price) == ("trigger", 95.0)
    assert stop.delay == pytest.approx(50.0)
    assert stop.against_arrival is None
    assert stop.against_trigger.bps == pytest.approx(1e4 * 5 / 95)
    assert quality.total.trigger.cost == pytest.approx(50.0)
    assert quality.total.arrival.orders == 1


def test_a_stop_that_never_triggers_costs_nothing():
    """However far the price has run away from it."""
    (stop,) = executed({0: [OrderIntent.stop("A", -10, 50.0)]}).orders
    assert (stop.shortfall, stop.paper_value) == (0.0, 0.0)


def test_the_exit_that_its_sibling_made_needless_was_not_missed():
    """Of a bracket one exit fills; the other's price is no opportunity that was lost."""
    bars = [flat(100.0), flat(100.0), (100, 121, 100, 120), flat(150.0)]
    entry = OrderIntent.market("A", 10).with_exits(take_profit=120.0, stop_loss=90.0)
    quality = executed({0: [entry]}, bars)
    exits = {o.order.order_type.value: o for o in quality.orders[1:]}
    assert exits["LIMIT"].fills == 1
    assert (exits["LIMIT"].reference, exits["LIMIT"].reference_price) == ("trigger", 120.0)
    assert (exits["STOP"].fills, exits["STOP"].opportunity) == (0, 0.0)


def test_of_one_wish_in_two_orders_only_one_can_be_missed():
    """Of a one-cancels-other set that filled, the sibling lost nothing."""
    from fairlead.core.intents import one_cancels_other

    bars = [flat(100.0), (100, 100, 97, 99), flat(150.0)]
    wish = one_cancels_other(OrderIntent.limit("A", 10, 98.0), OrderIntent.limit("A", 10, 95.0))
    filled, needless = executed({0: wish}, bars).orders
    assert (filled.fills, needless.fills) == (1, 0)
    assert needless.opportunity == 0.0


def test_a_refused_order_has_no_shortfall_and_a_reason():
    """What it measured is cut off, so that equal reasons count together."""
    quality = executed({0: [OrderIntent.market("A", 10_000_000)], 1: [OrderIntent.market("B", 1)]})
    assert [(order.shortfall, order.paper_value) for order in quality.orders] == [(0.0, 0.0), (0.0, 0.0)]
    assert quality.total.reasons == {"REJECTED": {"insufficient_buying_power": 1, "unknown_symbol": 1}}
    assert (quality.total.fill_rate_orders, quality.total.fill_rate_quantity) == (0.0, 0.0)
    assert quality.total.decision_to_arrival is None


def test_what_a_thin_bar_left_unfilled_is_an_opportunity():
    """100 shares traded, a tenth may be taken: ten of thirty fill, twenty run from 100 to the close at 106."""
    bars = [flat(100.0), (100, 106, 100, 106, 100.0), flat(110.0)]
    quality = executed({0: [OrderIntent.market("A", 30)]}, bars, max_bar_participation=0.1)
    (order,) = quality.orders
    assert order.fills == 1
    assert order.opportunity == pytest.approx(20 * 6)
    assert quality.total.partly_filled == 1
    assert quality.total.fill_rate_quantity == pytest.approx(1 / 3)
    assert quality.total.fill_rate_orders == 0.0


def test_a_multiplier_scales_every_amount():
    """Of a future on fifty units."""
    from fairlead.core.instruments import Instrument

    future = Instrument(symbol="A", multiplier=50.0)
    script = {0: [OrderIntent.market("A", 1)], 1: [OrderIntent.limit("A", 1, 100.0)]}
    settings = {"execution": free(slippage=COSTS["slippage"]), "instruments": {"A": future}}
    record = run(days({"A": BARS}), Scripted(script), **settings)
    bought, missed = execution_quality(record, {"A": 50.0}).orders
    assert bought.delay == pytest.approx(2 * 50)
    assert bought.slippage == pytest.approx(0.102 * 50)
    assert missed.opportunity == pytest.approx(1 * 50)


def test_the_mid_is_used_where_a_run_knows_it():
    """Bought at 102 with the market at 101.9 / 102: half of it is the spread."""
    record = run(days({"A": BARS}), Scripted({0: [OrderIntent.market("A", 10)]}))
    known = dataclasses.replace(record.execution_prices, mid=np.array([101.95]))
    (order,) = execution_quality(dataclasses.replace(record, execution_prices=known)).orders
    assert order.against_mid == pytest.approx(Cost(0.5, 1019.5))


def test_without_the_prices_of_the_decisions_costs_are_still_known():
    """As in runs that an earlier version kept: what needs those prices is None, nothing is guessed."""
    record = run(days({"A": BARS}), Scripted({0: [OrderIntent.market("A", 10)]}), execution=free(**COSTS))
    total = execution_quality(dataclasses.replace(record, execution_prices=None)).total
    assert (total.arrival, total.typical, total.shortfall) == (None, None, None)
    assert total.costs.slippage == pytest.approx(1.02)
    assert total.time_to_fill.largest == NS_PER_DAY / NS_PER_SECOND


def test_financing_belongs_to_its_strategy():
    """Paid is a cost, received is none; a symbol has no part in it."""
    record = run(days({"A": BARS}), allocate(Scripted(), "one"), allocate(Scripted({0: [OrderIntent.market("A", 1)]}), "two"))
    charges = [FinancingCharge(0, "one", 3.0, -1.0), FinancingCharge(1, "one", 0.0, -4.0)]
    quality = execution_quality(dataclasses.replace(record, financing=charges))
    assert quality.by_strategy["one"].costs.financing == pytest.approx(2.0)
    assert quality.by_strategy["one"].costs.total == pytest.approx(2.0)
    assert quality.by_strategy["two"].costs.financing is None
    assert quality.total.costs.financing == pytest.approx(2.0)
    assert quality.by_symbol["A"].costs.financing is None


def test_a_run_without_orders_has_nothing_to_measure():
    """Everything is None or empty, and nothing divides by zero."""
    quality = executed({})
    assert quality.orders == []
    assert quality.total.costs.bps is None
    assert quality.total.shortfall is None
    assert quality.by_symbol == {}
    assert len(quality.frame()) == 0


def test_it_is_plain_data_and_a_frame(three, tmp_path: Path):
    """As JSON for other programs, and as pandas for a notebook."""
    data = json.loads(canonical_json(three.to_dict()))
    assert data["schema_version"] == "1.0"
    assert data["total"]["shortfall"]["total"] == pytest.approx(27.08999)
    assert data["by_symbol"]["A"]["reasons"] == {"EXPIRED": {"day_end": 1}}
    frame = three.frame()
    assert list(frame["symbol"]) == ["A"] * 3
    assert frame["arrival_bps"].tolist() == pytest.approx([210.2, float("nan"), 10.0], nan_ok=True)
    assert frame["shortfall"].sum() == pytest.approx(27.08999)
    assert str(frame["first_fill"].dtype) == "datetime64[ns, UTC]"
    assert frame["first_fill"].isna().tolist() == [False, True, False]
