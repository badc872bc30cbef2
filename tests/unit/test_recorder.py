"""The recorder: each event with its stage, every instant shown once, and nothing to pay for a run without it."""

import dataclasses

import pyarrow.parquet as pq
import pytest

from fairlead.backtest.eventrows import BAR, EVENT_SCHEMA, MID, event_rows
from fairlead.backtest.eventtext import EventWords, first_difference
from fairlead.backtest.recordfile import read_events, read_record, record_facts, write_record
from fairlead.core.bars import Cursor, prelude
from fairlead.core.fills import Fill
from fairlead.core.intents import CancelIntent, OrderIntent, ReplaceIntent
from fairlead.core.orders import OrderUpdate
from fairlead.engine.clock import ClockSettings, HistoricalClock
from fairlead.engine.record import AppliedAction
from fairlead.engine.session import run_session
from support_sessions import Scripted, allocate, days, dividend, flat, free, plan, run, split, steady

BARS = [flat(100.0), flat(101.0), flat(51.0), flat(52.0)]


def cancel_all(strategy, context):
    return [CancelIntent(order.order_id) for order in context.open_orders]


SCRIPT = {
    0: [OrderIntent.market("A", 10)],
    1: [dataclasses.replace(OrderIntent.limit("A", 4, 90.0), time_in_force="GTC")],
    3: cancel_all,
}


@pytest.fixture(scope="module")
def recorded():
    """A market order, a split that meets position and resting order, a dividend, and a cancel."""
    return run(days({"A": BARS}, actions=[split("A", 2, 2.0), dividend("A", 3, 0.5)]), Scripted(SCRIPT), record=True)


def names(record):
    """Instant number, stage and what happened, in short."""
    stamps = record.account.ts_ns.tolist()
    words = []
    for event in record.events:
        fact = event.fact
        text = fact.status.value if isinstance(fact, OrderUpdate) else type(fact).__name__
        words.append((stamps.index(event.instant_ns), event.stage.name, text))
    return words


def test_every_event_has_its_instant_and_its_stage(recorded):
    """What happened, told as the loop went through it: wishes before orders, a fill before the status it brought."""
    assert names(recorded) == [
        (0, "ORDERS", "OrderIntent"),
        (0, "ORDERS", "SUBMITTED"),
        (1, "EXECUTION", "ACKNOWLEDGED"),
        (1, "EXECUTION", "Fill"),
        (1, "EXECUTION", "FILLED"),
        (1, "ORDERS", "OrderIntent"),
        (1, "ORDERS", "SUBMITTED"),
        (2, "CORPORATE_ACTIONS", "CorporateAction"),
        (2, "CORPORATE_ACTIONS", "AppliedAction"),
        (2, "EXECUTION", "ACKNOWLEDGED"),
        (3, "CORPORATE_ACTIONS", "CorporateAction"),
        (3, "CORPORATE_ACTIONS", "AppliedAction"),
        (3, "ORDERS", "CancelIntent"),
        (3, "ORDERS", "CANCELLED"),
    ]
    owners = {event.strategy for event in recorded.events if isinstance(event.fact, Fill | OrderUpdate | AppliedAction)}
    assert owners == {"alpha"}


def test_what_the_end_of_the_run_takes_back_comes_last():
    """An order that still rests is cancelled after the last instant."""
    record = run(days({"A": BARS[:2]}), Scripted({1: [OrderIntent.limit("A", 1, 50.0)]}), record=True)
    assert names(record)[-1] == (1, "RECORD", "CANCELLED")


def test_what_a_failing_strategy_leaves_belongs_to_its_own_stage():
    """Its orders are taken back in the stage in which it failed."""

    class Failing(Scripted):
        def on_market_event(self, event, context):
            if self.instant == 1:
                raise ValueError("no idea")

    script = {0: [dataclasses.replace(OrderIntent.limit("A", 1, 50.0), time_in_force="GTC")]}
    record = run(days({"A": BARS}), Failing(script), record=True)
    assert (2, "MARKET", "CANCELLED") in names(record)


