"""Round trips at average cost."""

import pytest

from fairlead.backtest.trades import build_ledger, ledger_of
from fairlead.core.errors import DataError
from fairlead.core.fills import Fill
from fairlead.core.identity import short_hash
from fairlead.core.orders import OrderType, Side
from fairlead.core.time import NS_PER_MINUTE, format_utc
from support_records import Ask, Market, constant_market, dividend, simulate, split, weekdays


def fill(n, side, quantity, ideal, *, paid=None, commission=0.0, order=None, tag="", strategy="alpha"):
    paid = ideal if paid is None else paid
    return Fill(f"f{n}", order or f"o{n}", strategy, "AAA", side, quantity, ideal, paid, commission, n * NS_PER_MINUTE, 0, tag)


def ledger(*fills, mark=100.0, actions=(), orders=(), **kwargs):
    return build_ledger(fills, actions, orders, last_ns=1000 * NS_PER_MINUTE, last_marks={"AAA": mark}, **kwargs)


def test_a_round_trip_splits_profit_into_gross_slippage_and_commission():
    """Bought at 100 (paid 101), sold at 110 (received 109): gross 100, slippage 20, commission 3, net 77."""
    (trade,) = ledger(
        fill(1, Side.BUY, 10, 100.0, paid=101.0, commission=1.0), fill(6, Side.SELL, 10, 110.0, paid=109.0, commission=2.0)
    ).trades
    assert (trade.gross_pnl, trade.slippage_cost, trade.commission_cost, trade.net_pnl) == (100.0, 20.0, 3.0, 77.0)
    assert (trade.status, trade.side, trade.qty, trade.duration_minutes) == ("closed", Side.BUY, 10, 5.0)
    assert trade.return_frac == pytest.approx(77.0 / 1010.0)


def test_a_short_trade_earns_when_the_price_falls():
    """Sold at 50 and bought back at 40: +10 per unit, with slippage against the trader on both sides."""
    (trade,) = ledger(fill(1, Side.SELL, 5, 50.0, paid=49.9), fill(2, Side.BUY, 5, 40.0, paid=40.1)).trades
    assert trade.side is Side.SELL
    assert trade.gross_pnl == pytest.approx(50.0)
    assert trade.slippage_cost == pytest.approx(1.0)


def test_entries_average_and_partial_exits_carry_entry_commission_pro_rata():
    """100 @ 10 and 300 @ 14 average to 13; closing a quarter carries a quarter of the entry commission."""
    result = ledger(
        fill(1, Side.BUY, 100, 10.0, commission=4.0),
        fill(2, Side.BUY, 300, 14.0, commission=12.0),
        fill(3, Side.SELL, 100, 15.0, commission=1.0),
        fill(4, Side.SELL, 300, 12.0, commission=3.0),
    )
    first, second = result.closed
    assert (first.entry_price, second.entry_price) == (13.0, 13.0)
    assert (first.commission_cost, second.commission_cost) == (pytest.approx(5.0), pytest.approx(15.0))
    assert (first.net_pnl, second.net_pnl) == (pytest.approx(195.0), pytest.approx(-315.0))
    assert first.entry_ns == second.entry_ns == NS_PER_MINUTE


def test_trade_ids_are_those_of_the_domain_and_unique():
    """The first part of an entry keeps h(order_id, first entry fill ts); a second part has its own id."""
    result = ledger(fill(1, Side.BUY, 10, 1.0), fill(2, Side.SELL, 4, 1.0), fill(3, Side.SELL, 6, 1.0))
    ids = [trade.trade_id for trade in result.trades]
    assert ids[0] == short_hash("o1", format_utc(NS_PER_MINUTE))
    assert len(set(ids)) == 2


def test_crossing_zero_closes_fully_and_opens_the_rest():
    """Long 10, sell 25: 10 are closed with 10/25 of the commission, 15 are a new short from the same fill."""
    result = ledger(fill(1, Side.BUY, 10, 100.0), fill(2, Side.SELL, 25, 110.0, commission=5.0), mark=105.0)
    closed, still = result.trades
    assert (closed.qty, closed.gross_pnl, closed.commission_cost) == (10, 100.0, pytest.approx(2.0))
    assert (still.status, still.side, still.qty, still.order_id) == ("open", Side.SELL, 15, "o2")
    assert still.net_pnl == pytest.approx(15 * 5.0 - 3.0)
    assert [(leg.fill_type, leg.quantity) for leg in result.legs] == [("ENTRY", 10), ("EXIT", 10), ("ENTRY", 15)]
    assert sum(leg.commission for leg in result.legs) == 5.0


