"""Rows of the run's files."""

import csv
import io
import re

import pytest

from fairlead.backtest.tables import (
    FILL_COLUMNS,
    OUTCOME_COLUMNS,
    TRADE_COLUMNS,
    Tables,
    number,
    quantity_text,
    to_csv,
)
from fairlead.backtest.trades import ledger_of
from fairlead.contracts.orders import ORDER_COLUMNS
from fairlead.core.instruments import Instrument
from fairlead.core.orders import OrderStatus, OrderType, TimeInForce
from fairlead.core.time import NS_PER_DAY
from support_records import Ask, constant_market, info_for, simulate

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def tables(record, instruments=None, **info):
    return Tables(record, info_for(record, **info), ledger_of(record), instruments or {})


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (1e-7, "0.0000001"), (1e22, "10000000000000000000000"), (0.1, "0.1"), (-3.0, "-3.0")]
)
def test_numbers_have_no_exponent_and_null_is_empty(value, text):
    """Domain rule 4.4."""
    assert number(value) == text


def test_quantities_are_multiples_of_the_lot_unless_a_split_broke_the_grid():
    """100 of lot 1 is 100; 0.3 of lot 0.1 is 0.3; 7.5 of lot 1 stays what it is."""
    assert quantity_text(Instrument(symbol="AAA"), 100.0) == "100"
    assert quantity_text(Instrument(symbol="AAA", lot_step=0.1), 0.1 + 0.2) == "0.3"
    assert quantity_text(Instrument(symbol="AAA"), 7.5) == "7.5"


def test_orders_have_the_canonical_columns_then_the_outcome():
    """21 columns of domain rule 4.1 in order, then status, filled_qty, avg_price, reason, tag."""
    record = simulate(constant_market(), [Ask(0, "AAA", 100, tag="entry")])
    text = to_csv(ORDER_COLUMNS + OUTCOME_COLUMNS, tables(record).orders())
    assert len(ORDER_COLUMNS) == 21
    assert text.splitlines()[0] == (
        "order_id,idempotency_key,oco_id,run_id,symbol,side,qty,limit_price,stop_price,take_profit_price,valid_from,valid_to,"
        "session,time_in_force,source,strategy,strategy_version,order_type,stop_loss_price,created_at,schema_version,"
        "status,filled_qty,avg_price,reason,tag"
    )
    (row,) = csv.DictReader(io.StringIO(text))
    expected = {"symbol": "AAA", "side": "BUY", "qty": "100", "limit_price": "", "session": "RTH", "time_in_force": "DAY"}
    expected |= {"source": "backtest", "strategy_version": "1.0.0", "order_type": "MARKET", "schema_version": "1.0"}
    expected |= {"status": "FILLED", "filled_qty": "100", "avg_price": "100.02", "tag": "entry", "run_id": record.run_id}
    assert {key: row[key] for key in expected} == expected
    assert row["valid_from"] < row["valid_to"]
    assert all(STAMP.fullmatch(row[key]) for key in ("valid_from", "valid_to", "created_at"))


def test_prices_are_exact_multiples_of_the_tick():
    """0.1 + 0.2 leaves as 0.30, a quarter-tick future as 10.25."""
    ask = Ask(0, "AAA", 10, order_type=OrderType.LIMIT, price=10.1 + 0.2, ends=OrderStatus.EXPIRED)
    (row,) = tables(simulate(constant_market(), [ask])).orders()
    assert row["limit_price"] == "10.30"
    stop = Ask(0, "AAA", 10, order_type=OrderType.STOP, price=10.25)
    (row,) = tables(simulate(constant_market(), [stop]), {"AAA": Instrument(symbol="AAA", tick_size=0.25)}).orders()
    assert (row["stop_price"], row["limit_price"]) == ("10.25", "")