def test_a_margin_call_is_the_doing_of_the_monitors():
    """It comes after the fills of an instant and before its strategies decide."""
    bars = [flat(100.0), flat(100.0), flat(160.0), flat(160.0)]
    allocation = allocate(Scripted({0: [OrderIntent.market("A", -100)]}), capital=10_000.0)
    record = run(days({"A": bars}), allocation, execution=free(account={"type": "reg_t"}), record=True)
    assert record.fills[1].tag == "margin_call"
    assert (2, "MONITORS", "SUBMITTED") in names(record)


def test_a_watcher_sees_every_instant_once_and_the_end_if_it_brought_something():
    """With the bars, the events and the ledgers as they are after the instant; blocks make no difference."""
    source = days({"A": steady(5, 100.0, 1.0)}, rows=2)
    script = {1: [OrderIntent.market("A", 10)], 4: [OrderIntent.limit("A", 1, 50.0)]}
    seen = []

    def watch(instant):
        equity = instant.ledgers["alpha"].equity
        held = instant.ledgers["alpha"].quantity("A")
        seen.append((next(iter(instant.bars)).close, len(instant.events), held, equity, instant.is_end))

    record = run_session(plan(source, Scripted(script)), watch=watch)
    assert [row[0] for row in seen] == [100.0, 101.0, 102.0, 103.0, 104.0, 104.0]
    assert [row[1] for row in seen] == [0, 2, 3, 0, 2, 1]
    assert [row[2] for row in seen] == [0, 0, 10, 10, 10, 10]
    assert [row[3] for row in seen[:5]] == record.account.equity.tolist()
    assert [row[4] for row in seen] == [False] * 5 + [True]
    assert record.events is None  # watching is not recording


def test_what_a_watcher_raises_ends_the_run():
    """It is not taken for a failure of the strategy."""

    class Enough(Exception):
        pass

    def watch(instant):
        raise Enough

    with pytest.raises(Enough):
        run_session(plan(days({"A": BARS}), Scripted()), watch=watch)


def test_the_clock_of_a_run_that_nobody_watches_hands_out_a_bare_range():
    """The seam costs nothing where it is not used."""
    block = next(iter(days({"A": BARS}).blocks(carry=1)))
    cursor = Cursor(prelude(block))
    assert isinstance(HistoricalClock(cursor, ClockSettings()).rows(block), range)
    done = []
    rows = HistoricalClock(cursor, ClockSettings(), between=lambda: done.append(len(seen))).rows(block)
    seen = []
    for row in rows:
        seen.append(row)  # noqa: PERF402  the moment of each append is what is looked at
    assert seen == [0, 1, 2, 3]
    assert done == [1, 2, 3, 4]


def test_a_recorded_run_is_kept_in_its_order_and_read_again(recorded, tmp_path):
    """In events.parquet: intents as JSON without what they leave open, each row with instant and stage."""
    write_record(tmp_path, recorded)
    rows = read_events(tmp_path)
    assert pq.read_schema(tmp_path / "events.parquet").names == EVENT_SCHEMA.names
    assert [row["kind"] for row in rows] == [
        *("intent", "order", "order", "fill", "order", "intent", "order"),
        *("market_action", "action", "order", "market_action", "action", "cancel"),
        "order",
    ]
    assert rows[0]["text"] == '{"amount":10,"amount_kind":"quantity","order_type":"MARKET","time_in_force":"DAY"}'
    assert [row["stage"] for row in rows[2:6]] == ["EXECUTION"] * 3 + ["ORDERS"]
    assert rows[3]["bar_close"] == 101.0
    again = read_record(tmp_path, recorded.run_id, record_facts(recorded))
    assert (again.fills, again.updates, again.applied_actions) == (recorded.fills, recorded.updates, recorded.applied_actions)
    assert again.market_actions == recorded.market_actions
    assert again.execution_prices.arrival.tolist() == [100.0, 101.0]
    assert again.execution_prices.bar.tolist() == recorded.execution_prices.bar.tolist()


