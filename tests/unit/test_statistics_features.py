"""Statistics, regressions, sessions and money flow: by hand, against pandas and TA-Lib, and from the stamps of a frame."""

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
import talib

from fairlead.core.errors import ContractError, DataError, UnknownName
from fairlead.data.bundled import bundled_bars
from fairlead.features import compute
from support_features import random_bars

NAN = math.nan


def close(*prices):
    return pd.DataFrame({"close": np.array(prices, float)})


def check(values, expected, tolerance=1e-12):
    np.testing.assert_allclose(np.asarray(values), expected, rtol=tolerance, atol=tolerance)


def stamped(stamps, **columns):
    return pd.DataFrame({key: np.array(values, float) for key, values in columns.items()}, index=stamps)


# by hand


def test_momentum_leaves_the_most_recent_bars_out():
    check(compute("momentum", close(10, 11, 12, 15, 90), n=2, skip=1), [NAN, NAN, NAN, 0.2, 4 / 11])
    check(compute("momentum", close(10, 11, 12), n=2), [NAN, NAN, 0.2])
    check(compute("momentum", close(0, 11, 12, -1, 5), n=1, skip=1), [NAN, NAN, NAN, 1 / 11, NAN])


def test_rank_counts_the_others_below_and_half_of_those_that_are_equal():
    check(compute("rolling_rank", close(1, 2, 3, 0, 0, 5), n=3), [NAN, NAN, 1, 0, 0.25, 1])
    check(compute("rolling_rank", close(7, 7, 7), n=3), [NAN, NAN, 0.5])


def test_median_and_quantile():
    check(compute("rolling_median", close(9, 1, 5, 5, 0), n=3), [NAN, NAN, 5, 5, 5])
    check(compute("rolling_median", close(9, 1, 5, 3), n=4), [NAN, NAN, NAN, 4])
    check(compute("rolling_quantile", close(10, 40, 20, 30, 50), n=4, q=0.25), [NAN, NAN, NAN, 17.5, 27.5])
    check(compute("rolling_quantile", close(10, 40, 20), n=3, q=1.0), [NAN, NAN, 40])
    check(compute("rolling_quantile", close(10, 40, 20), n=3, q=0.0), [NAN, NAN, 10])


def test_skew_and_kurtosis():
    # deviations -1 -1 -1 3: squares 12, cubes 24, fourth powers 84
    check(compute("rolling_skew", close(1, 1, 1, 5), n=4).iloc[-1], 4 * math.sqrt(3) / 2 * 24 / 12**1.5)
    check(compute("rolling_kurtosis", close(1, 1, 1, 5), n=4).iloc[-1], 3 / 2 * (20 * 84 / 144 - 9))
    check(compute("rolling_kurtosis", close(1, 2, 1, 2), n=4).iloc[-1], -6)


def test_no_variance_has_no_shape():
    for name in ("rolling_skew", "rolling_kurtosis", "return_skew", "return_kurtosis"):
        assert compute(name, close(*[0.1] * 6), n=4).iloc[-1] == 0


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_shape_does_not_overflow_or_vanish(scale):
    prices = np.array([1.0, 1.0, 2.0, 5.0, 3.0])
    for name in ("rolling_skew", "rolling_kurtosis"):
        assert compute(name, close(*prices * scale), n=5).iloc[-1] == pytest.approx(compute(name, close(*prices), n=5).iloc[-1])


def test_shape_of_small_moves_on_a_large_level():
    moves = np.array([0.0, 0.25, 0.25, 1.0])
    for name in ("rolling_skew", "rolling_kurtosis"):
        check(compute(name, close(*(1e9 + moves)), n=4).iloc[-1], compute(name, close(*(moves + 1)), n=4).iloc[-1])


def returns_of(prices, benchmark):
    return pd.DataFrame({"close": np.array(prices, float), "benchmark": np.array(benchmark, float)})


def test_beta_and_correlation():
    # returns 0.2 -0.1 0.2 and 0.1 -0.05 0.1
    twice = returns_of([100, 120, 108, 129.6], [100, 110, 104.5, 114.95])
    check(compute("beta", twice, n=3), [NAN, NAN, NAN, 2])
    check(compute("correlation", twice, n=3), [NAN, NAN, NAN, 1])
    # returns 0.1 -0.1 against -0.2 0.2
    against = returns_of([100, 110, 99], [100, 80, 96])
    check(compute("beta", against, n=2), [NAN, NAN, -0.5])
    check(compute("correlation", against, n=2), [NAN, NAN, -1])


