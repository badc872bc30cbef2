"""The look-ahead check lets honest strategies pass, names the first thing that a peek changed, and knows its own limits."""

from __future__ import annotations

import dataclasses
import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.bars import BarBlock, BarSlice
from fairlead.core.errors import ConfigurationError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.orders import TimeInForce
from fairlead.core.time import NS_PER_DAY, date_to_day, format_utc
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.memory import source_from_frames
from fairlead.data.source import DataSource
from fairlead.engine.session import run_session
from fairlead.evidence.lookahead import Divergence, TruncatedSource, check_lookahead, choose_cuts, compare
from fairlead.sdk import Bar, OrderIntent, Strategy
from fairlead.strategies.momentum import Momentum
from fairlead.strategies.sma_crossover import SmaCrossover
from support_sessions import ArraySource, days, minutes, plan, random_bars

N = 120


def market(**kwargs) -> ArraySource:
    """Two symbols, 120 days, one split and one dividend; the same every time."""
    rng = np.random.default_rng(7)
    bars = {"A": random_bars(rng, N, volume=1e6), "B": random_bars(rng, N, gaps=0.1, volume=1e6)}
    source = days(bars, **kwargs)
    ex = int(source.session[60])
    actions = (CorporateAction("A", ex, ActionKind.SPLIT, 2.0), CorporateAction("B", ex + 9, ActionKind.DIVIDEND, 0.5))
    return source.changed(actions=actions)


class Honest(Strategy):
    """Long after an up day, flat after a down day: what every cheat below would like to know a day sooner."""

    event_type = BarSlice

    def on_start(self, context):
        context.metadata.update(up=None)

    def on_market_event(self, event, context):
        self.look(event, context)

    def look(self, event, context):
        context.metadata["up"] = bool(event.close[0] > event.open[0])

    def generate_orders(self, context):
        wants = 100 if context.metadata["up"] else 0
        held = context.portfolio.quantity("A")
        return [OrderIntent.target_position("A", wants)] if (held > 0) != (wants > 0) else []


class ReadsTheNextRow(Honest):
    """Takes tomorrow's bar out of the slice's private block, and today's when there is no tomorrow in it."""

    def look(self, event, context):
        block, row = event._block, min(event._row + 1, len(event._block) - 1)
        context.metadata["up"] = bool(block.close[row, 0] > block.open[row, 0])


class ReadsTheNextRowBlindly(Honest):
    """Looks at tomorrow's bar on every day but the last it knows of, and decides nothing new after the first day."""

    def look(self, event, context):
        tomorrow = event._row + 1 if event._row < N - 1 else event._row
        context.metadata["up"] = bool(event._block.close[tomorrow, 0] > 0)


class CountsTheBlock(Honest):
    """Sells half way through a history whose length it cannot know."""

    def look(self, event, context):
        context.metadata["up"] = event._row < len(event._block) // 2


class Walks(Honest):
    """Looks at nothing but how many instants have passed."""

    def look(self, event, context):
        context.metadata["n"] = context.metadata.get("n", 0) + 1
        context.metadata["up"] = context.metadata["n"] // 5 % 2 == 0


class Remembers(Honest):
    """Keeps what it learns in the class, where the next run finds it."""

    learnt: dict = {}  # noqa: RUF012  the mistake on purpose

    def look(self, event, context):
        context.metadata["up"] = self.learnt.get(event.known_ns, False)
        self.learnt[event.known_ns] = bool(event.close[0] > event.open[0])


class GivenTheWholeFrame(Strategy):
    """Was handed every close, and tomorrow's among them."""

    def __init__(self, frame: pd.DataFrame) -> None:
        super().__init__()
        self.up_tomorrow = (frame["close"].shift(-1) > frame["close"]).to_dict()
        self.now: Bar | None = None

    def on_market_event(self, event, context):
        if event.symbol == "A":
            self.now = event

    def generate_orders(self, context):
        wants = 100 if self.now is not None and self.up_tomorrow[self.now.label_ns] else 0
        held = context.portfolio.quantity("A")
        return [OrderIntent.target_position("A", wants)] if (held > 0) != (wants > 0) else []