def test_a_record_of_an_earlier_version_can_be_read(recorded, tmp_path):
    """Its tables lack the columns that were added: nothing is known then, and nothing fails."""
    write_record(tmp_path, dataclasses.replace(recorded, events=None))
    noted = [*BAR, MID, "stage", "instant_ns"]
    for name, dropped in {"orders.parquet": ["arrival_price"], "events.parquet": noted}.items():
        table = pq.read_table(tmp_path / name)
        pq.write_table(table.drop_columns(dropped), tmp_path / name)
    again = read_record(tmp_path, recorded.run_id, record_facts(recorded))
    assert again.execution_prices is None
    assert len(again.fills) == 1
    words = EventWords({})
    assert first_difference(read_events(tmp_path), event_rows(dataclasses.replace(recorded, events=None)), words, words) is None


def test_intents_of_every_kind_can_be_kept():
    """Brackets, followers, cancels and replacements; an amount of nothing is stated."""
    bracket = OrderIntent.market("A", 1).with_exits(take_profit=120.0, stop_loss=90.0)

    def replacing(strategy, context):
        order = next(order for order in context.open_orders if order.limit_price == 60.0)
        return [ReplaceIntent(order.order_id, limit_price=61.0)]

    resting = dataclasses.replace(OrderIntent.limit("A", 1, 60.0), time_in_force="GTC")
    script = {0: [bracket, resting], 1: replacing, 2: [OrderIntent.target_weight("A", 0.0)]}
    rows = event_rows(run(days({"A": steady(4)}), Scripted(script), record=True))
    texts = [row["text"] for row in rows if row["kind"] in ("intent", "replace")]
    assert '"exits":{"stop_loss":90.0,"take_profit":120.0}' in texts[0]
    assert texts[2] == '{"limit_price":61.0}'
    assert '"amount":0.0' in texts[3]


def test_the_first_difference_is_found_whatever_the_runs_are_called(recorded, tmp_path):
    """Names differ, identifiers with them; a price that differs is found, and so is an event that only one has."""
    write_record(tmp_path, recorded)
    rows = read_events(tmp_path)
    words = EventWords({order.order_id: order for order in recorded.orders})
    source = days({"A": BARS}, actions=[split("A", 2, 2.0), dividend("A", 3, 0.5)])
    again = event_rows(run(source, Scripted(SCRIPT), record=True, run_id="bt_other"))
    assert [row.get("order_id") for row in again] != [row["order_id"] for row in rows]
    assert first_difference(rows, again, words, words) is None
    assert first_difference(rows, again[:-1], words, words).b == ""
    assert first_difference(rows[:-1], again, words, words).a == ""
    again[3]["price"] += 0.5
    found = first_difference(rows, again, words, words)
    assert (found.ordinal, found.columns) == (4, ("price",))
    assert found.when == "2024-01-03T21:00:00.000000Z"
    assert found.a == "fill BUY 10 A at 101"
    assert found.b == "fill BUY 10 A at 101.5 (ideal 101)"


def test_events_read_as_words(recorded):
    """Each kind says who did what."""
    words = EventWords({order.order_id: order for order in recorded.orders})
    texts = [words(row) for row in event_rows(recorded)]
    assert texts[0] == "intent A quantity 10 MARKET time_in_force=DAY"
    assert texts[1] == "order BUY 10 A MARKET: PENDING to SUBMITTED"
    assert texts[7:9] == ["split A 2", "split A 2: position 10 to 20"]
    assert texts[11] == "dividend A 0.5: position 20 to 20, 10 in cash"
    assert texts[12] == "cancel BUY 8 A LIMIT limit 45"
    assert texts[-1].endswith("to CANCELLED (cancelled_by_strategy)")


def test_two_strategies_are_told_apart():
    """Each event carries the name of whose it is; what happened in the market carries none."""
    one, two = Scripted({0: [OrderIntent.market("A", 1)]}), Scripted({0: [OrderIntent.market("A", 2)]})
    record = run(days({"A": BARS}, actions=[split("A", 2, 2.0)]), allocate(one, "one"), allocate(two, "two"), record=True)
    owners = [(event.strategy, type(event.fact).__name__) for event in record.events]
    assert owners[:4] == [("one", "OrderIntent"), ("one", "OrderUpdate"), ("two", "OrderIntent"), ("two", "OrderUpdate")]
    assert ("", "CorporateAction") in owners
