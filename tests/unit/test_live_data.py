"""The small parts of live data: messages, the age of data, waits between attempts, labels from ends, settings, serving."""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.contracts.market_messages import market_message
from fairlead.core.errors import ConfigurationError, ContractError, UnknownName
from fairlead.core.events import Bar, Quote, Trade
from fairlead.core.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND, BarSize, to_ns
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.live import (
    Backoff,
    DataAge,
    LiveDataSettings,
    ReconnectSettings,
    ReplayDataSettings,
    WebSocketFeed,
    WebSocketSettings,
    open_feed,
)
from fairlead.data.live.decoding import Decoder
from fairlead.data.live.faults import Fault, FaultPlan, FaultSettings
from fairlead.data.live.opening import FeedKind
from fairlead.data.live.protocol import read_client, read_server, text_of
from fairlead.data.live.replay import ReplayFeed
from fairlead.data.live.serving import move_session, synthetic_session
from fairlead.data.synthetic import SyntheticSettings
from support_feeds import OPEN_NS, XNYS, minute_bar, quote, trade

PRICES = st.floats(1e-9, 1e12)
SIZES = st.floats(0, 1e15)


def read_event(event, number=0, size=BarSize.M1):
    text = text_of(market_message(event, number, producer_id="p", bar_size=size, source="synthetic"))
    message = read_server(text)
    assert message.sequence_number == number
    return Decoder(XNYS, size).event(message)


@given(st.lists(PRICES, min_size=4, max_size=4), SIZES, SIZES, st.integers(0, 389))
def test_an_event_that_was_sent_is_the_event_that_arrives(prices, size, other, minute):
    low, *middle, high = sorted(prices)
    label = OPEN_NS + minute * NS_PER_MINUTE
    for event in (
        Bar("BRK.B", label, label + NS_PER_MINUTE, middle[0], high, low, middle[1], size),
        Quote("A", label + 1_000, low, high, size, other),
        Trade("A", label + 999_999_000, high, size),
    ):
        assert read_event(event, minute) == event


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"low": 11.0}, "low <= open, close <= high"),
        ({"open": 0}, "greater than 0"),
        ({"volume": -1}, "greater than or equal to 0"),
        ({"close": "10.5"}, "valid number"),
        ({"close": True}, "valid number"),
        ({"symbol": "brk b"}, "symbol"),
        ({"timestamp": "2024-01-02T14:31:00"}, "be UTC"),
        ({"timestamp": "2024-01-02T09:31:00-05:00"}, "be UTC"),
        ({"bar_size": "2min"}, "bar_size"),
        ({"currency": "usd"}, "currency"),
        ({"surprise": 1}, "surprise"),
        ({"metadata": {"sequence_number": -1}}, "sequence_number"),
        ({"data_quality": {"source": "a friend"}}, "source"),
    ],
)
def test_bars_that_break_the_contract_are_refused(change, text):
    message = market_message(minute_bar(0), 0, producer_id="p", bar_size=BarSize.M1) | change
    with pytest.raises(ContractError, match="is no message of the protocol") as refused:
        read_server(json.dumps(message))
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"tick_type": "TRADE", "price": 1.0}, "'size' must be given with tick_type TRADE"),
        ({"tick_type": "QUOTE", "bid": 2.0, "ask": 1.0, "bid_size": 1, "ask_size": 1}, "not be below the bid"),
        ({"tick_type": "BID", "bid": 1.0}, "'bid_size' must be given"),
        ({"tick_type": "MID", "price": 1.0, "size": 1}, "tick_type"),
    ],
)
def test_ticks_that_break_the_contract_are_refused(fields, text):
    message = {"event_type": "tick_event", "symbol": "A", "timestamp": "2024-01-02T14:31:00.000000Z", **fields}
    with pytest.raises(ContractError) as refused:
        read_server(json.dumps(message))
    assert text in str(refused.value)


def test_one_side_of_a_quote_completes_the_one_before_it():
    decoder = Decoder(XNYS, BarSize.M1)

    def tick(**fields):
        base = {"event_type": "tick_event", "symbol": "A", "timestamp": "2024-01-02T14:31:00.000000Z"}
        return decoder.event(read_server(json.dumps(base | fields)))

    assert tick(tick_type="BID", bid=10.0, bid_size=5) is None
    assert tick(tick_type="ASK", ask=10.5, ask_size=6)[2:] == (10.0, 10.5, 5.0, 6.0)
    assert tick(tick_type="BID", bid=10.25, bid_size=7)[2:] == (10.25, 10.5, 7.0, 6.0)
    with pytest.raises(ContractError, match="not be below the bid"):
        tick(tick_type="ASK", ask=10.0, ask_size=1)
    assert tick(tick_type="LAST", price=10.0, size=3)[2:] == (10.0, 3.0)