def test_a_benchmark_or_a_price_that_does_not_move_explains_nothing():
    for frame in (returns_of([1, 2, 5], [3, 3, 3]), returns_of([3, 3, 3], [1, 2, 5])):
        for name in ("beta", "correlation"):
            assert compute(name, frame, n=2).iloc[-1] == 0


def test_a_bar_without_a_return_of_both_is_left_out_of_both():
    prices, benchmark = [100, 120, 108, 129.6], [100, 110, 104.5, 114.95]
    hole = returns_of([*prices[:3], -1, prices[2], prices[3]], [*benchmark[:3], 7, benchmark[2], benchmark[3]])
    check(compute("beta", hole, n=3), [NAN, NAN, NAN, NAN, NAN, 2])


def test_regression_line():
    result = compute("linear_regression", close(1, 3, 2, 4), n=4)  # slope 0.8 through (2.5, 2.5)
    check(result.iloc[-1], [3.7, 0.8, 0.64])
    assert result.columns.tolist() == ["value", "slope", "r_squared"]
    check(compute("linear_regression", close(5, 5, 5), n=3).iloc[-1], [5, 0, 0])


def test_efficiency_ratio():
    check(compute("efficiency_ratio", close(1, 2, 1, 3, 3, 3, 3), n=3), [NAN, NAN, NAN, 0.5, 1 / 3, 1, 0])


def test_realised_variance_is_a_sum_and_realised_volatility_its_annual_root():
    prices = close(1, math.exp(0.3), math.exp(0.7))
    check(compute("realised_variance", prices, n=2), [NAN, NAN, 0.25])
    check(compute("realised_volatility", prices, n=2, periods=200.0), [NAN, NAN, 5])


def test_williams_r():
    bars = pd.DataFrame({"high": [10.0, 12, 11], "low": [8.0, 9, 10], "close": [9.0, 9, 11]})
    check(compute("williams_r", bars, n=2), [NAN, -75, -100 / 3])
    assert compute("williams_r", pd.DataFrame(dict.fromkeys(("high", "low", "close"), [7.0] * 3)), n=2).iloc[-1] == -50


def test_volume_averages_and_flows():
    bars = pd.DataFrame({"close": [10.0, 20, 30, 40], "volume": [0.0, 0, 1, 3]})
    check(compute("vwma", bars, n=2), [NAN, NAN, 30, 37.5])  # a window without volume has no average
    bars = pd.DataFrame({"high": [1.0, 2, 1, 1], "low": [1.0, 2, 1, 1], "close": [1.0, 2, 1, 1], "volume": [9.0, 3, 2, 7]})
    check(compute("mfi", bars, n=2), [NAN, NAN, 75, 0])  # 6 up and 2 down, then 2 down and a standstill
    check(compute("mfi", bars, n=1), [NAN, 100, 0, 50])
    bars = pd.DataFrame({"high": [4.0, 4, 4], "low": [0.0, 0, 4], "close": [3.0, 0, 4], "volume": [8.0, 5, 100]})
    check(compute("accumulation", bars), [4, -1, -1])


# against pandas and TA-Lib


def test_agrees_with_pandas_on_random_bars():
    bars = pd.DataFrame(random_bars(500))
    prices, moves, benchmark = bars["close"], np.log(bars["close"]).diff(), bars["benchmark"].pct_change()
    simple = prices.pct_change()
    expected = {
        ("rolling_rank", 20): (prices.rolling(20).rank() - 1) / 19,
        ("rolling_median", 20): prices.rolling(20).median(),
        ("rolling_median", 7): prices.rolling(7).median(),
        ("rolling_skew", 20): prices.rolling(20).skew(),
        ("rolling_kurtosis", 20): prices.rolling(20).kurt(),
        ("return_skew", 60): moves.rolling(60).skew(),
        ("return_kurtosis", 60): moves.rolling(60).kurt(),
        ("correlation", 60): simple.rolling(60).corr(benchmark),
        ("beta", 60): simple.rolling(60).cov(benchmark) / benchmark.rolling(60).var(),
        ("realised_variance", 20): (moves**2).rolling(20).sum(),
        ("efficiency_ratio", 10): prices.diff(10).abs() / prices.diff().abs().rolling(10).sum(),
        ("vwma", 20): (prices * bars["volume"]).rolling(20).sum() / bars["volume"].rolling(20).sum(),
    }
    for (name, n), values in expected.items():
        check(compute(name, bars, n=n), values, 1e-9)
    check(compute("rolling_quantile", bars, n=20, q=0.1), prices.rolling(20).quantile(0.1), 1e-9)


