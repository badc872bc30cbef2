"""The simulated venue, step by step: eligibility, liquidity, times in force, costs, splits."""

from __future__ import annotations

import datetime as dt

import pytest

from fairlead.core.errors import UnknownName
from fairlead.core.instruments import Instrument
from fairlead.core.orders import OrderStatus, TimeInForce
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND, to_ns
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.latency import LatencySettings
from fairlead.execution.slippage import SlippageSettings
from support_sessions import Venue, days, dividend, flat, free, minutes, split, steady

S = OrderStatus
DAY, GTC, IOC, FOK, GTD = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTD


def quantities(fills):
    return [fill.quantity for fill in fills]


# --- eligibility


def test_an_order_never_meets_the_bar_it_was_decided_on():
    venue = Venue(minutes({"A": steady(3, 10, 1)}))
    venue.submit("A", 5)
    assert venue.again() == []
    assert venue.statuses == ["SUBMITTED"]
    (fill,) = venue.step()
    assert (fill.price, fill.ts_ns, fill.bar_ns) == (11.0, venue.block.known_ns[1], venue.block.label_ns[1])


@pytest.mark.parametrize(("delay_ms", "row"), [(0, 1), (10, 1), (60_000, 1), (60_001, 2), (120_000, 2), (150_000, 3)])
def test_an_order_fills_in_the_first_bar_known_once_it_has_arrived(delay_ms, row):
    venue = Venue(minutes({"A": steady(5)}), free(latency=LatencySettings(mean_ms=delay_ms, std_ms=0)))
    venue.submit("A", 5)
    venue.step(row - 1)
    assert venue.fills == []
    assert len(venue.step()) == 1


def test_the_acknowledgement_bears_the_instant_of_arrival():
    venue = Venue(minutes({"A": steady(3)}), free(latency=LatencySettings(mean_ms=1_500, std_ms=0)))
    order = venue.submit("A", 5)
    venue.step()
    times = [(str(update.status), update.ts_ns - order.created_ns) for _, update, _ in venue.heard]
    assert times == [("SUBMITTED", 0), ("ACKNOWLEDGED", 1.5 * NS_PER_SECOND), ("FILLED", NS_PER_MINUTE)]


def test_a_symbol_without_a_bar_fills_nothing():
    venue = Venue(minutes({"A": [flat(10), None, flat(12)], "B": steady(3)}))
    venue.submit("A", 5)
    assert venue.step() == []
    assert [f.price for f in venue.step()] == [12.0]


def test_an_immediate_order_waits_for_the_first_bar_there_is():
    venue = Venue(minutes({"A": [flat(10), None, flat(12)], "B": steady(3)}))
    order = venue.submit("A", 5, time_in_force=FOK)
    venue.step()
    assert order.status is S.ACKNOWLEDGED
    venue.step()
    assert order.status is S.FILLED


# --- liquidity


def test_a_share_of_the_volume_and_the_rest_keeps_working():
    """25 at 10 % of 100: ten, ten, five."""
    venue = Venue(minutes({"A": [flat(10 + i, 100) for i in range(6)]}), free(max_bar_participation=0.1))
    order = venue.submit("A", 25)
    assert [(f.quantity, f.price) for f in venue.step(4)] == [(10, 11), (10, 12), (5, 13)]
    assert venue.statuses == ["SUBMITTED", "ACKNOWLEDGED", "PARTIALLY_FILLED", "PARTIALLY_FILLED", "FILLED"]
    assert (order.filled_quantity, order.average_price) == (25, pytest.approx((110 + 120 + 65) / 25))
    assert order.order_id not in venue.execution.working


def test_the_share_is_rounded_down_to_the_lot():
    venue = Venue(minutes({"A": [flat(10, 19)] * 3}), free(max_bar_participation=0.1))
    venue.submit("A", 5)
    assert quantities(venue.step(2)) == [1, 1]


def test_the_lot_is_the_instruments():
    """10 % of 19.99 in lots of 0.5 is 1.5."""
    lots = {"A": Instrument(symbol="A", lot_step=0.5, min_quantity=0.5)}
    venue = Venue(minutes({"A": [flat(10, 19.99)] * 3}), free(max_bar_participation=0.1), lots)
    venue.submit("A", 2.5)
    assert quantities(venue.step(2)) == [1.5, 1.0]