def test_a_split_scales_quantity_and_prices():
    """10 @ 100 before a 2:1 split are 20 @ 50 after; selling at 55 earns 100."""
    market = Market({"AAA": [100, 100, 50, 55, 55]}, days := weekdays("2024-01-02", 5), actions=(split("AAA", days[2], 2.0),))
    record = simulate(market, [Ask(0, "AAA", 10), Ask(2, "AAA", -20)], commission_bps=0, slippage_bps=0)
    (trade,) = ledger_of(record).trades
    assert (trade.qty, trade.entry_price, trade.gross_pnl) == (20, 50.0, 100.0)


def test_dividends_stand_beside_the_trades():
    """A dividend of 2 on 10 units is listed as 20 and is not part of net profit."""
    market = Market({"AAA": [100.0] * 5}, days := weekdays("2024-01-02", 5), actions=(dividend("AAA", days[2], 2.0),))
    result = ledger_of(simulate(market, [Ask(0, "AAA", 10), Ask(3, "AAA", -10)], commission_bps=0, slippage_bps=0))
    assert [(d.symbol, d.quantity, d.cash) for d in result.dividends] == [("AAA", 10.0, 20.0)]
    assert result.trades[0].net_pnl == 0.0
    assert result.total_pnl == 20.0


def test_multipliers_scale_profit_and_slippage():
    """A contract worth 50 per point turns a profit of 2 points into 100."""
    (trade,) = ledger(fill(1, Side.BUY, 1, 10.0, paid=10.5), fill(2, Side.SELL, 1, 12.0), multipliers={"AAA": 50.0}).trades
    assert (trade.gross_pnl, trade.slippage_cost) == (100.0, 25.0)


def test_strategies_do_not_share_positions():
    """A buy of one strategy is not closed by a sale of another."""
    result = ledger(fill(1, Side.BUY, 10, 1.0), fill(2, Side.SELL, 10, 1.0, strategy="beta"), mark=1.0)
    assert [trade.strategy for trade in result.open] == ["alpha", "beta"]
    assert result.closed == []


def test_exit_reasons_stay_in_the_closed_list():
    """A tag of the list is the reason, a stop order is a stop loss, all else is manual, and open trades have none."""
    ask = Ask(1, "AAA", -1, order_type=OrderType.STOP, price=90.0)
    by_stop = ledger_of(simulate(constant_market(), [Ask(0, "AAA", 1), ask])).trades[0]
    assert by_stop.exit_reason == "stop_loss"
    assert (
        ledger(fill(1, Side.BUY, 1, 1.0), fill(2, Side.SELL, 1, 1.0, tag="take_profit")).trades[0].exit_reason == "take_profit"
    )
    assert ledger(fill(1, Side.BUY, 1, 1.0), fill(2, Side.SELL, 1, 1.0, tag="whim")).trades[0].exit_reason == "manual"
    assert ledger(fill(1, Side.BUY, 1, 1.0)).trades[0].exit_reason == ""


def test_fractional_lots_leave_no_dust_position():
    """0.1 bought three times and 0.3 sold is flat, not a position of 5e-17."""
    result = ledger(*[fill(n, Side.BUY, 0.1, 10.0) for n in (1, 2, 3)], fill(4, Side.SELL, 0.3, 10.0))
    assert len(result.closed) == 1
    assert result.open == []


def test_an_open_position_without_a_price_is_refused():
    """There is nothing to value it at."""
    with pytest.raises(DataError, match="no last price for 'AAA', of which 1"):
        ledger(fill(1, Side.BUY, 1, 1.0), mark=float("nan"))


def test_large_holdings_on_a_fine_lot_leave_no_dust_position():
    """What bought 433,209.876 units in four parts and sold them in another order is flat."""
    bought = [123_456.789, 98_765.432, 210_987.654, 0.001]
    sold = [210_987.654, 123_456.789, 98_765.432, 0.001]
    fills = [fill(n, Side.BUY, q, 1.1) for n, q in enumerate(bought, start=1)]
    fills += [fill(n, Side.SELL, q, 1.2) for n, q in enumerate(sold, start=5)]
    result = ledger(*fills)
    assert result.open == []
    assert sum(trade.qty for trade in result.closed) == pytest.approx(sum(bought), rel=1e-12)
