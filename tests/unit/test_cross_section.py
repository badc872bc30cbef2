"""Cross-sections against independent definitions, at the edges where those change."""

import numpy as np
import pandas as pd
import pytest

from fairlead.core.errors import UnknownName
from fairlead.features import Uses, compute_symbols, lookback
from fairlead.features.cross_section import rank_of, sector_zscore_of, zscore_of
from support_features import random_bars


def across(name, returns, **columns):
    """The feature at an instant at which the symbols return `returns`, by machine code and by Python."""
    close = np.stack([np.ones(len(returns)), 1.0 + np.asarray(returns)], axis=1)
    table = {"close": close, **{key.replace("_", "."): np.tile(np.array(v, float)[:, None], 2) for key, v in columns.items()}}
    request = {"it": (name, {"n": 1})}
    return compute_symbols(request, table, threads=1)["it"][0, :, 1]


def zcs(x, sectors=None):
    """Domain rule 9.1, with numpy's own median, percentile and std."""
    x, out = np.asarray(x, float), np.full(len(x), np.nan)
    known = np.isfinite(x) if sectors is None else np.isfinite(x) & np.isfinite(sectors)
    v = x[known]
    if len(v) < 10:
        return out
    mad = np.median(np.abs(v - np.median(v)))
    edges = np.median(v) + 3 * 1.4826 * mad * np.array([-1, 1]) if mad > 0 else np.percentile(v, [1, 99])
    v = np.clip(v, *edges)
    group = np.zeros(len(v)) if sectors is None else np.asarray(sectors)[known]
    v = v - np.array([v[group == g].mean() for g in group])
    out[known] = v / v.std() if np.ptp(v) > 0 else 0.0
    return out


def spread(symbols, seed=1001, outliers=3, missing=4):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.02, symbols)
    x[rng.choice(symbols, outliers, replace=False)] *= 20
    x[rng.choice(symbols, missing, replace=False)] = np.nan
    return np.maximum(x, -0.9)


@pytest.mark.parametrize("symbols", [20, 51, 500])
@pytest.mark.parametrize("seed", range(1001, 1004))
def test_zscore_is_the_definition_on_data_with_outliers(symbols, seed):
    x = spread(symbols, seed)
    expected = zcs(x)
    np.testing.assert_allclose(across("cross_zscore", x), expected, atol=1e-9)
    assert np.nanmax(np.abs(expected)) < np.nanmax(np.abs(x - np.nanmean(x)) / np.nanstd(x))  # outliers were pulled in
    assert np.nanmean(expected**2) == pytest.approx(1.0)


@pytest.mark.parametrize("moved", [4, 9])
def test_zscore_without_a_median_deviation_is_cut_at_the_percentiles(moved):
    """More than half of the names return the same: their MAD is 0, and the others must not all be cut down to it."""
    x = np.zeros(20)
    x[:moved] = np.linspace(0.125, 0.5, moved)
    values = across("cross_zscore", x)
    np.testing.assert_allclose(values, zcs(x), atol=1e-12)
    assert len(set(values)) == moved + 1


def test_zscore_needs_ten_names():
    x = spread(10, missing=0)
    assert np.isfinite(across("cross_zscore", x)).all()
    x[3] = np.nan
    assert np.isnan(across("cross_zscore", x)).all()
    assert np.isnan(across("cross_zscore", x[:9])).all()


@pytest.mark.parametrize("level", [0.0, 0.1, -0.3])
def test_zscore_of_equal_names_is_zero(level):
    x = np.full(12, level)
    x[5] = np.nan
    np.testing.assert_array_equal(across("cross_zscore", x), np.where(np.isnan(x), np.nan, 0.0))


def test_zscore_of_logarithmic_returns():
    x = spread(30)
    np.testing.assert_allclose(across("cross_zscore_log_return", x), zcs(np.log1p(x)), atol=1e-9)