def test_liquidity_is_used_once_by_orders_of_any_strategy_and_side():
    venue = Venue(minutes({"A": [flat(10, 100)] * 4}), free(max_bar_participation=0.1))
    venue.submit("A", 6, strategy="alpha")
    venue.submit("A", -6, strategy="beta")
    venue.submit("A", 6, strategy="alpha")
    assert [(f.strategy, f.quantity) for f in venue.step()] == [("alpha", 6), ("beta", 4)]
    assert [(f.strategy, f.quantity) for f in venue.step()] == [("beta", 2), ("alpha", 6)]


def test_symbols_do_not_share_liquidity():
    venue = Venue(minutes({"A": [flat(10, 100)] * 3, "B": [flat(10, 50)] * 3}), free(max_bar_participation=0.1))
    venue.submit("A", 20)
    venue.submit("B", 20)
    assert [(f.symbol, f.quantity) for f in venue.step()] == [("A", 10), ("B", 5)]


@pytest.mark.parametrize("slippage", ["none", "fixed", "volume_based"])
def test_a_bar_without_volume_fills_nothing(slippage):
    venue = Venue(minutes({"A": [flat(10), flat(10, 0), flat(10)]}), free(slippage=SlippageSettings(model=slippage)))
    order = venue.submit("A", 5)
    assert venue.step() == []
    assert order.status is S.ACKNOWLEDGED
    assert quantities(venue.step()) == [5]


# --- order within a bar


def test_the_stop_comes_before_the_target_in_one_bar():
    """The bar reaches both; liquidity for one: the loss is taken, although the target is older."""
    venue = Venue(minutes({"A": [flat(10), (10, 12, 8, 10, 100)]}), free(max_bar_participation=0.1))
    venue.submit("A", -10, limit_price=11.0)
    venue.submit("A", -10, stop_price=9.0)
    assert [(f.price, f.quantity) for f in venue.step()] == [(9.0, 10)]


def test_opens_come_before_stops_and_stops_before_limits():
    venue = Venue(minutes({"A": [flat(10), (10, 12, 8, 10)]}))
    venue.submit("A", -1, limit_price=11.0)
    venue.submit("A", -2, stop_price=9.0)
    venue.submit("A", 3)
    venue.submit("A", -4, limit_price=9.5)  # the bar opens beyond it
    assert quantities(venue.step()) == [3, 4, 2, 1]


def test_of_equals_the_older_is_first():
    venue = Venue(minutes({"A": [flat(10), flat(10), (10, 11, 8, 10, 60)]}), free(max_bar_participation=0.1))
    late_price = venue.submit("A", 5, limit_price=8.5)
    venue.step()
    better_price = venue.submit("A", 5, limit_price=9.5)
    venue.step()
    assert (late_price.filled_quantity, better_price.filled_quantity) == (5, 1)


def test_working_orders_stand_in_order_of_age():
    venue = Venue(minutes({"A": [flat(10, 100)] * 4}), free(max_bar_participation=0.01))
    orders = [venue.submit("A", 2) for _ in range(3)]
    venue.step()
    assert list(venue.execution.working) == [o.order_id for o in orders]


# --- times in force


def test_ioc_takes_what_there_is_and_ends():
    venue = Venue(minutes({"A": [flat(10, 100)] * 3}), free(max_bar_participation=0.1))
    order = venue.submit("A", 15, time_in_force=IOC)
    assert quantities(venue.step(2)) == [10]
    assert (order.status, order.reason, order.filled_quantity) == (S.CANCELLED, "ioc_remainder", 10)


def test_ioc_that_is_filled_is_just_filled():
    venue = Venue(minutes({"A": steady(3)}))
    order = venue.submit("A", 15, time_in_force=IOC)
    venue.step()
    assert (order.status, order.reason) == (S.FILLED, "")


def test_ioc_in_a_bar_without_volume_ends():
    venue = Venue(minutes({"A": [flat(10, 0)] * 3}))
    order = venue.submit("A", 15, time_in_force=IOC)
    venue.step()
    assert (order.status, order.reason) == (S.CANCELLED, "ioc_remainder")


