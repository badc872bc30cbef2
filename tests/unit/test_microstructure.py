"""Features of quotes by hand (domain §9.2); bars of order flow against plain pandas, and against quotes one by one."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.core.errors import ConfigurationError, ContractError, UnknownName
from fairlead.core.events import Quote
from fairlead.core.time import BarSize
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.synthetic import SyntheticSettings, generate_quotes
from fairlead.features import Stream, compute_symbols
from fairlead.features.order_flow import FlowBar, OrderFlow, bars_of_quotes, read_quotes

NAN = np.nan
GOLDEN = [
    (100.00, 5, 100.02, 7),
    (100.00, 8, 100.02, 7),
    (100.01, 4, 100.02, 7),
    (100.01, 4, 100.02, 3),
    (100.00, 6, 100.01, 9),
]
SIDES = ("bid", "bid_size", "ask", "ask_size")
VALUES = list(FlowBar._fields[2:])


def run(name, rows, session=None, bar=None):
    """Values of shape (outputs, quotes) of one symbol's quotes."""
    columns = dict(zip(SIDES, np.array(rows, float).reshape(-1, 4).T, strict=True))
    columns["session"] = np.array([0.0] * len(rows) if session is None else session, float)
    columns["bar"] = np.array([0.0] * len(rows) if bar is None else bar, float)
    return compute_symbols({"it": name}, {key: values[None] for key, values in columns.items()}, threads=1)["it"][:, 0]


def check(values, *expected):
    np.testing.assert_allclose(values, np.reshape(expected, np.shape(values)), rtol=1e-12, atol=1e-12)


def frame(rows, *stamps):
    table = pd.DataFrame(rows, columns=SIDES, dtype=float)
    table.insert(0, "known", pd.DatetimeIndex(stamps, tz="UTC"))
    return table


# quote by quote


def test_ofi_event_golden():
    check(run("ofi_event", GOLDEN), [NAN, 3, 4, 4, -13])


def test_ofi_golden():
    """The bar so far: the sums 3, 7, 11, -2 of the golden, each over the mean depth until then."""
    depths = np.array([6, 7.5, 5.5, 3.5, 7.5])
    means = np.cumsum(depths) / np.arange(1, 6)
    check(run("ofi", GOLDEN), [NAN, *np.array([3, 7, 11, -2]) / means[1:]])
    assert run("ofi", GOLDEN)[0, -1] == -2 / 6


def test_volume_imbalance_golden():
    """(B - A) / (B + A): one-sided books are at the ends of the range, and no depth at all is neutral."""
    rows = [(10, 3, 11, 1), (10, 1, 11, 3), (10, 5, 11, 0), (10, 0, 11, 5), (10, 0, 11, 0)]
    check(run("volume_imbalance", rows), [0.5, -0.5, 1, -1, 0])
    check(run("bar_imbalance", rows), [0.5, 0, 1 / 3, 0, 0])


def test_prices_of_a_quote():
    rows = [(99, 1, 101, 3), (99, 3, 101, 1), (100, 1, 100, 1), (99, 0, 101, 0)]
    check(run("mid", rows), [100, 100, 100, 100])
    check(run("spread", rows), [2, 2, 0, 2], [200, 200, 0, 200])
    check(run("microprice", rows), [99.5, 100.5, 100, NAN])  # a thin bid draws it down; no depth, no price
    check(run("bar_spread", rows), [2, 2, 4 / 3, 1.5], [200, 200, 400 / 3, 150])


def test_realised_variance_of_the_middle_adds_up_over_bars():
    rows = [(price, 1, price, 1) for price in (100, 110, 99, 99)]
    up, down = np.log(1.1) ** 2, np.log(0.9) ** 2
    check(run("bar_variance", rows), [NAN, up, up + down, up + down])
    check(run("bar_variance", rows, bar=[0, 0, 1, 1]), [NAN, up, down, down])
    check(run("bar_variance", rows, session=[0, 0, 1, 1], bar=[0, 0, 1, 1]), [NAN, up, NAN, 0])


def test_a_depth_of_zero_has_no_imbalance_of_flow():
    empty = [(100, 0, 101, 0)] * 2
    check(run("ofi", empty), [NAN, NAN])
    check(run("ofi", [*empty, (100, 4, 101, 2)]), [NAN, NAN, (4 - 2) / 1])