def test_a_bar_of_another_size_or_off_the_grid_is_refused():
    with pytest.raises(ContractError, match="'bar_size' must be 5min"):
        Decoder(XNYS, BarSize.M5).event(
            read_server(text_of(market_message(minute_bar(0), 0, producer_id="p", bar_size=BarSize.M1)))
        )
    off = minute_bar(0)._replace(known_ns=OPEN_NS + 90 * NS_PER_SECOND)
    with pytest.raises(ContractError, match="be where a bar of 1min of XNYS ends, was '2024-01-02T14:31:30"):
        read_event(off)


def test_clients_messages_are_read_as_strictly():
    for text in ('{"type":"subscribe"}', '{"type":"heartbeat","next_number":1}', "[]", '{"type":"control","fault":"fire"}'):
        with pytest.raises(ContractError, match="is no message of the protocol"):
            read_client(text)


@given(
    st.sampled_from(["XNYS", "XHKG", "24/7"]),
    st.sampled_from(list(BarSize)),
    st.integers(19_000, 20_000),
)
@settings(max_examples=60)
def test_labels_are_found_from_ends(name, size, day):
    calendar = ExchangeCalendar.get(name)
    labels = calendar.labels(day, day + 7, size)
    known, _ = calendar.closing_instants(labels, size)
    assert calendar.opening_instants(known, size).tolist() == labels.tolist()
    for wrong in (known - 1, known + 1):
        if len(wrong):
            with pytest.raises(ContractError, match=f"be where a bar of {size} of {name} ends"):
                calendar.opening_instants(wrong[:1], size)
    assert calendar.opening_instants(np.empty(0, np.int64), size).tolist() == []


@given(st.floats(0.1, 5), st.floats(1, 4), st.floats(1, 60), st.lists(st.floats(0, 1, exclude_max=True), max_size=12))
def test_waits_grow_to_their_cap_with_full_jitter(base, factor, cap, numbers):
    uniform = iter(numbers)
    backoff = Backoff(ReconnectSettings(base_s=base, factor=factor, cap_s=cap), lambda: next(uniform))
    for n, u in enumerate(numbers):
        assert backoff.fail() == pytest.approx(u * min(cap, base * factor**n))
    backoff.succeed()
    assert backoff.failures == 0


def test_the_rule_of_the_house_for_waits():
    backoff = Backoff(ReconnectSettings(), lambda: 1.0)
    assert [backoff.fail() for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_data_ages_in_sessions_alone():
    age = DataAge(XNYS, BarSize.M1)
    close = OPEN_NS + 390 * NS_PER_MINUTE
    assert age.limit_ns == 300 * NS_PER_SECOND
    assert DataAge(XNYS, BarSize.M1, max_age_s=600).limit_ns == 600 * NS_PER_SECOND
    yesterday = OPEN_NS - 3600 * NS_PER_SECOND
    assert age.age_ns(OPEN_NS - 1, yesterday) == 0
    assert age.age_ns(OPEN_NS + 7, yesterday) == 7
    assert age.age_ns(OPEN_NS + 7, None) == 7
    assert age.age_ns(OPEN_NS + 100, OPEN_NS + 40) == 60
    assert age.age_ns(OPEN_NS + 100, OPEN_NS + 400) == 0
    assert age.age_ns(close - 1, OPEN_NS) == close - 1 - OPEN_NS
    assert age.age_ns(close, OPEN_NS) == 0
    assert age.age_ns(OPEN_NS + 1, None) == 1, "and back again"
    hong_kong = DataAge(ExchangeCalendar.get("XHKG"), BarSize.M5)
    noon = to_ns(dt.datetime(2024, 1, 2, 4, 30, tzinfo=dt.UTC))
    assert hong_kong.age_ns(noon, 0) == 0
    assert hong_kong.age_ns(noon + 1800 * NS_PER_SECOND, noon) == 0
    assert hong_kong.age_ns(noon + 1860 * NS_PER_SECOND, noon) == 60 * NS_PER_SECOND
    assert age.is_stale(OPEN_NS + 300 * NS_PER_SECOND + 1, OPEN_NS)
    assert not age.is_stale(OPEN_NS + 300 * NS_PER_SECOND, OPEN_NS)
    assert age.age_ns(OPEN_NS + 4 * NS_PER_DAY, None) == 0  # a Saturday


def test_faults_are_drawn_from_their_seed_and_ordered_ones_come_next():
    settings = FaultSettings(gap_rate=0.5, drop_every=3, silence_after=2, silence_events=2, seed=7)
    drawn = [FaultPlan(settings) for _ in range(2)]
    first, second = ([plan.decide(i) for i in range(50)] for plan in drawn)
    assert first == second
    assert 10 < sum(Fault.GAP in found for found in first) < 40
    assert [i for i, found in enumerate(first) if Fault.DROP in found] == list(range(2, 50, 3))
    assert [i for i, found in enumerate(first) if Fault.SILENCE in found] == [2, 3]
    plan = FaultPlan(FaultSettings())
    plan.order(Fault.DUPLICATE, 2)
    assert [plan.decide(i) for i in range(3)] == [{Fault.DUPLICATE}, {Fault.DUPLICATE}, frozenset()]
    assert [FaultPlan(FaultSettings(burst_every=5, burst_size=3)).held_back(i) for i in range(7)] == [2, 1, 0, 0, 0, 2, 1]
    for _ in range(50):
        with pytest.raises(ContractError):
            read_server(plan.garbage())


LIVE = {"type": "live", "feed": "websocket", "symbols": ("A",), "url": "ws://127.0.0.1:8765"}


def test_settings_name_a_feed():
    given = LiveDataSettings(**LIVE, bar_size="5min", max_age_s=90)
    feed = open_feed(given, now_ns=lambda: 0)
    assert isinstance(feed, WebSocketFeed)
    assert given.websocket() == WebSocketSettings(url=LIVE["url"], bar_size=BarSize.M5, max_age_s=90)
    assert LiveDataSettings(**LIVE, bar_size="5min", aggregate={}).websocket().bar_size is None
    with pytest.raises(UnknownName, match="no feed named 'websockets'; did you mean 'websocket'"):
        open_feed(LiveDataSettings(**LIVE | {"feed": "websockets"}), now_ns=lambda: 0)


class Endless(FeedKind):
    """A third party's feed."""

    depth: int = 1

    def open(self, data, now_ns):
        return ReplayFeed(list, data.symbols * self.depth, now_ns=now_ns)


def test_a_third_party_brings_a_feed(monkeypatch):
    module = types.ModuleType("desk_feeds")
    module.Endless = Endless
    monkeypatch.setitem(sys.modules, "desk_feeds", module)
    given = LiveDataSettings(**LIVE | {"feed": "desk_feeds:Endless", "params": {"depth": 2}})
    assert isinstance(open_feed(given, now_ns=lambda: 0), ReplayFeed)
    with pytest.raises(ConfigurationError, match="does not take these params: 'wings'"):
        open_feed(given.model_copy(update={"params": {"wings": 2}}), now_ns=lambda: 0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"url": None}, "'url' must be given for feed: websocket"),
        ({"url": "http://127.0.0.1"}, "'url' must be an address such as ws://127.0.0.1:8765, was 'http://127.0.0.1'"),
        ({"url": "ws://"}, "'url' must be an address"),
        ({"params": {"a": 1}}, r"'params' must be empty for feed: websocket"),
        ({"symbols": ()}, "at least 1 item"),
        ({"max_age_s": 0}, "greater than 0"),
        ({"reconnect": {"base_s": 0}}, "greater than 0"),
        ({"aggregate": {"late": "ignore"}}, "'drop' or 'amend'"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, text):
    with pytest.raises(ValueError, match=text):
        LiveDataSettings(**LIVE | change)