@pytest.mark.parametrize("seed", range(1001, 1004))
def test_sector_zscore_is_demeaned_inside_sectors(seed):
    x, sectors = spread(60, seed), np.random.default_rng(seed).integers(0, 5, 60).astype(float)
    sectors[[7, 8]] = np.nan
    sectors[9] = 77.0
    x[9] = 0.01
    values = across("sector_zscore", x, fact_sector=sectors)
    np.testing.assert_allclose(values, zcs(x, sectors), atol=1e-9)
    assert np.isnan(values[[7, 8]]).all()
    assert values[9] == 0.0  # alone in its sector
    for sector in range(5):
        assert np.nansum(values[sectors == sector]) == pytest.approx(0.0, abs=1e-9)


def test_sector_zscore_of_sectors_that_move_as_one_is_zero_and_needs_ten_names():
    sectors = np.repeat([0.0, 1.0, 2.0], 4)
    x = sectors / 10
    np.testing.assert_array_equal(across("sector_zscore", x, fact_sector=sectors), np.zeros(12))
    sectors[:3] = np.nan
    assert np.isnan(across("sector_zscore", spread(12, missing=0), fact_sector=sectors)).all()


@pytest.mark.parametrize(
    ("returns", "ranks"),
    [
        ([0.3, 0.1, 0.2], [1.0, 0.0, 0.5]),
        ([0.1, 0.2, 0.2, 0.4], [0.0, 0.5, 0.5, 1.0]),
        ([0.1, np.nan, 0.1, 0.4], [0.25, np.nan, 0.25, 1.0]),
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
        ([0.5, np.nan], [np.nan, np.nan]),
        ([0.5], [np.nan]),
    ],
)
def test_rank_goldens(returns, ranks):
    np.testing.assert_array_equal(across("cross_rank", returns), ranks)


def test_rank_is_the_average_rank_of_pandas():
    x = np.round(spread(200, missing=0), 3)
    np.testing.assert_allclose(across("cross_rank", x), (pd.Series(x).rank(method="average") - 1) / 199, atol=1e-12)


def test_mean_return_is_that_of_the_names_that_have_one():
    x = np.array([0.5, np.nan, 0.25, 0.75])
    np.testing.assert_array_equal(across("cross_mean_return", x), np.where(np.isnan(x), np.nan, 0.5))
    assert np.isnan(across("cross_mean_return", [np.nan, np.nan])).all()


def test_zscore_is_the_same_at_any_scale_and_not_there_where_numbers_end():
    kernel, x = zscore_of("z", "close").kernel, spread(20, missing=0)

    def z(values):
        outputs = np.full(len(values), np.nan)
        with np.errstate(all="ignore"):
            kernel(np.empty(0), np.empty(0), values, outputs)
        return outputs

    for scale in (1e-200, 1e200):
        np.testing.assert_allclose(z(x * scale), zcs(x), atol=1e-9)
    assert np.isnan(z(np.repeat([1.7e308, -1.7e308], 6))).all()


@pytest.mark.parametrize(
    ("name", "of", "params"),
    [
        ("cross_rank_volatility", "volatility", {"n": 5}),
        ("cross_zscore_volatility", "volatility", {"n": 5}),
        ("cross_zscore_earnings_yield", "earnings_yield", {}),
    ],
)
def test_the_others_compare_the_feature_that_their_name_says(name, of, params):
    peers = [random_bars(40, 3000 + i) for i in range(15)]
    panel = {key: np.array([peer[key] for peer in peers]) for key in peers[0]}
    values = compute_symbols({"of": (of, params), "it": (name, params)}, panel)
    last, found = values["of"][0, :, -1], values["it"][0, :, -1]
    expected = (pd.Series(last).rank() - 1) / 14 if "rank" in name else zcs(last)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_cross_section_of_any_feature_is_one_line():
    made = zscore_of("value", Uses("earnings_yield"), version=3)
    assert (made.name, made.version, made.cross_section) == ("value", 3, True)
    assert made.formula.startswith("zcs(earnings_yield)")
    assert "rank of bollinger.upper(n=n)" in rank_of("r", Uses("bollinger", "upper", n="n"), n=lookback(7)).formula
    assert rank_of("r", "close", n=lookback(7)).resolve({}) == {"n": 7}
    assert sector_zscore_of("s", "close").inputs == ("close", "fact.sector")
    with pytest.raises(UnknownName, match="no parameter of feature 'r' named 'n'"):
        rank_of("r", Uses("volatility", n="n"))
