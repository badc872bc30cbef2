"""Synthetic quotes: valid, on the path of the bars, and wider when the market is wild."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fairlead.core.errors import DataNotFound, UnknownName
from fairlead.core.events import Quote
from fairlead.core.time import day_to_date
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.synthetic import QUOTE_SCHEMA, SyntheticSettings, generate_bars, generate_quotes, quote_events
from fairlead.data.synthetic.market import Market

SESSION = dt.date(2024, 11, 27)


@pytest.fixture(scope="module")
def xnys():
    return ExchangeCalendar.get("XNYS")


def settings(**changes):
    return SyntheticSettings(**{"symbols": 3, "start": "2024-11-25", "end": "2024-12-04", **changes})


def numbers(table, *names):
    return tuple(table[name].to_numpy() for name in names)


def stamps(table, name="known"):
    return table[name].combine_chunks().view(pa.int64()).to_numpy()


def relative_spreads(table):
    bid, ask = numbers(table, "bid", "ask")
    return (ask - bid) / (0.5 * (ask + bid))


def test_quotes_are_valid(xnys):
    """Bid below ask, both on the tick, sizes positive round lots, stamps strictly increasing and in session."""
    table = generate_quotes(settings(), xnys, "SYN002", SESSION)
    bid, ask, bid_size, ask_size = numbers(table, "bid", "ask", "bid_size", "ask_size")
    assert table.schema.equals(QUOTE_SCHEMA)
    assert (bid < ask).all()
    assert (bid > 0).all()
    for price in (bid, ask):
        assert (price == np.rint(price * 100) / 100).all()
    for size in (bid_size, ask_size):
        assert (size >= 100).all()
        assert (size % 100 == 0).all()
        assert size.mean() == pytest.approx(500, rel=0.05)
    known = stamps(table)
    opens, closes = xnys.bounds(np.array([(SESSION - dt.date(1970, 1, 1)).days], np.int32))
    assert (np.diff(known) > 0).all()
    assert opens[0] < known[0]
    assert known[-1] <= closes[0]


def test_quotes_are_labelled_synthetic(xnys):
    table = generate_quotes(settings(), xnys, "SYN001", SESSION)
    assert table.schema.metadata[b"provenance"].startswith(b"SYNTHETIC")
    assert table.schema.metadata[b"synthetic"] == b"true"


def test_quotes_arrive_at_the_rate_asked_for_and_most_at_the_open(xnys):
    known = stamps(generate_quotes(settings(), xnys, "SYN001", SESSION))
    assert len(known) == pytest.approx(20 * 390, rel=0.05)
    minute = (known - known[0]) // 60_000_000_000
    assert (minute < 30).sum() > 2 * ((minute >= 180) & (minute < 210)).sum()


def test_the_middle_stays_within_its_bar(xnys):
    """A strategy that sees bars and one that sees quotes see the same market."""
    chosen = settings(quotes={"spread_bps": 20, "per_minute": 60})
    quotes = generate_quotes(chosen, xnys, "SYN003", SESSION)
    bars = generate_bars(chosen, xnys)
    bars = bars.filter(pc.and_(pc.equal(bars["symbol"], "SYN003"), pc.equal(bars["session"], pa.scalar(SESSION))))
    bar = np.searchsorted(stamps(bars), stamps(quotes))
    bid, ask = numbers(quotes, "bid", "ask")
    low, high = numbers(bars, "low", "high")
    middle = 0.5 * (bid + ask)
    # Placing both sides on the tick moves the middle by at most half a tick.
    assert (middle >= low[bar] - 0.0051).all()
    assert (middle <= high[bar] + 0.0051).all()
    assert (np.diff(middle) != 0).mean() > 0.3, "quotes move within a bar, not only between bars"


def test_the_spread_is_wide_at_open_and_close(xnys):
    chosen = settings(start_price=(2000, 2000), quotes={"per_minute": 100, "spread_bps": 5})
    table = generate_quotes(chosen, xnys, "SYN001", SESSION)
    spread, known = relative_spreads(table), stamps(table)
    minute = (known - known[0]) // 60_000_000_000
    first, middle, last = (spread[(minute >= a) & (minute < b)].mean() for a, b in ((0, 30), (180, 210), (360, 391)))
    assert first > 1.3 * middle
    assert last > 1.2 * middle
    regime = Market.draw(chosen, xnys)
    scale = regime.activity[list(map(day_to_date, regime.session)).index(SESSION)] / chosen.regimes.multipliers()[1]
    assert middle == pytest.approx(5e-4 * scale, rel=0.05)


def test_the_spread_is_wide_in_a_storm(xnys):
    chosen = settings(start="2023-01-03", end="2024-12-31", start_price=(2000, 2000), quotes={"spread_bps": 5})
    market = Market.draw(chosen, xnys)
    calm, storm = (day_to_date(int(market.session[market.regime == state][0])) for state in (0, 2))
    wide, tight = (relative_spreads(generate_quotes(chosen, xnys, "SYN001", day)).mean() for day in (storm, calm))
    assert wide / tight == pytest.approx(2.2 / 0.6, rel=0.1)


def test_a_tight_spread_is_one_tick(xnys):
    chosen = settings(start_price=(20, 20), quotes={"spread_bps": 0.01})
    bid, ask = numbers(generate_quotes(chosen, xnys, "SYN001", SESSION), "bid", "ask")
    assert set(np.rint((ask - bid) * 100)) == {1.0}


def test_quotes_do_not_depend_on_other_symbols(xnys):
    alone = generate_quotes(settings(symbols=("SYN002",)), xnys, "SYN002", SESSION)
    together = generate_quotes(settings(), xnys, "SYN002", SESSION)
    assert alone.equals(together)


def test_daily_settings_give_quotes_on_one_minute_bars(xnys):
    assert generate_quotes(settings(bar_size="1d"), xnys, "SYN001", SESSION).equals(
        generate_quotes(settings(), xnys, "SYN001", SESSION)
    )


def test_events_are_the_rows(xnys):
    table = generate_quotes(settings(), xnys, "SYN001", SESSION)
    events = list(quote_events(table))
    assert len(events) == table.num_rows
    first = table.slice(0, 1).to_pydict()
    assert events[0] == Quote(
        "SYN001", int(stamps(table)[0]), first["bid"][0], first["ask"][0], first["bid_size"][0], first["ask_size"][0]
    )


def test_a_rare_quote_may_not_come_at_all(xnys):
    """No arrivals is a legal session: an empty table of the right schema."""
    table = generate_quotes(settings(quotes={"per_minute": 1e-6}), xnys, "SYN001", SESSION)
    assert table.num_rows == 0
    assert table.schema.equals(QUOTE_SCHEMA)
    assert list(quote_events(table)) == []


def test_an_unknown_symbol_is_answered_with_the_known(xnys):
    with pytest.raises(UnknownName, match="no synthetic symbol named 'SYN01'; did you mean 'SYN001'"):
        generate_quotes(settings(), xnys, "SYN01", SESSION)


@pytest.mark.parametrize("day", [dt.date(2024, 11, 28), dt.date(2024, 12, 5), dt.date(2024, 11, 22)])
def test_a_day_that_was_not_generated_is_refused(xnys, day):
    """A holiday, and the sessions after the end and before the start."""
    with pytest.raises(DataNotFound, match=f"{day} is not a session of XNYS from 2024-11-25 to 2024-12-04"):
        generate_quotes(settings(), xnys, "SYN001", day)