def line_of_talib(frame):
    prices = frame["close"]
    return [talib.LINEARREG(prices, 14), talib.LINEARREG_SLOPE(prices, 14), talib.CORREL(prices, np.arange(2000.0), 14) ** 2]


TALIB = [
    ("williams_r", {}, lambda f: talib.WILLR(f["high"], f["low"], f["close"], 14)),
    ("mfi", {}, lambda f: talib.MFI(f["high"], f["low"], f["close"], f["volume"], 14)),
    ("accumulation", {}, lambda f: talib.AD(f["high"], f["low"], f["close"], f["volume"])),
    ("linear_regression", {}, line_of_talib),
    ("correlation", {"n": 30}, lambda f: correlation_of_returns(f, 30)),
    ("beta", {"n": 5}, lambda f: talib.BETA(f["benchmark"], f["close"], 5)),
]


def correlation_of_returns(frame, n):
    """TA-Lib's CORREL takes the series themselves, and its returns begin with the second bar."""
    moves = [np.diff(frame[name]) / frame[name][:-1] for name in ("close", "benchmark")]
    return np.concatenate([[NAN], talib.CORREL(*moves, n)])


@pytest.mark.parametrize("source", ["random", "AAPL"])
@pytest.mark.parametrize(("name", "params", "theirs"), TALIB, ids=[row[0] for row in TALIB])
def test_agrees_with_talib(name, params, theirs, source):
    columns = random_bars(2000)
    if source == "AAPL":
        table = bundled_bars()[0].to_pandas()
        rows = table[table["symbol"] == "AAPL"][:2000]
        columns |= {key: rows[key].to_numpy(float) for key in ("open", "high", "low", "close", "volume")}
    ours = np.atleast_2d(compute(name, pd.DataFrame(columns), **params).to_numpy().T)
    expected = np.atleast_2d(theirs(columns))
    begin = int(np.isnan(ours).any(axis=0).argmin())
    assert begin < 100
    check(ours[:, begin:], expected[:, begin:], 1e-9)


# sessions


def new_york(*stamps):
    return pd.DatetimeIndex(stamps).tz_localize("America/New_York")


def two_days():
    stamps = new_york("2024-01-02 15:58", "2024-01-02 15:59", "2024-01-03 09:30", "2024-01-03 09:31")
    return stamped(
        stamps, open=[9, 10, 20, 21], high=[11, 14, 21, 30], low=[9, 10, 19, 18], close=[10, 12, 20, 24], volume=[1, 3, 0, 5]
    )


def test_a_new_session_begins_anew():
    check(compute("session_vwap", two_days()), [10, 11.5, NAN, 24])  # 10 once, 12 three times; nothing traded; only 24
    check(compute("session_return", two_days()), [1 / 9, 1 / 3, 0, 0.2])
    check(compute("session_range", two_days()), [[11, 9, 0.5], [14, 9, 0.6], [21, 19, 0.5], [30, 18, 0.5]])
    check(compute("opening_range", two_days(), n=1), [[11, 9], [11, 9], [21, 19], [21, 19]])
    check(compute("opening_range", two_days(), n=2), [[11, 9], [14, 9], [21, 19], [30, 18]])
    check(compute("time_of_day", two_days(), n=10), [[0, 0], [1, 0.1], [0, 0], [1, 0.1]])


def test_a_row_without_a_bar_opens_no_session():
    bars = two_days()
    bars.iloc[2] = NAN
    check(compute("session_return", bars), [1 / 9, 1 / 3, NAN, 24 / 21 - 1])
    check(compute("time_of_day", bars), [[0, 0], [1, 1 / 390], [NAN, NAN], [0, 0]])