@pytest.mark.parametrize("tif", [IOC, FOK])
@pytest.mark.parametrize("prices", [{"limit_price": 9.0}, {"stop_price": 11.0}, {"stop_price": 9.5, "limit_price": 9.6}])
def test_an_immediate_order_that_the_first_bar_does_not_fill_ends(tif, prices):
    """The stop-limit is triggered, but a gap beyond its limit is no fill."""
    venue = Venue(minutes({"A": [flat(10), flat(10), flat(5), flat(20)]}))
    order = venue.submit("A", 15, time_in_force=tif, **prices)
    venue.step(3)
    assert (order.status, order.reason, order.filled_quantity) == (S.CANCELLED, "not_marketable", 0)


@pytest.mark.parametrize(("quantity", "status", "reason"), [(10, S.FILLED, ""), (11, S.CANCELLED, "fok_not_filled")])
def test_fok_is_all_or_nothing_in_its_first_bar(quantity, status, reason):
    venue = Venue(minutes({"A": [flat(10, 100)] * 3}), free(max_bar_participation=0.1))
    order = venue.submit("A", quantity, time_in_force=FOK)
    venue.step(2)
    assert (order.status, order.reason) == (status, reason)
    assert sum(quantities(venue.fills)) == (10 if status is S.FILLED else 0)


def test_fok_sees_what_older_orders_have_taken_and_takes_nothing_itself():
    venue = Venue(minutes({"A": [flat(10, 100)] * 3}), free(max_bar_participation=0.1))
    venue.submit("A", 5)
    fok = venue.submit("A", 6, time_in_force=FOK)
    last = venue.submit("A", 5)
    venue.step()
    assert (fok.status, last.status) == (S.CANCELLED, S.FILLED)


def test_a_day_order_ends_with_the_session_of_its_first_bar():
    """Sessions of three bars; decided on the second bar, so it has one bar left."""
    venue = Venue(minutes({"A": steady(9)}, per_session=3))
    venue.row = 1
    order = venue.submit("A", 5, limit_price=90.0, time_in_force=DAY)
    venue.step()
    assert order.status is S.ACKNOWLEDGED
    venue.step()
    assert (order.status, order.reason) == (S.EXPIRED, "day_end")
    assert venue.heard[-1][1].ts_ns == venue.block.known_ns[3]


def test_a_day_order_does_not_meet_the_first_bar_of_the_next_session():
    venue = Venue(minutes({"A": [flat(100), flat(100), flat(50), flat(50)]}, per_session=2))
    venue.submit("A", 5, limit_price=90.0, time_in_force=DAY)
    assert venue.step(3) == []


def test_a_day_order_decided_on_a_sessions_last_bar_works_through_the_next_session():
    venue = Venue(minutes({"A": [flat(100)] * 5 + [flat(80)] + [flat(80)] * 3}, per_session=3))
    venue.row = 2
    order = venue.submit("A", 5, limit_price=90.0, time_in_force=DAY)
    assert [f.ts_ns for f in venue.step(3)] == [venue.block.known_ns[5]]
    assert order.status is S.FILLED


def test_a_day_order_decided_on_a_sessions_last_bar_ends_with_the_next_session():
    venue = Venue(minutes({"A": steady(9)}, per_session=3))
    venue.row = 2
    order = venue.submit("A", 5, limit_price=90.0, time_in_force=DAY)
    venue.step(3)
    assert order.status is S.ACKNOWLEDGED
    venue.step()
    assert order.status is S.EXPIRED


def test_a_day_order_still_on_its_way_at_the_close_belongs_to_the_next_session():
    """Ninety seconds of delay carry it over the close."""
    venue = Venue(minutes({"A": steady(6)}, per_session=2), free(latency=LatencySettings(mean_ms=90_000, std_ms=0)))
    order = venue.submit("A", 5, limit_price=90.0, time_in_force=DAY)
    venue.step(3)
    assert order.status is S.ACKNOWLEDGED
    venue.step()
    assert order.status is S.EXPIRED


def test_the_rest_of_a_partly_filled_day_order_expires():
    venue = Venue(minutes({"A": [flat(10, 100)] * 4}, per_session=2), free(max_bar_participation=0.1))
    order = venue.submit("A", 25, time_in_force=DAY)
    venue.step(3)
    assert (order.status, order.filled_quantity) == (S.EXPIRED, 10)


