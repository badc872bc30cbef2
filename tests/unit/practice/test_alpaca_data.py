"""Market data of the practice Alpaca: as it was by REST, and as it happens on the stream, through the official clients."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import threading

import msgpack
import pytest
from websockets.sync.client import connect

from fairlead.core.events import ActionKind, Bar, CorporateAction, Quote, Trade
from fairlead.core.time import NS_PER_MINUTE, NS_PER_SECOND, date_to_day
from servers.alpaca import alpaca_server, flat_bars
from servers.alpaca_clients import CorporateActionsClient, StockDataStream, StockHistoricalDataClient
from servers.waiting import PATIENCE_S, wait_for

# isort: split
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.requests import (
    CorporateActionsRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
OPEN = dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.UTC)
SYMBOLS = ("ACME", "TGT")


def session(minutes=70):
    """Bars whose closes count up, with a quote and a trade ten seconds before each ends."""
    events = []
    for bar in flat_bars(SYMBOLS, minutes):
        number = float((bar.label_ns - flat_bars(SYMBOLS, 1)[0].label_ns) // NS_PER_MINUTE)
        close = 100 + number / 100
        at = bar.known_ns - 10 * NS_PER_SECOND
        events.append(Quote(bar.symbol, at, round(close - 0.01, 2), round(close + 0.01, 2), 100, 200))
        events.append(Trade(bar.symbol, at + 1, close, 50))
        events.append(bar._replace(close=close, high=close + 1, low=99.0))
    return sorted(events, key=lambda event: (event.known_ns, isinstance(event, Bar), event.symbol))


@pytest.fixture
def server():
    with alpaca_server(session()) as running:
        while running.step(50):
            pass
        yield running


@pytest.fixture
def history(server):
    made = StockHistoricalDataClient(server.keys.key, server.keys.secret, url_override=server.data_url)
    made._retry = 0
    yield made
    made._session.close()


def bars(history, frame=TimeFrame.Minute, **more):
    return history.get_stock_bars(
        StockBarsRequest(symbol_or_symbols=list(SYMBOLS), timeframe=frame, start=OPEN, end=OPEN + dt.timedelta(hours=8), **more)
    ).data


def test_bars_are_labelled_by_their_beginning(history):
    found = bars(history)
    assert [len(found[symbol]) for symbol in SYMBOLS] == [70, 70]
    first, last = found["ACME"][0], found["ACME"][-1]
    assert (first.timestamp, first.close) == (OPEN, 100.0)
    assert (last.timestamp, last.close) == (OPEN + dt.timedelta(minutes=69), 100.69)


def test_pages_are_put_together_without_a_gap(server, history):
    whole = bars(history)
    server.do(lambda broker: broker.switches.calls.clear())
    rows, token = [], None
    while True:
        query = {"symbols": "TGT,ACME", "timeframe": "1Min", "start": "2024-01-02", "limit": 33}
        page = history.get("/stocks/bars", {**query, **({"page_token": token} if token else {})})
        rows += [(symbol, row["t"]) for symbol, part in page["bars"].items() for row in part]
        token = page["next_page_token"]
        if token is None:
            break
    expected = [(symbol, f"{bar.timestamp:%Y-%m-%dT%H:%M:%S}Z") for symbol in SYMBOLS for bar in whole[symbol]]
    assert rows == expected
    assert server.do(lambda broker: len(broker.switches.calls)) == 5


def test_longer_bars_count_from_the_clock_of_new_york(history):
    """The first hour of a session is half an hour at Alpaca, since its hours begin with those of the clock."""
    request = StockBarsRequest(symbol_or_symbols="ACME", timeframe=TimeFrame.Hour, start=dt.datetime(2024, 1, 2, tzinfo=dt.UTC))
    hours = history.get_stock_bars(request).data["ACME"]
    assert [bar.timestamp.strftime("%H:%M") for bar in hours] == ["14:00", "15:00"]
    assert (hours[0].close, hours[0].volume) == (100.29, 300_000)
    fives = bars(history, TimeFrame(5, TimeFrameUnit.Minute))["ACME"]
    assert len(fives) == 14
    assert (fives[0].open, fives[0].close, fives[0].high) == (100.0, 100.04, 101.04)
    (day,) = history.get_stock_bars(
        StockBarsRequest(
            symbol_or_symbols="ACME", timeframe=TimeFrame.Day, start=dt.datetime(2024, 1, 2, tzinfo=dt.UTC), end=OPEN
        )
    ).data["ACME"]
    assert day.timestamp == dt.datetime(2024, 1, 2, 5, tzinfo=dt.UTC)


def test_quotes_and_trades_are_told(history):
    quotes = history.get_stock_quotes(
        StockQuotesRequest(symbol_or_symbols="ACME", start=OPEN, end=OPEN + dt.timedelta(minutes=2))
    ).data["ACME"]
    assert [(quote.bid_price, quote.ask_price, quote.ask_size) for quote in quotes] == [
        (99.99, 100.01, 200),
        (100.0, 100.02, 200),
    ]
    trades = history.get_stock_trades(
        StockTradesRequest(symbol_or_symbols="ACME", start=OPEN, end=OPEN + dt.timedelta(minutes=2), limit=1)
    ).data["ACME"]
    assert [(trade.price, trade.size) for trade in trades] == [(100.0, 50)]


def test_the_newest_is_told(history):
    bar = history.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=["ACME", "NONE"]))
    assert {symbol: one.close for symbol, one in bar.items()} == {"ACME": 100.69}
    assert history.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="TGT"))["TGT"].bid_price == 100.68
    assert history.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="TGT"))["TGT"].price == 100.69


def test_nothing_of_the_future_is_told():
    with alpaca_server(session()) as server:
        history = StockHistoricalDataClient(server.keys.key, server.keys.secret, url_override=server.data_url)
        server.step(3)
        now = server.do(lambda broker: broker.now_ns())
        found = bars(history)["ACME"]
        history._session.close()
    assert len(found) == 1
    assert now >= flat_bars(SYMBOLS, 1)[0].known_ns


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ({}, 400, "symbols is required"),
        ({"symbols": "a b"}, 400, "invalid symbol"),
        ({"symbols": "ACME", "timeframe": "7Weeks"}, 422, "invalid timeframe"),
        ({"symbols": "ACME", "timeframe": "60Min"}, 422, "invalid timeframe"),
        ({"symbols": "ACME", "timeframe": "1Min", "start": "then"}, 422, "invalid start"),
        ({"symbols": "ACME", "timeframe": "1Min", "limit": "10001"}, 422, "limit"),
        ({"symbols": "ACME", "timeframe": "1Min", "page_token": "%%%"}, 400, "page token"),
        ({"symbols": "ACME", "timeframe": "1Min", "feed": "nyse"}, 400, "invalid feed"),
        ({"symbols": "ACME", "timeframe": "1Min", "adjustment": "some"}, 422, "invalid adjustment"),
    ],
)
def test_what_cannot_be_answered_is_refused(history, query, status, text):
    with pytest.raises(APIError, match=text) as caught:
        history.get("/stocks/bars", query)
    assert caught.value.status_code == status


def test_a_feed_that_is_not_paid_for_is_refused(server, history):
    server.do(lambda broker: broker.feed.feeds.discard("sip"))
    with pytest.raises(APIError, match="subscription does not permit") as caught:
        bars(history, feed=DataFeed.SIP)
    assert caught.value.status_code == 403
    assert bars(history, feed=DataFeed.IEX)


def test_wrong_keys_are_forbidden(server):
    history = StockHistoricalDataClient("x", "y", url_override=server.data_url)
    with pytest.raises(APIError, match="forbidden") as caught:
        bars(history)
    assert caught.value.status_code == 403
    history._session.close()


def two_days_with_a_split():
    first = [bar._replace(open=200.0, high=200.0, low=200.0, close=200.0) for bar in flat_bars(("ACME",), 2)]
    return first + flat_bars(("ACME",), 2, day="2024-01-03")


def test_bars_are_adjusted_if_that_is_asked_for():
    actions = (
        CorporateAction("ACME", date_to_day(dt.date(2024, 1, 3)), ActionKind.SPLIT, 2.0),
        CorporateAction("ACME", date_to_day(dt.date(2024, 1, 3)), ActionKind.DIVIDEND, 2.0),
    )
    with alpaca_server(two_days_with_a_split(), actions=actions) as server:
        history = StockHistoricalDataClient(server.keys.key, server.keys.secret, url_override=server.data_url)
        server.step(4)
        request = {"symbol_or_symbols": "ACME", "timeframe": TimeFrame.Day, "start": dt.datetime(2024, 1, 1, tzinfo=dt.UTC)}
        found = {
            how: [bar.close for bar in history.get_stock_bars(StockBarsRequest(**request, adjustment=how)).data["ACME"]]
            for how in Adjustment
        }
        volume = history.get_stock_bars(StockBarsRequest(**request, adjustment=Adjustment.SPLIT)).data["ACME"][0].volume
        history._session.close()
    assert found[Adjustment.RAW] == [200.0, 100.0]
    assert found[Adjustment.SPLIT] == [100.0, 100.0]
    assert found[Adjustment.DIVIDEND] == [198.0, 100.0]
    assert found[Adjustment.ALL] == [99.0, 100.0]
    assert volume == 40_000


def test_corporate_actions_are_announced():
    day = date_to_day(dt.date(2024, 1, 3))
    actions = (
        CorporateAction("ACME", day, ActionKind.SPLIT, 2.0),
        CorporateAction("TGT", day, ActionKind.SPLIT, 0.1),
        CorporateAction("ACME", day, ActionKind.DIVIDEND, 0.25),
        CorporateAction("ACME", day, ActionKind.STOCK_DIVIDEND, 0.05),
        CorporateAction("ACME", day + 5, ActionKind.SPIN_OFF, 0.5, "CHILD"),
        CorporateAction("OLD", day + 6, ActionKind.RENAME, other="NEW"),
        CorporateAction("CASH", day + 7, ActionKind.MERGER, cash=12.5),
        CorporateAction("STOCK", day + 7, ActionKind.MERGER, 0.3, "ACME"),
        CorporateAction("BOTH", day + 7, ActionKind.MERGER, 0.3, "ACME", cash=1.0),
        CorporateAction("GONE", day + 8, ActionKind.DELISTING, cash=0.0),
    )
    with alpaca_server(actions=actions) as server:
        client = CorporateActionsClient(server.keys.key, server.keys.secret, url_override=server.data_url)
        span = {"start": dt.date(2024, 1, 1), "end": dt.date(2024, 2, 1)}
        whole = client.get_corporate_actions(CorporateActionsRequest(**span)).data
        some = client.get_corporate_actions(CorporateActionsRequest(**span, symbols=["TGT"])).data
        early = client.get_corporate_actions(CorporateActionsRequest(start=span["start"], end=dt.date(2024, 1, 3))).data
        page = client.get("/corporate-actions", {"start": "2024-01-01", "end": "2024-02-01", "limit": 4})
        rest = client.get(
            "/corporate-actions", {"start": "2024-01-01", "end": "2024-02-01", "page_token": page["next_page_token"]}
        )
        client._session.close()
    assert {name: len(rows) for name, rows in whole.items()} == dict.fromkeys(
        (
            *("cash_dividends", "forward_splits", "reverse_splits", "stock_dividends", "spin_offs", "name_changes"),
            *("cash_mergers", "stock_mergers", "stock_and_cash_mergers", "worthless_removals"),
        ),
        1,
    )
    assert (whole["forward_splits"][0].new_rate, whole["cash_dividends"][0].rate) == (2, 0.25)
    assert list(some) == ["reverse_splits"]
    assert some["reverse_splits"][0].old_rate == 10
    assert sum(len(rows) for rows in early.values()) == 4
    assert sum(len(rows) for part in (page, rest) for rows in part["corporate_actions"].values()) == 10


def test_the_official_client_hears_the_market():
    heard = []

    async def hear(event):
        heard.append(event)

    with alpaca_server(session(4)) as server:
        stream = StockDataStream(server.keys.key, server.keys.secret, url_override=server.data_stream_url())
        stream.subscribe_bars(hear, "ACME")
        stream.subscribe_quotes(hear, "TGT")
        stream.subscribe_trades(hear, "*")
        thread = threading.Thread(target=stream.run, daemon=True)
        thread.start()
        wait_for(lambda: server.do(lambda broker: broker.feed.listeners) == 1)
        server.step(20)
        wait_for(lambda: len(heard) == 15)
        stream.stop()
        server.do(lambda broker: broker.feed.drop())
        thread.join(PATIENCE_S)
    kinds = [(type(event).__name__, event.symbol) for event in heard]
    assert kinds.count(("Bar", "ACME")) == 4
    assert ("Bar", "TGT") not in kinds
    assert ("Quote", "ACME") not in kinds
    assert next(event for event in heard if type(event).__name__ == "Bar").timestamp == OPEN


@contextlib.contextmanager
def opened(server, feed="iex"):
    with connect(server.data_stream_url(feed)) as socket:
        assert json.loads(socket.recv()) == [{"T": "success", "msg": "connected"}]
        yield socket


def said(socket, message):
    socket.send(json.dumps(message) if not isinstance(message, str) else message)
    return json.loads(socket.recv(timeout=10))[0]


def auth(server):
    return {"action": "auth", "key": server.keys.key, "secret": server.keys.secret}


def test_every_mistake_has_a_number(server):
    with opened(server) as socket:
        assert said(socket, "{")["code"] == 400
        assert said(socket, {"action": "dance"})["code"] == 400
        assert said(socket, {"action": "subscribe", "bars": ["ACME"]})["code"] == 401
        assert said(socket, {**auth(server), "secret": "no"}) == {"T": "error", "code": 402, "msg": "auth failed"}
    with opened(server) as socket:
        assert said(socket, auth(server)) == {"T": "success", "msg": "authenticated"}
        assert said(socket, auth(server))["code"] == 403
        with opened(server, "sip") as other:
            assert said(other, auth(server)) == {"T": "error", "code": 406, "msg": "connection limit exceeded"}
        server.do(lambda broker: setattr(broker.feed, "most_symbols", 2))
        assert said(socket, {"action": "subscribe", "trades": ["A", "B"], "quotes": ["A"]})["code"] == 405
        assert said(socket, {"action": "subscribe", "orderbooks": ["A"]})["code"] == 410
        assert said(socket, {"action": "subscribe", "bars": "A"})["code"] == 400
    wait_for(lambda: server.do(lambda broker: len(broker.feed._listeners)) == 0)
    server.do(lambda broker: broker.feed.feeds.discard("sip"))
    with opened(server, "sip") as socket:
        assert said(socket, auth(server))["code"] == 409


def test_who_shows_no_keys_is_shown_out(server):
    server.do(lambda broker: setattr(broker.feed, "auth_s", 0.01))
    with opened(server) as socket:
        assert json.loads(socket.recv(timeout=10))[0]["code"] == 404


def test_a_subscription_is_told_as_it_is(server):
    with opened(server) as socket:
        said(socket, auth(server))
        told = said(socket, {"action": "subscribe", "trades": ["ACME"], "bars": ["*"]})
        assert (told["trades"], told["bars"], told["quotes"], told["corrections"]) == (["ACME"], ["*"], [], ["ACME"])
        told = said(socket, {"action": "unsubscribe", "bars": ["*"]})
        assert (told["trades"], told["bars"]) == (["ACME"], [])


def test_json_and_messagepack_say_the_same():
    with alpaca_server(session(3)) as server:
        server.do(lambda broker: setattr(broker.feed, "most_connections", 2))
        packed = connect(server.data_stream_url(), additional_headers={"Content-Type": "application/msgpack"})
        with opened(server) as plain, packed:
            assert msgpack.unpackb(packed.recv())[0]["msg"] == "connected"
            wanted = {"action": "subscribe", "bars": ["ACME"]}
            said(plain, auth(server))
            said(plain, wanted)
            for message in (auth(server), wanted):
                packed.send(msgpack.packb(message))
                packed.recv()
            server.step(4)
            text, binary = plain.recv(timeout=10), packed.recv(timeout=10)
    (one,), (other,) = json.loads(text), msgpack.unpackb(binary)
    assert other["t"].to_datetime() == dt.datetime.fromisoformat(one["t"])
    assert {**one, "t": None} == {**other, "t": None}