class LearnsFromItsSource(GivenTheWholeFrame):
    """The same, fitted inside the run to whatever history the run's own slices lead to."""

    event_type = BarSlice

    def __init__(self) -> None:
        Strategy.__init__(self)
        self.now = None

    def on_market_event(self, event, context):
        block = event._block
        self.up_tomorrow = pd.Series(block.close[:, 0], block.label_ns)
        self.up_tomorrow = (self.up_tomorrow.shift(-1) > self.up_tomorrow).to_dict()
        self.now = event["A"]


def report_on(make, source=None, **kwargs):
    """Check a strategy made by `make` on the market above."""
    return check_lookahead(lambda: plan(market() if source is None else source, make()), **kwargs)


@pytest.mark.parametrize(
    "make",
    [
        Honest,
        Walks,
        lambda: SmaCrossover(fast=3, slow=10),
        lambda: Momentum(lookback_bars=5, top=1, every=5),
    ],
    ids=["honest", "walks", "sma_crossover", "momentum"],
)
def test_an_honest_strategy_passes(make):
    """And the check says how much it compared, which is more than nothing."""
    report = report_on(make, cuts=8)
    assert report.passed, [str(d) for d in report.divergences]
    assert report.divergences == ()
    assert report.orders >= 8
    assert report.fills > 0


def test_what_was_compared_is_counted_up_to_each_cut():
    """Orders decided, and fills made, at or before the cuts, over all of them."""
    report = report_on(Honest, cuts=4)
    full = run_session(plan(market(), Honest()))
    assert report.cuts == choose_cuts(full, 4)
    assert report.orders == sum(order.created_ns <= cut for order in full.orders for cut in report.cuts)
    assert report.fills == sum(fill.ts_ns <= cut for fill in full.fills for cut in report.cuts)


@pytest.mark.parametrize("cheat", [ReadsTheNextRow, CountsTheBlock, LearnsFromItsSource])
@pytest.mark.parametrize("rows", [None, 50], ids=["one block", "blocks of 50"])
def test_a_peek_into_the_block_is_found(cheat, rows):
    """A row ahead, the length of history, or a fit to all of it: each changes an order before a cut."""
    report = report_on(cheat, market().changed(rows=rows), cuts=8)
    assert not report.passed
    assert {d.what.split()[0] for d in report.divergences} == {"order"}


