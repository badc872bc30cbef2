"""Formulas of the shipped features, by hand (domain §9.6) and against TA-Lib."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import talib

from fairlead.data.bundled import bundled_bars
from fairlead.features import compute
from fairlead.features.registry import shipped_features
from support_features import random_bars

NAN = math.nan


def close(*prices):
    return pd.DataFrame({"close": np.array(prices, float)})


def check(values, expected):
    np.testing.assert_allclose(values.to_numpy(), expected, rtol=1e-12, atol=1e-12)


def test_simple_and_log_return():
    check(compute("simple_return", close(10, 11, 12.1), n=1), [NAN, 0.1, 0.1])
    check(compute("simple_return", close(10, 11, 15), n=2), [NAN, NAN, 0.5])
    check(compute("log_return", close(10, 11, 10 * math.e), n=2), [NAN, NAN, 1.0])


@pytest.mark.parametrize("name", ["simple_return", "log_return"])
def test_a_non_positive_price_has_no_return_and_none_comes_from_it(name):
    values = compute(name, close(10, 0, 10, -5, 5, 5))
    assert values.isna().tolist() == [True, True, True, True, True, False]


def test_moving_averages():
    check(compute("sma", close(1, 2, 6, 4), n=3), [NAN, NAN, 3, 4])
    check(compute("ema", close(1, 2, 6, 4), n=3), [NAN, NAN, 3, 3.5])  # the seed is the mean of three; alpha is 1/2
    check(compute("wma", close(1, 2, 6, 4), n=3), [NAN, NAN, 23 / 6, 26 / 6])


def test_a_window_forgets_a_huge_value_completely():
    """A running sum would keep its rounding error for ever."""
    for name, expected in (("sma", 0.2), ("rolling_std", 0.1), ("zscore", 1.0)):
        assert compute(name, close(1e17, 0.1, 0.2, 0.3), n=3).iloc[-1] == pytest.approx(expected, rel=1e-14)


def test_deviation_of_small_moves_on_a_large_level_is_not_cancelled():
    assert compute("rolling_std", close(1e9 + 0.25, 1e9 + 0.5, 1e9 + 0.75), n=3).iloc[-1] == 0.25


def test_volatility_is_the_sample_deviation_of_log_returns_annualised():
    values = compute("volatility", close(1, math.exp(0.01), math.exp(0.04)), n=2, periods=100.0)
    check(values, [NAN, NAN, math.sqrt(0.0002) * 10])  # returns 0.01 and 0.03: variance 2e-4 with ddof 1


def bars():
    return pd.DataFrame(
        {"open": [9, 10, 11, 14.0], "high": [10, 12, 11, 15.0], "low": [8, 9, 10, 13.0], "close": [9, 11, 10, 14.0]}
    )


def test_true_range_and_atr():
    check(compute("true_range", bars()), [NAN, 3, 1, 5])  # the last one from the close before
    check(compute("atr", bars(), n=2), [NAN, NAN, 2, 3.5])  # seed (3 + 1) / 2, then 2 + (5 - 2) / 2


def test_rsi_of_wilder():
    # changes +1 -1 +3: seed 0.5, 0.5 -> 50; then gain 1.75, loss 0.25 -> 100 - 100/8
    check(compute("rsi", close(1, 2, 1, 4), n=2), [NAN, NAN, 50, 87.5])


@pytest.mark.parametrize(("prices", "value"), [((5, 5, 5, 5), 50), ((1, 2, 3, 4), 100), ((4, 3, 2, 1), 0), ((1, 1, 1, 2), 100)])
def test_rsi_at_its_edges(prices, value):
    assert compute("rsi", close(*prices), n=3).iloc[-1] == value


def test_macd_by_its_averages():
    prices = close(*random_bars(80)["close"])
    result = compute("macd", prices)
    line = compute("ema", prices, n=12) - compute("ema", prices, n=26)
    check(result["macd"][33:], line[33:])
    signal = line[25:34].mean()
    assert result["signal"][33] == pytest.approx(signal, rel=1e-12)
    assert result["signal"][34] == pytest.approx(signal + 0.2 * (line[34] - signal), rel=1e-12)
    check(result["histogram"][33:], (result["macd"] - result["signal"])[33:])
    assert result[:33].isna().all(axis=None)


def test_bollinger_bands():
    result = compute("bollinger", close(1, 3), n=2, width=2.0)  # mean 2, deviation 1 with ddof 0
    assert result.iloc[-1].tolist() == [2, 4, 0, 0.75]
    assert result.iloc[0].isna().all()


def test_bands_without_width_have_the_price_in_the_middle():
    assert compute("bollinger", close(*[0.1] * 5), n=3)["percent_b"].iloc[-1] == 0.5


def test_volume_ratio():
    frame = pd.DataFrame({"volume": [0, 0, 10, 30]})
    check(compute("volume_ratio", frame, n=2), [NAN, NAN, 2, 1.5])  # a mean of zero has no ratio


def test_range_volatilities():
    frame = pd.DataFrame({"open": [1.0], "high": [math.e], "low": [1.0], "close": [math.e]})
    assert compute("parkinson", frame, n=1, periods=1.0)[0] == pytest.approx(math.sqrt(1 / (4 * math.log(2))))
    assert compute("garman_klass", frame, n=1, periods=1.0)[0] == pytest.approx(math.sqrt(0.5 - (2 * math.log(2) - 1)))


def test_channels_and_gap():
    check(compute("donchian", bars(), n=2)["upper"], [NAN, 12, 12, 15])
    check(compute("donchian", bars(), n=2)["lower"], [NAN, 8, 9, 10])
    check(compute("donchian", bars(), n=2)["middle"], [NAN, 10, 10.5, 12.5])
    check(compute("gap", bars()), [NAN, 10 / 9 - 1, 0, 0.4])
    result = compute("keltner", bars(), n=2, n_atr=2, width=2.0)
    middle, reach = compute("ema", bars(), n=2), 2 * compute("atr", bars(), n=2)
    check(result[2:], np.column_stack([middle, middle + reach, middle - reach])[2:])


def test_oscillators_at_a_standstill():
    flat = pd.DataFrame(dict.fromkeys(("high", "low", "close"), np.full(40, 7.0)))
    assert compute("stochastic", flat).iloc[-1].tolist() == [50, 50]
    assert compute("adx", flat).iloc[-1].tolist() == [0, 0, 0]
    assert compute("cci", flat).iloc[-1] == 0
    assert compute("zscore", flat).iloc[-1] == 0


def test_momentum_zscore_compares_a_return_with_its_past():
    prices = close(*random_bars(40)["close"])
    moves = compute("log_return", prices, n=5)
    rolling = moves.rolling(10)
    check(compute("momentum_zscore", prices, n=5, n_z=10)[14:], ((moves - rolling.mean()) / rolling.std())[14:])


# Where the definitions agree from the first value on, `after` is 0. Otherwise it is the number of bars after which different
# seeds have died away:
# - macd: TA-Lib seeds the fast average later, so that both begin at the same bar; ours is seeded with its own first n.
# - adx: TA-Lib seeds its sums with n - 1 changes, Wilder and we with n.
# Not compared: the values of TA-Lib for a standstill (its RSI gives 0, and ours, as domain §9.6 has it, 50).
TALIB = [
    ("sma", {"n": 20}, lambda f: talib.SMA(f["close"], 20), 0),
    ("ema", {"n": 20}, lambda f: talib.EMA(f["close"], 20), 0),
    ("wma", {"n": 20}, lambda f: talib.WMA(f["close"], 20), 0),
    ("macd", {}, lambda f: talib.MACD(f["close"]), 400),
    ("bollinger", {}, lambda f: np.array(talib.BBANDS(f["close"], 20, 2, 2))[[1, 0, 2]], 0),
    ("rolling_min", {}, lambda f: talib.MIN(f["close"], 20), 0),
    ("rolling_max", {}, lambda f: talib.MAX(f["close"], 20), 0),
    ("rolling_std", {}, lambda f: talib.STDDEV(f["close"], 20) * math.sqrt(20 / 19), 0),  # theirs divides by n
    ("true_range", {}, lambda f: talib.TRANGE(f["high"], f["low"], f["close"]), 0),
    ("atr", {}, lambda f: talib.ATR(f["high"], f["low"], f["close"], 14), 0),
    ("rsi", {}, lambda f: talib.RSI(f["close"], 14), 0),
    ("roc", {}, lambda f: talib.ROC(f["close"], 10), 0),
    ("simple_return", {"n": 3}, lambda f: talib.ROCP(f["close"], 3), 0),
    ("stochastic", {}, lambda f: talib.STOCH(f["high"], f["low"], f["close"], 14, 3, 0, 3, 0), 0),
    ("cci", {}, lambda f: talib.CCI(f["high"], f["low"], f["close"], 20), 0),
    ("obv", {}, lambda f: talib.OBV(f["close"], f["volume"]), 0),
    (
        "adx",
        {},
        lambda f: [g(f["high"], f["low"], f["close"], 14) for g in (talib.ADX, talib.PLUS_DI, talib.MINUS_DI)],
        700,
    ),
]


@pytest.mark.parametrize("source", ["random", "AAPL"])
@pytest.mark.parametrize(("name", "params", "theirs", "after"), TALIB, ids=[row[0] for row in TALIB])
def test_agrees_with_talib(name, params, theirs, after, source):
    if source == "random":
        columns = random_bars(2000)
    else:
        table = bundled_bars()[0].to_pandas()
        rows = table[table["symbol"] == "AAPL"][:2000]
        columns = {key: rows[key].to_numpy(float) for key in ("open", "high", "low", "close", "volume")}
    ours = np.atleast_2d(compute(name, pd.DataFrame(columns), **params).to_numpy().T)
    expected = np.atleast_2d(theirs(columns))
    ours = ours[: len(expected)]  # percent_b is ours alone
    begin = max(int(np.isnan(ours).any(axis=0).argmin()), after)
    assert np.isfinite(expected[:, begin:]).all()
    np.testing.assert_allclose(ours[:, begin:], expected[:, begin:], rtol=1e-9, atol=1e-9)


def test_every_shipped_formula_has_a_golden_or_a_second_opinion():
    """Conformance says that a feature agrees with itself; that it is the right number is for a test that names it."""
    texts = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in shipped_features() if f'"{name}"' not in texts] == []