def test_on_daily_bars_a_day_order_has_one_bar_and_is_over_at_its_close():
    """Else the strategy would decide at that close as if the order were still under way."""
    venue = Venue(days({"A": steady(4)}), one_bar_sessions=True)
    order = venue.submit("A", 5, limit_price=90.0, time_in_force=DAY)
    gtc = venue.submit("A", 5, limit_price=90.0)
    venue.step()
    assert (order.status, order.reason) == (S.EXPIRED, "day_end")
    assert venue.heard[-1][1].ts_ns == venue.block.known_ns[1]
    assert gtc.status is S.ACKNOWLEDGED


def test_on_daily_bars_the_last_of_several_days_ends_all_of_their_orders():
    venue = Venue(days({"A": [flat(100, 10)] * 4}), free(max_bar_participation=0.1), one_bar_sessions=True)
    orders = [venue.submit("A", 5, time_in_force=DAY) for _ in range(3)]
    venue.step()
    assert [(o.status, o.filled_quantity) for o in orders] == [(S.EXPIRED, 1), (S.EXPIRED, 0), (S.EXPIRED, 0)]
    assert venue.execution.working == {}


def test_gtc_works_until_it_is_filled():
    venue = Venue(minutes({"A": [*steady(8), flat(80)]}, per_session=2))
    order = venue.submit("A", 5, limit_price=90.0, time_in_force=GTC)
    venue.step(7)
    assert order.status is S.ACKNOWLEDGED
    venue.step()
    assert order.status is S.FILLED


def test_gtd_may_fill_in_a_bar_known_at_its_last_instant_and_not_later():
    rows = [flat(100), flat(100), flat(100), flat(80)]
    for minutes_left, status in [(2, S.EXPIRED), (3, S.FILLED)]:
        venue = Venue(minutes({"A": rows}))
        until = int(venue.block.known_ns[0]) + minutes_left * NS_PER_MINUTE
        order = venue.submit("A", 5, limit_price=90.0, time_in_force=GTD, expires_ns=until)
        venue.step(3)
        assert order.status is status
    assert venue.heard[-1][1].ts_ns == until


def test_gtd_of_yesterday_expires_at_once():
    venue = Venue(minutes({"A": steady(3)}))
    order = venue.submit("A", 5, time_in_force=GTD, expires_ns=to_ns(dt.datetime(2020, 1, 1, tzinfo=dt.UTC)))
    venue.step()
    assert (order.status, order.reason, venue.fills) == (S.EXPIRED, "expired", [])


# --- cancels


def test_a_cancelled_order_is_out():
    venue = Venue(minutes({"A": steady(3)}))
    order = venue.submit("A", 5)
    venue.execution.cancel(order.order_id, 77)
    assert venue.step() == []
    assert (order.status, order.reason, venue.heard[-1][1].ts_ns) == (S.CANCELLED, "cancelled_by_strategy", 77)


def test_what_is_not_working_cannot_be_cancelled():
    venue = Venue(minutes({"A": steady(3)}))
    order = venue.submit("A", 5)
    venue.step()
    with pytest.raises(UnknownName, match=r"no working order named 'o1'.*It may have been filled already"):
        venue.execution.cancel(order.order_id, 0)


def test_what_hearing_of_a_fill_takes_back_is_not_filled_in_the_same_bar():
    """A strategy that fails on its first fill has its other orders taken back while the bar is being served."""

    def take_back(order, update, fill):
        if fill is not None and order.order_id == "o1":
            venue.execution.cancel("o2", 0)

    venue = Venue(minutes({"A": steady(3)}), on_hear=take_back)
    venue.submit("A", 5)
    second = venue.submit("A", 5)
    third = venue.submit("A", 5)
    assert len(venue.step()) == 2
    assert (second.status, third.status) == (S.CANCELLED, S.FILLED)