def test_no_flow_is_carried_over_a_session_break():
    """The first quote of a session has no predecessor, even if the caller lets the bar number run on."""
    session = [0, 0, 0, 1, 1]
    check(run("ofi_event", GOLDEN, session), [NAN, 3, 4, NAN, -13])
    for bar in ([0, 0, 0, 1, 1], [0] * 5):
        check(run("ofi", GOLDEN, session, bar)[:, 3:], [NAN, -13 / 5.5])


def test_flow_is_carried_from_bar_to_bar_within_a_session():
    check(run("ofi", GOLDEN, bar=[0, 0, 0, 1, 1]), [NAN, 3 / 6.75, 7 / (19 / 3), 4 / 3.5, -9 / 5.5])


@pytest.mark.parametrize(
    "bad",
    [(101, 5, 100, 5), (0, 5, 100, 5), (-1, 5, 100, 5), (-2, 5, -1, 5), (100, -1, 101, 5), (100, 5, 101, -1), (NAN, 5, 101, 5)],
)
def test_a_quote_that_does_not_count_leaves_no_trace(bad):
    """Crossed, not positive, of negative size, incomplete: NaN, and the next quote is compared with the last that counted."""
    for place in range(1, len(GOLDEN) + 1):
        rows = [*GOLDEN[:place], bad, *GOLDEN[place:]]
        for name in ("ofi_event", "ofi", "microprice", "volume_imbalance", "bar_imbalance", "bar_spread", "bar_variance"):
            values = run(name, rows)
            assert np.isnan(values[:, place]).all()
            np.testing.assert_array_equal(np.delete(values, place, axis=1), run(name, GOLDEN))


def test_mid_and_spread_look_at_prices_alone():
    rows = [(101, 1, 100, 1), (0, 1, 100, 1), (100, -1, 101, NAN)]
    check(run("mid", rows[:2]), [NAN, NAN])
    check(run("spread", rows[:2]), [NAN, NAN], [NAN, NAN])
    prices = {"bid": np.array([[100.0]]), "ask": np.array([[101.0]])}
    assert compute_symbols({"it": "mid"}, prices)["it"][0, 0, 0] == 100.5


def test_a_locked_quote_counts():
    """Bid equal to ask: a size of 2 gone from the ask, and 9 more at a better bid."""
    check(run("ofi_event", [(100, 5, 101, 7), (101, 9, 101, 5)]), [NAN, 9 + 2])


# whatever the quotes

TICKS = st.integers(1, 6)
QUOTES = st.lists(st.tuples(TICKS, st.integers(0, 9), TICKS, st.integers(0, 9)), min_size=1, max_size=40).map(
    lambda rows: [
        (0.25 * (40 + bid), bid_size, 0.25 * (40 + bid + width - 1), ask_size) for bid, bid_size, width, ask_size in rows
    ]
)


@given(QUOTES, st.integers(1, 5))
def test_swapping_the_sides_turns_the_flow_round(rows, length):
    bar = np.arange(len(rows)) // length
    mirrored = [(100 - ask, ask_size, 100 - bid, bid_size) for bid, bid_size, ask, ask_size in rows]
    for name in ("ofi_event", "ofi", "volume_imbalance", "bar_imbalance"):
        np.testing.assert_array_equal(run(name, mirrored, bar=bar), -run(name, rows, bar=bar))