def test_an_open_that_is_no_price_leaves_the_session_without_a_return():
    assert compute("session_return", two_days().assign(open=[0.0, 10, 20, 21])).isna().tolist() == [True, True, False, False]


def test_a_range_of_nothing_has_the_close_in_its_middle():
    flat = stamped(new_york("2024-01-02 09:30"), high=[5], low=[5], close=[5])
    check(compute("session_range", flat), [[5, 5, 0.5]])


def test_daily_bars_are_sessions_of_their_own():
    days = ["2024-01-05", "2024-01-06", "2024-01-08"]  # a Saturday too: dates are taken as they are
    bars = stamped(pd.DatetimeIndex(days), open=[1, 2, 4], close=[2, 3, 5])
    for zone in ("UTC", "America/New_York"):
        frame = bars.tz_localize(zone)
        check(compute("session_return", frame), [1, 0.5, 0.25])
        check(compute("time_of_day", frame)["minutes"], [0, 0, 0])
    frame = pl.DataFrame({"ts": list(bars.index.date), "open": bars["open"].to_numpy(), "close": bars["close"].to_numpy()})
    assert frame["ts"].dtype == pl.Date
    check(compute("session_return", frame), [1, 0.5, 0.25])


def every_minute(*days):
    """One bar a minute of the regular hours in local time, whatever the calendar says."""
    return pd.DatetimeIndex(np.concatenate([pd.date_range(f"{day} 09:30", f"{day} 15:59", freq="min") for day in days]))


def test_a_week_in_which_the_clocks_change():
    """New York left winter time on Sunday 10 March 2024: the opening moved from 14:30 to 13:30 UTC."""
    local = every_minute("2024-03-08", "2024-03-11").tz_localize("America/New_York")
    bars = pd.DataFrame({"close": np.arange(1.0, 781)}, index=local.tz_convert("UTC"))
    assert [str(bars.index[i].time()) for i in (0, 390)] == ["14:30:00", "13:30:00"]
    for frame in (bars, bars.tz_convert("America/New_York"), bars.tz_convert("Asia/Tokyo")):  # Tokyo's date changes in between
        result = compute("time_of_day", frame)
        check(result["minutes"], np.tile(np.arange(390), 2))
        check(result["share"].iloc[-1], 389 / 390)


def test_a_half_day_ends_at_its_own_close_and_has_no_bar_after_it():
    """XNYS closed at 13:00 on 24 December 2024: 210 minutes."""
    stamps = every_minute("2024-12-24", "2024-12-26").tz_localize("America/New_York")
    bars = pd.DataFrame({"close": 1.0}, index=stamps)
    with pytest.raises(ContractError, match=r"must be inside a session of XNYS, was '2024-12-24T18:00:00\.000000Z'.*calendar="):
        compute("time_of_day", bars)
    minutes = compute("time_of_day", bars[(stamps.hour < 13) | (stamps.day == 26)])["minutes"]
    check(minutes, [*range(210), *range(390)])


def test_the_calendar_decides_what_a_session_is():
    """Sunday's and Monday's evening in Chicago belong to Monday's and Tuesday's session of the futures exchange."""
    stamps = pd.DatetimeIndex(["2024-01-07 23:30", "2024-01-08 15:00", "2024-01-08 23:30"], tz="UTC")
    bars = stamped(stamps, open=[1, 2, 4], close=[1, 3, 5])
    check(compute("session_return", bars, calendar="CMES"), [0, 2, 0.25])
    check(compute("session_return", bars, calendar="24/7"), [0, 0.5, 1.5])
    with pytest.raises(ContractError, match="session of XNYS"):
        compute("session_return", bars)
    with pytest.raises(UnknownName, match="no exchange calendar named 'XNYZ'"):
        compute("session_return", bars, calendar="XNYZ")
    ancient = stamped(pd.DatetimeIndex(["1850-01-07 23:30"], tz="UTC"), open=[1], close=[1])
    with pytest.raises(DataError, match="calendar 'XNYS' is known from"):
        compute("session_return", ancient)