def test_a_replay_has_one_origin():
    assert ReplayDataSettings(type="replay", dataset="d", jitter_s=2).jitter_s == 2
    with pytest.raises(ValueError, match="'recording' must be the only origin"):
        ReplayDataSettings(type="replay", recording="r", path="p")


def test_a_synthetic_session_is_in_order_and_on_whole_microseconds():
    market = SyntheticSettings(symbols=("A", "B"), start=dt.date(2024, 1, 2), end=dt.date(2024, 1, 3))
    events = synthetic_session(market, quotes=True)
    bars = synthetic_session(market, quotes=False)
    assert [event for event in events if isinstance(event, Bar)] == bars
    assert len(bars) == 2 * 2 * 390
    quotes = [event for event in events if isinstance(event, Quote)]
    assert 2 * 2 * 390 * 15 < len(quotes) < 2 * 2 * 390 * 25
    assert [event.known_ns for event in events] == sorted(event.known_ns for event in events)
    assert not any(event.known_ns % 1_000 for event in events)


@given(st.integers(OPEN_NS, OPEN_NS + 900 * NS_PER_DAY), st.sampled_from([BarSize.M1, BarSize.M30, BarSize.H1]))
@settings(max_examples=30)
def test_a_session_moved_to_the_present_fits_the_calendar_that_never_closes(start_ns, size):
    market = SyntheticSettings(symbols=("A",), bar_size=size, start=dt.date(2024, 1, 2), end=dt.date(2024, 1, 2))
    events = synthetic_session(market, quotes=False)
    moved = move_session(events, start_ns, size)
    assert 0 <= moved[0].known_ns - start_ns < 2 * size.ns
    whole = [bar for bar in events if bar.known_ns - bar.label_ns == size.ns]
    labels = ExchangeCalendar.get("24/7").opening_instants(np.array([bar.known_ns for bar in moved]), size)
    assert labels.tolist() == [bar.label_ns for bar in moved]
    assert {a.known_ns - b.known_ns for a, b in zip(moved, whole, strict=True)} == {moved[0].known_ns - events[0].known_ns}


def test_daily_bars_cannot_be_moved():
    with pytest.raises(ConfigurationError, match="'bar_size' must be intraday to be moved to the present"):
        move_session([minute_bar(0)], 0, BarSize.D1)
    mixed = move_session([quote(1), trade(2), minute_bar(0)], OPEN_NS + NS_PER_DAY, BarSize.M1)
    assert mixed[0].known_ns - quote(1).known_ns == mixed[1].known_ns - trade(2).known_ns
    assert math.isclose(mixed[2].open, minute_bar(0).open)