def test_what_hearing_of_an_expiry_takes_back_is_left_alone():
    def take_back(order, update, fill):
        if update.status is S.EXPIRED:
            for other in list(venue.execution.working):
                venue.execution.cancel(other, 0)

    venue = Venue(days({"A": steady(3)}), on_hear=take_back, one_bar_sessions=True)
    orders = [venue.submit("A", 5, limit_price=90.0, time_in_force=DAY) for _ in range(3)]
    venue.step()
    assert [o.status for o in orders] == [S.EXPIRED, S.CANCELLED, S.CANCELLED]


# --- costs


def test_slippage_is_always_adverse_and_the_ideal_price_is_kept():
    venue = Venue(minutes({"A": steady(3)}), free(slippage=SlippageSettings(model="fixed", params={"bps": 10})))
    venue.submit("A", 5)
    venue.submit("A", -5)
    assert [(f.price_ideal, f.price) for f in venue.step()] == [(100, pytest.approx(100.1)), (100, pytest.approx(99.9))]


def test_volume_slippage_counts_what_is_executed_in_the_bar():
    """20 of 100: 5 bps + 0.1 * 0.1 on each part."""
    settings = free(slippage=SlippageSettings(model="volume_based"), max_bar_participation=0.1)
    venue = Venue(minutes({"A": [flat(100, 100)] * 4}), settings)
    venue.submit("A", 20)
    assert [f.price for f in venue.step(2)] == [pytest.approx(101.05)] * 2


@pytest.mark.parametrize(("charged", "price"), [(True, 90 * 1.001), (False, 90.0)])
def test_slippage_on_limits_is_an_option(charged, price):
    settings = free(slippage=SlippageSettings(model="fixed", params={"bps": 10}), slippage_on_limits=charged)
    venue = Venue(minutes({"A": [flat(100), (100, 100, 80, 90)]}), settings)
    venue.submit("A", 5, limit_price=90.0)
    assert [f.price for f in venue.step()] == [pytest.approx(price, rel=1e-12)]


def test_the_option_covers_stop_limits_and_nothing_else():
    settings = free(slippage=SlippageSettings(model="fixed", params={"bps": 10}), slippage_on_limits=False)
    venue = Venue(minutes({"A": [flat(100), (101, 103, 99, 100)]}), settings)
    venue.submit("A", 1, stop_price=100.5, limit_price=102.0)
    venue.submit("A", 1)
    venue.submit("A", 1, stop_price=102.5)
    assert [f.price for f in venue.step()] == pytest.approx([101, 101 * 1.001, 102.5 * 1.001], rel=1e-12)


def test_no_slippage_makes_a_price_negative():
    """Ten times the participation is more than the whole price: a sale is worth nothing at worst."""
    model = SlippageSettings(model="volume_based", params={"volume_factor": 10})
    commission = CommissionSettings(model="bps")
    venue = Venue(minutes({"A": [flat(100, 10)] * 3}), free(slippage=model, commission=commission))
    venue.submit("A", -10)
    (fill,) = venue.step()
    assert (fill.price, fill.commission) == (0.0, 0.0)


def test_commission_minimums_hold_per_order():
    commission = CommissionSettings(model="per_share")
    venue = Venue(minutes({"A": [flat(100, 100)] * 4}), free(commission=commission, max_bar_participation=1.0))
    order = venue.submit("A", 250)
    assert [f.commission for f in venue.step(3)] == pytest.approx([1.0, 0.0, 0.25])
    assert order.commission == pytest.approx(1.25)


def test_commission_is_on_the_price_paid_times_the_multiplier():
    options = {"A": Instrument(symbol="A", multiplier=100)}
    settings = free(
        slippage=SlippageSettings(model="fixed", params={"bps": 100}),
        commission=CommissionSettings(model="bps", params={"bps": 10}),
    )
    venue = Venue(minutes({"A": steady(3)}), settings, options)
    venue.submit("A", 2)
    assert [f.commission for f in venue.step()] == pytest.approx([2 * 101 * 100 * 0.001])


def test_fills_of_one_order_have_names_of_their_own():
    venue = Venue(minutes({"A": [flat(10, 100)] * 6}), free(max_bar_participation=0.1))
    venue.submit("A", 30, tag="why")
    fills = venue.step(4)
    assert len({f.fill_id for f in fills}) == 3
    assert {(f.order_id, f.tag) for f in fills} == {("o1", "why")}


