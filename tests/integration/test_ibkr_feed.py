"""The feed of Interactive Brokers over a socket: bars once and in order, through whatever happens to the way."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from fairlead.core.errors import ConfigurationError, DataError, UnknownName
from fairlead.core.events import Bar
from fairlead.core.time import NS_PER_MINUTE, BarSize
from fairlead.data.live import FeedNotice, NoticeKind, open_feed
from fairlead.data.live.settings import LiveDataSettings
from fairlead.data.vendors.ibkr.feed import IbkrFeed
from fairlead.data.vendors.ibkr.opening import IbkrKind
from fairlead.execution.brokers.simulated.account import SimulatedAccount
from fairlead.practice.market import PracticeMarket
from fairlead.practice.tws import TwsServer, TwsSettings
from support_feeds import OPEN_NS, minute_bar, notices, run

BARS = [minute_bar(minute, symbol, 10.0 + minute + i) for minute in range(12) for i, symbol in enumerate(("A", "B"))]
FAST = {"base_s": 0.01, "cap_s": 0.02, "first_attempts": 2}


class Stand:
    """A feed with a server of the protocol behind it, whose market the test steps."""

    def __init__(self) -> None:
        self.market = PracticeMarket(BARS, bar_size=BarSize.M1, calendar="XNYS")
        self.now_ns = OPEN_NS
        self.seen = []
        account = SimulatedAccount("DU1234567", symbols=("A", "B"), now_ns=self.clock)
        self.server = TwsServer(account, TwsSettings(paces_history=False), now_ns=self.clock, market=self.market)
        self.feed: IbkrFeed
        self._task: asyncio.Task[None] | None = None

    def clock(self) -> int:
        return self.now_ns

    def make(self, **given) -> IbkrFeed:
        data = LiveDataSettings.model_validate(
            {"type": "live", "feed": "ibkr", "symbols": ["A", "B"], "reconnect": FAST, "max_age_s": 600, **given}
        )
        kind = IbkrKind(port=self.server.port, kind="paper", answer_s=0.5)
        return IbkrFeed(kind, data, now_ns=self.clock, uniform=lambda: 1.0, check_s=0.01)

    async def begin(self, symbols=("A", "B"), since_ns=None) -> None:
        await self.feed.connect()
        await self.feed.subscribe(symbols, since_ns)
        self._task = asyncio.create_task(self._read())
        await self.subscribed(len(symbols))

    async def subscribed(self, count: int) -> None:
        await until_real(lambda: len(self.server.feeds._real_time) == count)

    async def _read(self) -> None:
        async for received in self.feed:
            self.seen.append(received)

    def step(self, count: int = 1) -> None:
        """Let so many minutes happen."""
        for _ in range(count):
            self.market.step()
            self.now_ns = self.market.now_ns

    @property
    def bars(self) -> list[Bar]:
        return [one.event for one in self.seen if isinstance(one.event, Bar)]

    @property
    def texts(self) -> list[str]:
        return [one.event.text for one in self.seen if isinstance(one.event, FeedNotice)]

    async def has(self, count: int) -> None:
        await until_real(lambda: len(self.bars) >= count)

    async def told(self, kind: NoticeKind, times: int = 1) -> None:
        await until_real(lambda: notices(self.seen).count(kind) >= times)

    async def close(self) -> None:
        await self.feed.close()
        if self._task is not None:
            await self._task
        await self.server.stop()


async def until_real(condition) -> None:
    """Let sockets and short waits happen until something is so."""
    while not condition():  # noqa: ASYNC110  it is another's state, and nobody tells of it
        await asyncio.sleep(0.001)


@asynccontextmanager
async def stood(**given):
    stand = Stand()
    await stand.server.start()
    stand.feed = stand.make(**given)
    try:
        yield stand
    finally:
        await stand.close()


def play(body, **given):
    async def played():
        async with stood(**given) as stand:
            await body(stand)

    run(played())


def test_bars_come_once_in_order_and_as_they_were():
    async def body(stand):
        await stand.begin()
        stand.step(4)
        await stand.has(8)
        assert sorted(stand.bars, key=lambda bar: (bar.known_ns, bar.symbol)) == BARS[:8]
        assert notices(stand.seen)[0] is NoticeKind.CONNECTED
        state = stand.feed.state
        assert state.connected
        assert (state.events, state.lost, state.last_event_ns) == (8, 0, BARS[7].known_ns)

    play(body)


def test_longer_bars_are_made_of_what_comes():
    async def body(stand):
        await stand.begin(("A",))
        stand.step(10)
        await stand.has(2)
        minutes = [bar for bar in BARS if bar.symbol == "A"]
        first = stand.bars[0]
        assert (first.label_ns, first.known_ns) == (OPEN_NS, OPEN_NS + 5 * NS_PER_MINUTE)
        assert (first.open, first.close) == (minutes[0].open, minutes[4].close)
        assert (first.high, first.low) == (max(b.high for b in minutes[:5]), min(b.low for b in minutes[:5]))
        assert first.volume == sum(bar.volume for bar in minutes[:5])

    play(body, bar_size="5min")


def test_what_was_since_an_instant_comes_first():
    async def body(stand):
        stand.step(5)
        await stand.begin(("A",), since_ns=BARS[2].known_ns)
        await stand.has(3)
        stand.step()
        await stand.has(4)
        assert stand.bars == [bar for bar in BARS if bar.symbol == "A"][2:6]

    play(body)


@pytest.mark.parametrize("code", [1101, 1102])
def test_what_was_missed_while_the_way_was_cut_is_asked_for(code):
    async def body(stand):
        await stand.begin()
        stand.step(2)
        await stand.has(4)
        stand.server.switches.is_cut_off = True
        stand.server.notify(1100, "lost")
        await stand.told(NoticeKind.DISCONNECTED)
        assert not stand.feed.state.connected
        stand.step(3)
        stand.server.switches.is_cut_off = False
        if code == 1101:
            stand.server.feeds.forget()
        stand.server.notify(code, "restored")
        await stand.has(10)
        stand.step()
        await stand.has(12)
        assert sorted(stand.bars, key=lambda bar: (bar.known_ns, bar.symbol)) == BARS[:12]
        assert NoticeKind.GAP not in notices(stand.seen)

    play(body)


def test_a_lost_connection_is_sought_again_and_nothing_is_missing():
    async def body(stand):
        await stand.begin()
        stand.step(2)
        await stand.has(4)
        stand.server.drop()
        await stand.told(NoticeKind.DISCONNECTED)
        stand.step(2)
        await stand.told(NoticeKind.CONNECTED, 2)
        await stand.has(8)
        stand.step()
        await stand.has(10)
        assert sorted(stand.bars, key=lambda bar: (bar.known_ns, bar.symbol)) == BARS[:10]
        assert stand.feed.state.reconnects == 1

    play(body)


@pytest.mark.parametrize("code", [354, 10090, 10167, 10197])
def test_data_that_is_not_live_makes_the_feed_unusable(code):
    async def body(stand):
        await stand.begin()
        request_id = next(request for _, request in stand.server.feeds._real_time)
        stand.server.notify(code, "not live", request_id)
        await stand.told(NoticeKind.STALE)
        assert stand.feed.state.stale
        assert any(text.startswith("unusable:") and f"({code})" in text for text in stand.texts)
        stand.step()
        await stand.told(NoticeKind.FRESH)
        assert not stand.feed.state.stale

    play(body)


def test_a_subscription_that_is_refused_makes_the_feed_unusable():
    async def body(stand):
        stand.server.switches.market_data_error = 354
        await stand.feed.connect()
        await stand.feed.subscribe(["A"])
        stand._task = asyncio.create_task(stand._read())
        await stand.told(NoticeKind.STALE)
        assert "(420)" in stand.texts[-1]

    play(body)


def test_a_bar_of_which_a_part_was_missed_is_asked_for():
    async def body(stand):
        stand.step()
        stand.now_ns += 30_000_000_000  # in the middle of the second minute
        await stand.begin(("A",))
        stand.step()
        await stand.has(1)
        assert stand.bars == [BARS[2]]
        assert stand.feed.state.lost == 0

    play(body)


def test_a_bar_of_which_a_part_was_missed_and_cannot_be_had_is_a_gap():
    async def body(stand):
        stand.step()
        stand.now_ns += 30_000_000_000
        await stand.begin(("A",))
        stand.server.switches.history_error = "it is broken"
        stand.step()
        await stand.told(NoticeKind.GAP)
        assert stand.bars == []
        assert stand.feed.state.lost == 1

    play(body)


def test_a_feed_without_data_becomes_stale():
    async def body(stand):
        await stand.begin()
        stand.now_ns += 11 * NS_PER_MINUTE
        await stand.told(NoticeKind.STALE)
        assert stand.feed.state.stale

    play(body)


def test_unknown_symbols_are_refused_by_name():
    async def body(stand):
        await stand.feed.connect()
        with pytest.raises(UnknownName, match=r"no symbol .* named 'AX'.* Known: A, B\."):
            await stand.feed.subscribe(["A", "AX"])

    play(body)


def test_subscribing_needs_a_connection_and_has_a_limit():
    async def body(stand):
        with pytest.raises(DataError, match="not connected"):
            await stand.feed.subscribe(["A"])
        await stand.feed.connect()
        with pytest.raises(DataError, match="100 lines"):
            await stand.feed.subscribe([f"S{i}" for i in range(101)])

    play(body)


def test_closing_ends_the_bars_and_can_be_repeated():
    async def body(stand):
        await stand.begin()
        stand.step()
        await stand.has(2)
        await stand.feed.close()
        await stand.feed.close()
        assert not stand.feed.state.connected
        assert [one async for one in stand.feed] == []

    play(body)


def test_nobody_there_and_the_wrong_account_are_told():
    async def body(stand):
        stand.server.money.shown_id = "U1234567"
        with pytest.raises(DataError, match="paper account, and U1234567 is a live one"):
            await stand.feed.connect()
        await stand.server.stop()
        with pytest.raises(DataError, match=r"cannot reach the gateway .*\(502\)"):
            await stand.feed.connect()
        assert stand.feed.state.failures == 2

    play(body)


def test_the_feed_is_opened_by_its_name_and_takes_its_params():
    data = {"type": "live", "feed": "ibkr", "symbols": ["A"], "params": {"port": 4002}}
    feed = open_feed(LiveDataSettings.model_validate(data), now_ns=lambda: 0)
    assert isinstance(feed, IbkrFeed)
    with pytest.raises(ConfigurationError, match="'port'"):
        open_feed(LiveDataSettings.model_validate({**data, "params": {"port": 0}}), now_ns=lambda: 0)
    with pytest.raises(ConfigurationError, match="aggregate"):
        open_feed(LiveDataSettings.model_validate({**data, "aggregate": {"source": "trades"}}), now_ns=lambda: 0)
    with pytest.raises(ConfigurationError, match="bar_size"):
        open_feed(LiveDataSettings.model_validate({**data, "bar_size": "1d"}), now_ns=lambda: 0)