def test_every_kind_of_frame_gives_the_same_sessions():
    bars = two_days()
    expected = compute("session_vwap", bars).to_numpy()
    column = bars.rename_axis("Timestamp").reset_index()
    utc = bars.index.tz_convert("UTC").tz_localize(None).to_numpy()
    polars = pl.DataFrame({"ts": utc, **{key: bars[key].to_numpy() for key in bars}}).with_columns(
        pl.col("ts").dt.replace_time_zone("UTC")
    )
    milliseconds = polars.with_columns(pl.col("ts").dt.cast_time_unit("ms").dt.convert_time_zone("America/New_York"))
    for frame in (column, bars.set_axis(bars.index.as_unit("us")), polars, milliseconds):
        np.testing.assert_array_equal(np.asarray(compute("session_vwap", frame)), expected)


def test_an_empty_frame_has_no_sessions():
    assert len(compute("session_vwap", two_days()[:0])) == 0


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (two_days().tz_localize(None), r"'frame.index' must carry a time zone, was '2024-01-02 15:58:00'.*tz_localize"),
        (two_days().tz_localize(None).rename_axis("Date").reset_index(), r"'frame\['Date'\]' must carry a time zone"),
        (two_days().reset_index(drop=True), "'frame' must have time stamps, from which session is computed.*DatetimeIndex"),
        (two_days().reset_index(drop=True).assign(ts=["a", "b", "c", "d"]), r"'frame\['ts'\]' must hold time stamps"),
        (pl.DataFrame({"open": [1.0], "close": [1.0]}), "must have time stamps.*as a column 'ts'"),
        (pl.DataFrame({"ts": [1], "open": [1.0], "close": [1.0]}), r"'frame\['ts'\]' must hold time stamps, was 'Int64'"),
        (
            pl.DataFrame({"ts": [two_days().index[0].to_pydatetime().replace(tzinfo=None)], "open": [1.0], "close": [1.0]}),
            r"'frame\['ts'\]' must carry a time zone, was '2024-01-02 15:58:00'",
        ),
        (
            pl.DataFrame({"ts": [None, two_days().index[0].to_pydatetime()], "open": [1.0, 1.0], "close": [1.0, 1.0]}),
            "must have a stamp in every row, was '1 missing'",
        ),
    ],
)
def test_stamps_that_say_no_session_are_refused(frame, text):
    with pytest.raises(ContractError, match=text):
        compute("session_return", frame)


def test_naive_stamps_are_no_matter_where_no_session_is_needed():
    assert compute("sma", two_days().tz_localize(None), n=1).tolist() == [10, 12, 20, 24]


# columns beyond bars


def test_columns_beyond_bars_are_found_by_name_in_any_letter_case():
    frame = pd.DataFrame({"CLOSE": [100.0, 110, 99], "Benchmark": [100.0, 80, 96]})
    check(compute("beta", frame, n=2), [NAN, NAN, -0.5])
    check(compute("beta", pl.from_pandas(frame), n=2), [NAN, NAN, -0.5])


@pytest.mark.parametrize(
    ("name", "frame", "text"),
    [
        (
            "beta",
            close(1, 2),
            "frame: no column for benchmark; the columns are 'close'. Add the close of the benchmark's bars",
        ),
        (
            "beta",
            returns_of([1], [1]).assign(Benchmark=1.0),
            "columns 'benchmark' and 'Benchmark' both mean 'benchmark'",
        ),
        ("beta", close(1).assign(benchmark="a"), r"'frame\['benchmark'\]' must hold numbers"),
        ("mid", pl.DataFrame({"bid": [1.0]}), "frame: no column for ask; the columns are 'bid'. This feature reads quotes"),
        ("earnings_yield", close(1), "frame: no column for fact.eps; the columns are 'close'. Add under that name"),
    ],
)
def test_a_column_beyond_bars_that_cannot_be_read_is_refused(name, frame, text):
    with pytest.raises(ContractError, match=text):
        compute(name, frame)


def test_quotes_and_facts_are_columns_of_their_names():
    check(compute("mid", pd.DataFrame({"Bid": [1.0, 3], "ASK": [2.0, 5]})), [1.5, 4])
    facts = pl.DataFrame({"Close": [10.0, None, 20.0], "Fact.EPS": [1.0, 1.0, 4.0]})
    check(compute("earnings_yield", facts), [0.1, NAN, 0.2])
    check(compute("eps", facts), [1, NAN, 4])  # as in a run: nothing is known where there is no bar