def test_the_first_divergence_is_named():
    """`CountsTheBlock` sells in the middle: in the middle of 120 days when it sees them all, and earlier in a shorter run."""
    report = report_on(CountsTheBlock, cuts=3)
    found = report.divergences[-1]
    source, full = market(), run_session(plan(market(), CountsTheBlock()))
    buy, sell = full.orders
    assert (buy.created_ns, sell.created_ns) == (source.known_ns[0], source.known_ns[N // 2])
    middle = (np.searchsorted(source.known_ns, found.cut_ns) + 1) // 2
    assert found.what == "order 2"
    text = "alpha SELL 200.0 A MARKET limit=None stop=None DAY "
    early = text.replace("200.0", "100.0")  # before the split
    assert found.truncated == f"{format_utc(int(source.known_ns[middle]))} {early}"
    assert found.full == (f"{format_utc(sell.created_ns)} {text}" if sell.created_ns <= found.cut_ns else "none")
    assert str(found) == (
        f"with data up to {format_utc(found.cut_ns)}, order 2 differs: "
        f"the full run had {found.full}, the truncated run {found.truncated}"
    )


def test_a_strategy_that_fails_only_on_truncated_data_is_reported():
    """It reached for a row that was not there; no order differs, because at these cuts it wanted nothing new."""
    report = report_on(ReadsTheNextRowBlindly, cuts=4)
    assert len(report.divergences) == len(report.cuts) == 4
    assert report.divergences[0].what == "order 1"  # cut on the first day, where it bought
    found = report.divergences[-1]
    assert (found.what, found.full) == ("strategy 1", "alpha: completed")
    assert found.truncated.startswith("alpha: IndexError: index ")
    assert "(look, line " in found.truncated


def test_a_strategy_that_fails_in_every_run_is_not_accused():
    """An error of its own is no look-ahead: the full run failed in the same way at the same instant."""

    class Fails(Honest):
        def look(self, event, context):
            super().look(event, context)
            if event.known_ns == market().known_ns[10]:
                raise ValueError("on its own")

    report = report_on(Fails, cuts=4)
    assert report.passed, [str(d) for d in report.divergences]
    assert max(report.cuts) > market().known_ns[10]


def test_memory_shared_between_runs_is_found():
    """The truncated run knows what the full run left behind in the class."""
    Remembers.learnt.clear()
    assert not report_on(Remembers, cuts=4).passed


def test_a_future_that_a_strategy_was_given_before_the_run_is_out_of_reach():
    """Cutting the data cannot cut a frame that the strategy holds: the check says so in its docs, and the lint looks instead.

    A strategy built from what the run itself delivers is found; see `LearnsFromItsSource`.
    """
    source = market()
    frame = pd.DataFrame({"close": source.arrays["close"][:, 0]}, index=source.label_ns)
    assert report_on(lambda: GivenTheWholeFrame(frame), cuts=8).passed


# --- the cuts ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, -3])
def test_a_check_needs_a_cut(count):
    with pytest.raises(ConfigurationError, match=rf"'cuts' must be at least 1, was {count}"):
        report_on(Honest, cuts=count)


def test_progress_is_told_after_every_cut():
    told: list[int] = []
    report = report_on(Honest, cuts=5, progress=told.append)
    assert told == list(range(1, len(report.cuts) + 1))


RECORDS = {cls: run_session(plan(market(), cls())) for cls in (Honest, Walks)}
IDLE = run_session(plan(market(), Strategy()))


@given(st.sampled_from([*RECORDS.values(), IDLE]), st.integers(1, 400))
def test_cuts_are_instants_before_the_end_half_of_them_decisions(record, count):
    """Increasing, different, never the last instant unless something was decided there, and at most as many as asked for."""
    cuts = choose_cuts(record, count)
    instants = record.account.ts_ns.tolist()
    decisions = {order.created_ns for order in record.orders}
    assert list(cuts) == sorted(set(cuts))
    assert 1 <= len(cuts) <= count
    assert set(cuts) <= set(instants)
    assert instants[-1] not in set(cuts) - decisions
    at_decisions = min(len(decisions), (count + 1) // 2)
    assert len(set(cuts) & decisions) >= at_decisions // 2


def test_cuts_are_spread_over_the_run():
    """Eight cuts of an idle run lie about a ninth of it apart; of a busy one, four lie at decisions."""
    at = np.searchsorted(IDLE.account.ts_ns, choose_cuts(IDLE, 8))
    assert np.diff(at).min() >= 12
    assert (at[0], at[-1]) == (13, 105)
    busy = RECORDS[Honest]
    decisions = {order.created_ns for order in busy.orders}
    assert len(set(choose_cuts(busy, 8)) & decisions) >= 4


# --- comparing --------------------------------------------------------------------------------------------------------------


def test_equal_runs_have_no_difference():
    first, second = (run_session(plan(market(), Honest())) for _ in range(2))
    assert compare(first, second, int(first.account.ts_ns[-1])) is None


def test_a_difference_in_the_last_bit_of_a_fill_or_of_equity_is_one():
    """Nothing is compared with a tolerance: the same code on the same data has no reason to differ."""
    full = RECORDS[Honest]
    end = int(full.account.ts_ns[-1])
    price = np.nextafter(full.fills[1].price, np.inf)
    other = dataclasses.replace(full, fills=[full.fills[0], full.fills[1]._replace(price=float(price)), *full.fills[2:]])
    found = compare(full, other, end)
    assert found is not None
    assert found.what == "fill 2"
    assert repr(float(price)) in found.truncated

    equity = full.account.equity.copy()
    equity[17] = np.nextafter(equity[17], 0)
    other = dataclasses.replace(full, account=dataclasses.replace(full.account, equity=equity))
    instant = format_utc(int(full.account.ts_ns[17]))
    assert compare(full, other, end) == Divergence(
        end, "equity 18", f"{instant} {full.account.equity[17].item()!r}", f"{instant} {equity[17].item()!r}"
    )
    assert compare(full, other, int(full.account.ts_ns[16])) is None


def test_an_order_too_many_differs_from_none():
    full = RECORDS[Honest]
    fewer = dataclasses.replace(full, orders=full.orders[:-1])
    cut = full.orders[-1].created_ns
    one_way, other_way = compare(full, fewer, cut), compare(fewer, full, cut)
    assert one_way is not None
    assert other_way is not None
    assert (one_way.what, one_way.truncated) == (f"order {len(full.orders)}", "none")
    assert (other_way.what, other_way.full) == (f"order {len(full.orders)}", "none")
    assert compare(full, fewer, cut - 1) is None


# --- the truncated source ---------------------------------------------------------------------------------------------------


ARRAYS = ("label_ns", "known_ns", "session", "open", "high", "low", "close", "volume", "mark")


def rows_of(source: DataSource, carry: int) -> dict[str, np.ndarray]:
    """Every delivered row of a source, and its effective actions by the row's instant."""
    blocks = list(source.blocks(carry=carry))
    tables = {name: np.concatenate([getattr(b, name)[b.start :] for b in blocks]) for name in ARRAYS}
    placed = [(int(b.known_ns[e.row]), e.column, e.action, e.factor) for b in blocks for e in b.actions if e.row >= b.start]
    return {**tables, "actions": np.array(placed, dtype=object)}


def assert_same_rows(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    for name in (*ARRAYS, "actions"):
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_truncated_source_is_a_data_source():
    """It has every member of the protocol; only its hash says that it is not the whole."""
    source = market()
    cut = TruncatedSource(source, int(source.known_ns[5]))
    members = {name for name in vars(DataSource) if not name.startswith("_")}
    assert members >= {"blocks", "symbols", "content_hash", "bar_size"}
    for name in members - {"blocks", "whole", "content_hash", "actions"}:
        assert getattr(cut, name) == getattr(source, name), name
    assert cut.actions == tuple(a for a in source.actions if a.ex_session <= source.known_ns[5] // NS_PER_DAY + 1)
    assert len(cut.actions) < len(source.actions)
    assert cut.whole() is cut
    chosen = TruncatedSource(source.since(3), int(source.known_ns[5]))
    assert_same_rows(rows_of(chosen.whole(), carry=0), rows_of(cut, carry=0))
    assert cut.content_hash == f"{source.content_hash}@{source.known_ns[5]}"


@pytest.mark.parametrize("rows", [None, 1, 7, 40], ids="blocks of {}".format)
@pytest.mark.parametrize("last", [0, 6, 39, 40, 59, 60, 69, N - 1])
def test_a_truncated_source_delivers_the_rows_up_to_the_cut(rows, last):
    """Wherever the cut lies in a block, and however history is chunked; the cut's own instant is included."""
    source = market().changed(rows=rows)
    for until in (source.known_ns[last], source.known_ns[last] + 1):
        cut = TruncatedSource(source, int(until))
        assert_same_rows(rows_of(cut, carry=3), rows_of(source.until(last + 1), carry=3))
        assert max(int(b.known_ns[-1]) for b in cut.blocks(carry=3)) == source.known_ns[last]


def test_a_truncated_source_equals_the_source_selected_up_to_that_date():
    """The same for a source made of frames, whose own selection of dates is a different piece of code."""
    calendar = ExchangeCalendar.get("XNYS")
    first, end = dt.date(2024, 1, 2), dt.date(2024, 3, 28)
    source = calendar_source(calendar, first, end)
    for until in (dt.date(2024, 1, 2), dt.date(2024, 2, 15), dt.date(2024, 2, 18), end):
        chosen = source.select(None, None, until)
        known = rows_of(chosen, carry=2)["known_ns"]
        assert_same_rows(rows_of(TruncatedSource(source, int(known[-1])), carry=2), rows_of(chosen, carry=2))


def calendar_source(calendar: ExchangeCalendar, first: dt.date, end: dt.date):
    index = pd.DatetimeIndex(calendar.labels(date_to_day(first), date_to_day(end), market().bar_size), tz="UTC")
    close = 50 + np.random.default_rng(3).random((2, len(index)))
    frames = {
        name: pd.DataFrame({"open": c, "high": c + 1, "low": c - 1, "close": c, "volume": 1e6}, index=index)
        for name, c in zip("AB", close, strict=True)
    }
    actions = [
        CorporateAction("A", date_to_day(dt.date(2024, 2, 15)), ActionKind.SPLIT, 2.0),
        CorporateAction("B", date_to_day(dt.date(2024, 3, 1)), ActionKind.DIVIDEND, 1.0),
    ]
    return source_from_frames(frames, actions=actions)


def test_no_array_of_a_cut_block_leads_back_to_the_rest():
    """Not even through `base`: what was cut off is not in memory."""
    source = market()
    (whole,) = source.blocks(carry=0)

    class Once(ArraySource):
        def blocks(self, *, carry):
            yield whole

    once = Once(source.symbols, source.arrays, session=source.session, label_ns=source.label_ns, known_ns=source.known_ns)
    (block,) = TruncatedSource(once, int(source.known_ns[50])).blocks(carry=0)
    assert isinstance(block, BarBlock)
    for name in ARRAYS:
        assert len(getattr(block, name)) == 51
        assert getattr(block, name).base is None, name
        assert not np.shares_memory(getattr(block, name), getattr(whole, name)), name


def test_intraday_history_is_cut_between_two_minutes():
    """The check is the same for bars of any size: a peek one minute ahead is found too."""
    rng = np.random.default_rng(11)
    source = minutes({"A": random_bars(rng, 200, volume=1e6)}, per_session=60)
    assert report_on(Honest, source, cuts=6).passed
    assert not report_on(ReadsTheNextRow, source, cuts=6).passed


class RestsBelow(Strategy):
    """Lets one order of each kind rest, or wait for its open, over the split that follows."""

    def __init__(self):
        super().__init__()
        self.day = 0

    def on_market_event(self, event, context):
        if event.symbol == "A":
            self.day += 1

    def generate_orders(self, context):
        if self.day == 50:
            gtc = {"time_in_force": TimeInForce.GTC}
            return [OrderIntent.limit("A", 30, 0.51, **gtc), OrderIntent.stop("A", -30, 0.51, **gtc)]
        return [OrderIntent.market("A", 10)] if self.day == 60 else []


def test_a_split_after_the_cut_changes_no_decision_before_it():
    """Working orders are scaled by a split; what was decided is what was asked for then."""
    source = market()
    full = run_session(plan(source, RestsBelow()))
    assert [o.quantity for o in full.orders] == [60, 60, 20]
    for row in (49, 55, 59, 60, 70):
        cut = int(source.known_ns[row])
        truncated = run_session(plan(TruncatedSource(source, cut), RestsBelow()))
        assert compare(full, truncated, cut) is None
    assert check_lookahead(lambda: plan(market(), RestsBelow())).passed