@given(QUOTES, st.integers(1, 5), st.floats(0.01, 1000))
def test_the_unit_of_sizes_does_not_matter(rows, length, factor):
    bar = np.arange(len(rows)) // length
    scaled = [(bid, factor * bid_size, ask, factor * ask_size) for bid, bid_size, ask, ask_size in rows]
    np.testing.assert_allclose(run("ofi", scaled, bar=bar), run("ofi", rows, bar=bar), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(run("ofi_event", scaled), factor * run("ofi_event", rows), rtol=1e-9, atol=1e-9)


@given(st.floats(1e-6, 1e9), st.floats(1, 2), st.floats(0, 1e12), st.floats(0, 1e12))
def test_the_microprice_lies_between_bid_and_ask(bid, ratio, bid_size, ask_size):
    ask = bid * ratio
    (price,) = run("microprice", [(bid, bid_size, ask, ask_size)])[:, 0]
    assert np.isnan(price) if bid_size + ask_size == 0 else bid <= price <= ask


@given(QUOTES)
def test_the_flow_of_a_bar_is_the_sum_of_its_events(rows):
    depth = np.mean([0.5 * (bid_size + ask_size) for _, bid_size, _, ask_size in rows])
    expected = NAN if depth == 0 or len(rows) == 1 else np.nansum(run("ofi_event", rows)) / depth
    check(run("ofi", rows)[0, -1], expected)


# bars


@pytest.fixture(scope="module")
def market():
    """Two sessions around a holiday, the second with an early close, and a share of quotes that do not count."""
    calendar = ExchangeCalendar.get("XNYS")
    settings = SyntheticSettings(symbols=1, start="2024-11-25", end="2024-12-04", quotes={"per_minute": 6})
    days = (dt.date(2024, 11, 27), dt.date(2024, 11, 29))
    quotes = pd.concat([generate_quotes(settings, calendar, "SYN001", day).to_pandas() for day in days], ignore_index=True)
    rng = np.random.default_rng(5001)
    spoiled = rng.random(len(quotes))
    quotes.loc[spoiled < 0.03, "bid"] = quotes["ask"] + 0.01
    quotes.loc[(spoiled > 0.03) & (spoiled < 0.05), "ask"] = 0.0
    quotes.loc[(spoiled > 0.05) & (spoiled < 0.06), "bid_size"] = NAN
    quotes.loc[:2, "bid"] = quotes["ask"] + 1
    return quotes


def reference(quotes, length, n):
    """The definition, column by column."""
    bar = quotes["known"].dt.floor(length)
    counts = (quotes["bid"] > 0) & (quotes["ask"] >= quotes["bid"]) & (quotes["bid_size"] >= 0) & (quotes["ask_size"] >= 0)
    good = quotes[counts]
    last = good[list(SIDES)].groupby(good["known"].dt.date).shift()
    flow = (
        good["bid_size"].where(good["bid"] >= last["bid"], 0)
        - last["bid_size"].where(good["bid"] <= last["bid"], 0)
        - good["ask_size"].where(good["ask"] <= last["ask"], 0)
        + last["ask_size"].where(good["ask"] >= last["ask"], 0)
    ).where(last["bid"].notna())
    middle = (good["bid"] + good["ask"]) / 2
    depth = good["bid_size"] + good["ask_size"]
    returns = np.log(middle / ((last["bid"] + last["ask"]) / 2))
    by = bar[counts]
    table = pd.DataFrame(
        {
            "ofi": flow.groupby(by).sum(min_count=1) / (depth / 2).groupby(by).mean(),
            "volume_imbalance": ((good["bid_size"] - good["ask_size"]) / depth).groupby(by).mean(),
            "spread": (good["ask"] - good["bid"]).groupby(by).mean(),
            "relative_spread": (1e4 * (good["ask"] - good["bid"]) / middle).groupby(by).mean(),
            "microprice": ((good["bid"] * good["ask_size"] + good["ask"] * good["bid_size"]) / depth).groupby(by).last(),
            "realised_variance": (returns**2).groupby(by).sum(min_count=1),
        }
    ).reindex(np.unique(bar))
    window = table["ofi"].dropna().rolling(n)
    table["ofi_z"] = (table["ofi"].dropna() - window.mean()) / window.std(ddof=1)
    table["quotes"] = counts.groupby(bar).sum()
    table["dropped"] = (~counts).groupby(bar).sum()
    return table[VALUES]


@pytest.mark.parametrize("length", ["1min", "5min", "15min"])
def test_bars_agree_with_plain_pandas(market, length):
    bars = bars_of_quotes(market, length, n=12)
    expected = reference(market, length, 12)
    assert bars.index.equals(pd.DatetimeIndex(expected.index).as_unit("ns"))
    assert bars["dropped"].sum() > 100
    for column in VALUES:
        np.testing.assert_allclose(bars[column], expected[column], rtol=1e-9, atol=1e-9, err_msg=column)
    assert (bars["known"] - bars.index == pd.Timedelta(length)).all()
    assert bars["ofi_z"].notna().sum() == bars["ofi"].notna().sum() - 11


def events(quotes):
    stamps = quotes["known"].dt.tz_convert(None).to_numpy().astype("datetime64[ns]").astype(np.int64).tolist()
    rows = zip(*(quotes[name] for name in ("bid", "ask", "bid_size", "ask_size")), strict=True)
    return [Quote("SYN001", known, *row) for known, row in zip(stamps, rows, strict=True)]


def as_rows(bars):
    """Bars of a frame in the form in which they come one by one."""
    stamps = [pd.DatetimeIndex(values).tz_convert(None).to_numpy().astype(np.int64) for values in (bars.index, bars["known"])]
    return np.column_stack([*stamps, bars[VALUES].to_numpy(float)])


@pytest.mark.parametrize("length", ["5min", "1d"])
def test_quotes_one_by_one_give_the_same_bars_to_the_bit(market, length):
    flow = OrderFlow(length, n=3)
    seen = [bar for quote in events(market) if (bar := flow.update(quote))]
    seen.append(flow.finish())
    expected = bars_of_quotes(market, length, n=3)
    assert len(expected) == (2 if length == "1d" else 78 + 42)
    np.testing.assert_array_equal(np.array(seen, float), as_rows(expected))


def test_the_current_bar_is_what_history_says_of_the_quotes_until_now(market):
    """At every quote, and looking does not change what follows."""
    flow, some = OrderFlow("1min", n=3), market.iloc[:120]
    assert flow.current is None
    for count, quote in enumerate(events(some), start=1):
        flow.update(quote)
        expected = bars_of_quotes(some.iloc[:count], "1min", n=3)
        np.testing.assert_array_equal(np.array([flow.current], float), as_rows(expected)[-1:])


def test_columns_of_quotes_drive_a_stream(market):
    """The features that make the bars can be asked for by their names, live as in history."""
    columns = read_quotes(market.iloc[:300], "5min").columns
    history = compute_symbols({"it": "ofi"}, {name: values[None] for name, values in columns.items()})["it"][0, 0]
    stream = Stream({"it": "ofi"}, symbols=1)
    for t in range(300):
        stream.update({name: values[t : t + 1] for name, values in columns.items()})
        np.testing.assert_array_equal(stream.values("it")[0, 0], history[t])


def test_cutting_the_future_leaves_the_finished_bars_alone(market):
    whole = bars_of_quotes(market, "5min")
    cut = bars_of_quotes(market.iloc[:1000], "5min")
    pd.testing.assert_frame_equal(cut.iloc[:-1], whole.iloc[: len(cut) - 1], check_exact=True)


def test_polars_gives_polars_with_the_same_numbers(market):
    ours = bars_of_quotes(pl.from_pandas(market.rename(columns=str.upper)), BarSize.M5)
    theirs = bars_of_quotes(market.set_index("known").rename_axis(None), "M5")
    assert ours.columns == ["ts", "known", *VALUES]
    assert ours.schema["ts"] == ours.schema["known"] == pl.Datetime("ns", "UTC")
    np.testing.assert_array_equal(ours.select(VALUES).to_numpy(), theirs[VALUES].to_numpy())
    assert ours["ts"].to_list() == list(theirs.index.to_pydatetime())


def test_a_bar_covers_its_opening_and_not_its_end():
    """A quote at the end of a bar opens the next one; one at the close, or before the open, belongs to none."""
    day = "2024-11-27 "
    stamps = [day + time for time in ("14:29:59", "14:30:00", "14:34:59.999999999", "14:35:00", "20:59:59", "21:00:00")]
    bars = bars_of_quotes(frame([(90, 1, 91, 1), *GOLDEN], *stamps), "5min")
    assert [str(stamp)[11:16] for stamp in bars.index] == ["14:30", "14:35", "20:55"]
    check([bars["ofi"]], [3 / 6.75, 4 / 5.5, 4 / 3.5])


def test_bars_end_with_the_session_and_begin_anew_after_lunch():
    """Hong Kong trades from 01:30 to 04:00 and from 05:00 to 08:00 UTC; the book stands over lunch."""
    day = "2024-11-27 "
    quotes = frame(GOLDEN, *(day + time for time in ("01:30", "03:59", "04:30", "05:00", "07:59")))
    bars = bars_of_quotes(quotes, "4h", calendar="XHKG")
    assert [str(stamp)[11:16] for stamp in bars.index] == ["01:30", "05:00"]
    assert [str(stamp)[11:16] for stamp in bars["known"]] == ["04:00", "08:00"]
    assert bars["quotes"].tolist() == [2, 2]
    # The quote at lunch is left out: after it the bid is better with 4, and 4 are gone from the ask.
    check([bars["ofi"]], [3 / 6.75, (4 + 4 - 13) / 5.5])
    (daily,) = bars_of_quotes(quotes, "1d", calendar="XHKG").itertuples()
    assert (str(daily.Index), str(daily.known)) == ("2024-11-27 00:00:00+00:00", "2024-11-27 08:00:00+00:00")


def test_a_bar_whose_quotes_do_not_count_says_so_and_is_no_bar_of_the_window():
    day = "2024-11-27 "
    rows = [*GOLDEN[:2], (101, 1, 100, 1), *GOLDEN[2:]]
    bars = bars_of_quotes(frame(rows, *(day + f"15:0{minute}" for minute in (0, 0, 1, 2, 3, 4))), "1min", n=2)
    assert bars["dropped"].tolist() == [0, 1, 0, 0, 0]
    assert bars["quotes"].tolist() == [2, 0, 1, 1, 1]
    assert bars.drop(columns=["known", "quotes", "dropped"]).iloc[1].isna().all()
    ofi = bars["ofi"].to_numpy()
    check([ofi], [3 / 6.75, NAN, 4 / 5.5, 4 / 3.5, -13 / 7.5])
    # Of two values, one is always half their difference above the mean: 1 / sqrt(2) sample deviations.
    check([bars["ofi_z"]], [NAN, NAN, *np.sign(np.diff(ofi[[0, 2, 3, 4]])) / np.sqrt(2)])


def test_no_quotes_give_no_bars(market):
    for empty in (market.iloc[:0], pl.from_pandas(market.iloc[:0])):
        bars = bars_of_quotes(empty, "5min")
        assert len(bars) == 0
        assert list(bars.columns)[-len(VALUES) :] == VALUES


def test_a_quote_outside_the_sessions_is_no_predecessor(market):
    """Not live either, where it also ends no bar."""
    flow = OrderFlow("5min")
    night = market.iloc[:1].assign(known=market["known"].iloc[0] - pd.Timedelta("1h"), bid=1.0, ask=2.0)
    quotes = pd.concat([night, market.iloc[3:40]])
    pd.testing.assert_frame_equal(bars_of_quotes(quotes, "5min"), bars_of_quotes(market.iloc[3:40], "5min"))
    assert flow.update(events(night)[0]) is None
    assert flow.current is None
    assert flow.finish() is None


def test_an_ended_bar_takes_no_more_quotes(market):
    flow = OrderFlow("5min")
    first, second = events(market)[3:5]
    flow.update(second)
    with pytest.raises(ContractError, match="'quote' must not be older than 2024-11-27T14:3"):
        flow.update(first)
    assert flow.finish().quotes == 1
    with pytest.raises(ContractError, match="'quote' must not be older than 2024-11-27T14:35:00"):
        flow.update(second)


@pytest.mark.parametrize(
    ("change", "arguments", "error", "text"),
    [
        (lambda q: q["bid"], {}, ContractError, "'frame' must be a pandas or polars DataFrame, was 'Series'"),
        (lambda q: q.drop(columns="ask_size"), {}, ContractError, "frame: no column for ask_size"),
        (lambda q: q.drop(columns="known"), {}, ContractError, "'quotes' must say when each was known.*Add a column 'known'"),
        (lambda q: q.assign(known=q["known"].dt.tz_localize(None)), {}, ContractError, "must hold instants with a time zone"),
        (lambda q: pl.from_pandas(q).with_columns(known=pl.lit("x")), {}, ContractError, "must hold instants with a time zone"),
        (lambda q: q.assign(known=q["known"].where(q.index > 2)), {}, ContractError, "must have a stamp in every row"),
        (lambda q: q[::-1], {}, ContractError, "'quotes' must have their rows in order of time"),
        (lambda q: q.assign(symbol=["A", *["B"] * 9]), {}, ContractError, "'frame' must hold one symbol"),
        (lambda q: q.assign(known=q["known"] - pd.Timedelta("5h")), {}, ContractError, "'quotes' must lie in sessions of XNYS"),
        (lambda q: q.assign(known=q["known"] - pd.Timedelta("8D")), {"calendar": "XTKS"}, ContractError, "in sessions of XTKS"),
        (lambda q: q, {"calendar": "NOWHERE"}, UnknownName, "no exchange calendar named 'NOWHERE'"),
        (lambda q: q, {"bar_size": "2min"}, ConfigurationError, "'bar_size' must be one of"),
        (lambda q: q, {"n": 1}, ConfigurationError, "'n' must be >= 2"),
    ],
)
def test_quotes_that_cannot_be_read_are_refused(market, change, arguments, error, text):
    with pytest.raises(error, match=text):
        bars_of_quotes(change(market.iloc[:10]), **{"bar_size": "5min", **arguments})