def test_validity_ends_with_the_session_the_expiry_or_never():
    """DAY after its session's close, GTC without end, GTD as GTC until its expiry, unknown session after a day."""
    record = simulate(constant_market(), [Ask(0, "AAA", 1), Ask(0, "AAA", 1), Ask(0, "AAA", 1), Ask(0, "AAA", 1)])
    _, gtc, gtd, lost = record.orders
    gtc.time_in_force = TimeInForce.GTC
    gtd.time_in_force, gtd.expires_ns = TimeInForce.GTD, gtd.arrives_ns + NS_PER_DAY // 2
    lost.day_session = None
    rows = list(tables(record).orders())
    assert rows[0]["valid_to"] == "2020-01-03T21:00:01.000000Z"
    assert rows[1]["valid_to"] == "2200-01-01T00:00:00.000000Z"
    assert (rows[2]["valid_to"], rows[2]["time_in_force"]) == ("2020-01-03T09:00:00.000000Z", "GTC")
    assert rows[3]["valid_to"] == "2020-01-03T21:00:00.000000Z"
    assert all(row["valid_to"] > row["valid_from"] for row in rows)


def test_filled_orders_list_entries_exits_and_refusals_in_time():
    """A crossing fill is an exit and an entry; expired and rejected orders have rows of their own."""
    asks = [
        Ask(0, "AAA", 10),
        Ask(1, "AAA", -25),
        Ask(2, "AAA", 5, ends=OrderStatus.REJECTED, reason="position_limit"),
        Ask(3, "AAA", 5, order_type=OrderType.LIMIT, price=1.0, ends=OrderStatus.EXPIRED),
        Ask(4, "AAA", 5, ends=OrderStatus.CANCELLED, parts=5, reason="by_strategy"),
    ]
    record = simulate(constant_market(), asks)
    rows = list(tables(record).fills())
    assert [row["fill_type"] for row in rows] == [
        "ENTRY",
        "EXIT",
        "ENTRY",
        "REJECT",
        "CANCEL",
        "EXIT",
        "EXIT",
        "EXIT",
        "EXIT",
        "CANCEL",
    ]
    assert [row["qty"] for row in rows] == ["10", "10", "15", "5", "5", "1", "1", "1", "1", "1"]
    assert rows[1]["fill_id"] == rows[2]["fill_id"] != ""
    assert (rows[3]["reason"], rows[4]["reason"], rows[9]["reason"]) == ("position_limit", "expired", "by_strategy")
    assert [row["fill_ts"] for row in rows] == sorted(row["fill_ts"] for row in rows)
    assert all(set(row) == set(FILL_COLUMNS) for row in rows)


def test_trades_reference_their_fills():
    """An entry row carries the id of the first trade that it opens."""
    record = simulate(constant_market(), [Ask(0, "AAA", 10), Ask(1, "AAA", -10)])
    maker = tables(record, bar_size="1d")
    (trade,) = maker.trades()
    assert {row["trade_id"] for row in maker.fills()} == {trade["trade_id"]}
    assert tuple(trade) == TRADE_COLUMNS
    assert (trade["signal_tf"], trade["exec_tf"], trade["status"], trade["exit_reason"]) == ("1d", "1d", "closed", "manual")
    assert (trade["evidence_status"], trade["evidence_codes"]) == ("PASS", "ORDER_VALIDITY_OK")


def test_a_fill_before_its_order_is_evidence_of_lookahead():
    """A record in which a fill precedes the decision fails."""
    record = simulate(constant_market(), [Ask(0, "AAA", 10)])
    record.fills[0] = record.fills[0]._replace(ts_ns=record.orders[0].created_ns - 1)
    (trade,) = tables(record).trades()
    assert trade["evidence_status"] == "FAIL"
    assert trade["evidence_codes"] == "ORDER_VALIDITY_VIOLATION;LOOKAHEAD_SUSPECTED"


def test_slippage_of_a_fill_is_in_currency_like_its_commission():
    """One contract is worth a hundred times its price: the rows add up to the trades' slippage."""
    record = simulate(constant_market(), [Ask(0, "AAA", 10), Ask(1, "AAA", -10)])
    instruments = {"AAA": Instrument(symbol="AAA", multiplier=100.0)}
    ledger = ledger_of(record, {"AAA": 100.0})
    rows = Tables(record, info_for(record), ledger, instruments).fills()
    assert sum(float(row["slippage"]) for row in rows) == pytest.approx(sum(t.slippage_cost for t in ledger.trades), rel=1e-9)
    assert ledger.trades[0].slippage_cost > 0