# --- splits


def test_a_split_scales_resting_orders():
    """Two for one: twice the shares, half the price; on the tick, away from a better fill."""
    venue = Venue(minutes({"A": [flat(100), flat(50), (50, 51, 44, 50)], "B": steady(3)}))
    limit = venue.submit("A", 10, limit_price=90.01)
    sell = venue.submit("A", -10, limit_price=110.01)
    stop = venue.submit("A", 10, stop_price=110.01)
    other = venue.submit("B", 10, limit_price=90.01)
    venue.execution.apply_action(split("A", 0, 2.0), 5)
    assert (limit.quantity, limit.limit_price) == (20, 45.0)
    assert (sell.quantity, sell.limit_price) == (20, 55.01)
    assert (stop.quantity, stop.stop_price) == (20, 55.01)
    assert (other.quantity, other.limit_price) == (10, 90.01)
    assert [(f.quantity, f.price) for f in venue.step(2)] == [(20, 45.0)]


def test_a_split_rounds_the_remaining_quantity_down():
    venue = Venue(minutes({"A": steady(3)}))
    order = venue.submit("A", 101, limit_price=50.0)
    venue.execution.apply_action(split("A", 0, 1.5), 5)
    assert order.quantity == 151


def test_a_reverse_split_of_a_partly_filled_order_never_leaves_more_than_it_meant():
    """95 of which 8 were sold: 87 old shares are 8.7 new ones, so 8 are left to sell, not 9."""
    venue = Venue(minutes({"A": [flat(10, 8), flat(10, 8), flat(100)]}))
    order = venue.submit("A", -95)
    venue.step()
    venue.execution.apply_action(split("A", 0, 0.1), 5)
    assert order.remaining == pytest.approx(8, abs=1e-12)
    assert order.filled_quantity == pytest.approx(0.8)
    assert order.average_price == pytest.approx(100.0)
    venue.step()
    assert order.status is S.FILLED
    assert sum(f.quantity for f in venue.fills[1:]) == pytest.approx(8)


def test_a_reverse_split_that_leaves_no_whole_lot_ends_the_order():
    venue = Venue(minutes({"A": steady(3)}))
    order = venue.submit("A", 9, limit_price=50.0)
    venue.execution.apply_action(split("A", 0, 0.1), 5)
    assert (order.status, order.reason) == (S.CANCELLED, "nothing_left_after_split")


def test_a_split_leaves_alone_what_hearing_of_it_took_back():
    def take_back(order, update, fill):
        if update.reason == "nothing_left_after_split":
            for other in list(venue.execution.working):
                venue.execution.cancel(other, 0)

    venue = Venue(minutes({"A": steady(3)}), on_hear=take_back)
    orders = [venue.submit("A", 9, limit_price=50.0) for _ in range(3)]
    venue.execution.apply_action(split("A", 0, 0.1), 5)
    assert [(o.quantity, o.reason) for o in orders[1:]] == [(9, "cancelled_by_strategy")] * 2


def test_a_dividend_leaves_orders_alone():
    venue = Venue(minutes({"A": steady(3)}))
    order = venue.submit("A", 10, limit_price=90.0)
    venue.execution.apply_action(dividend("A", 0, 1.0), 5)
    assert (order.quantity, order.limit_price) == (10, 90.0)


@pytest.mark.parametrize("ratio", [2.0, 0.1])
def test_a_split_does_not_change_what_was_charged_per_share(ratio):
    """1000 shares paid 5.00 before the split; what follows pays for itself alone, not for the old shares counted anew."""
    commission = CommissionSettings(model="per_share", params={"per_share": 0.005, "minimum": 1.0, "max_frac": 1.0})
    bars = [flat(10), flat(10, 1000), flat(10, 500), flat(10, 500)]
    venue = Venue(minutes({"A": bars}), free(commission=commission))
    order = venue.submit("A", 11_000)
    venue.step()
    venue.execution.apply_action(split("A", 0, ratio), 5)
    venue.step(2)
    assert [f.quantity for f in venue.fills] == [1000, 500, 500]
    assert [f.commission for f in venue.fills] == pytest.approx([5.0, 2.5, 2.5])
    assert order.commission == pytest.approx(10.0)
