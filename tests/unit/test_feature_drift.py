"""Drift is found where it is, not found where it is not, and never passed over where it cannot be seen."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from scipy import stats

from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.features.drift import DriftThresholds, allowed_nan_rate, detect_drift, ks_test, psi, publish_drift
from fairlead.features.stability import forward_returns, stability
from fairlead.telemetry.metrics import Metrics

SEEDS = [5010, 5011, 5012, 5013, 5014]
levels = st.lists(st.integers(-50, 50), min_size=1, max_size=60)


def normal(seed, count=1000):
    return np.random.default_rng(seed).normal(size=count)


def test_psi_by_hand():
    """Ten values make ten bins of 0.1 each; of the current ones half fall into the first and half into the last."""
    by_hand = 2 * (0.5 - 0.1) * math.log(0.5 / 0.1) + 8 * (0.0001 - 0.1) * math.log(0.0001 / 0.1)
    assert by_hand == pytest.approx(6.80823, abs=1e-5)
    assert psi(range(1, 11), [1, 1, 0, -7, 1, 10, 11, 99, 10, 9.5]) == pytest.approx(by_hand, rel=1e-12)


def test_psi_of_two_bins_by_hand():
    """The median of 1..4 is 2, which belongs to the lower bin: 0.5 and 0.5 against 0.75 and 0.25."""
    assert psi([1, 2, 3, 4], [2, 2, 2, 3], bins=2) == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5))


def test_psi_of_discrete_values_by_hand():
    """A value that holds two quantiles or more is a bin of its own, so that a rare value beside it is not lost in it."""
    rare = [0] * 5 + [1] * 95
    by_hand = (0.5 - 0.05) * math.log(0.5 / 0.05) + (0.5 - 0.95) * math.log(0.5 / 0.95)
    assert psi(rare, [0] * 50 + [1] * 50) == pytest.approx(by_hand, rel=1e-12)
    constant = (1 - 1e-4) * math.log(1e4) * 2
    assert psi([3.0] * 20, [2.0] * 7) == psi([3.0] * 20, [4.0] * 7) == pytest.approx(constant, rel=1e-12)
    assert psi([3.0] * 20, [3.0]) == 0.0


@given(levels, levels, st.integers(2, 12))
def test_psi_is_never_negative(reference, current, bins):
    assert psi(reference, current, bins) >= 0.0


@given(levels, st.integers(2, 12))
def test_psi_of_the_same_values_is_zero(values, bins):
    assert psi(values, values[::-1], bins) == 0.0


@given(levels, levels, st.sampled_from([lambda x: 3.0 * x - 7.0, lambda x: x**3, lambda x: np.exp(x / 10.0)]))
def test_psi_sees_only_the_order_of_values(reference, current, increasing):
    before, after = np.array(reference, float), np.array(current, float)
    assert psi(increasing(before), increasing(after)) == psi(before, after)


@given(levels, levels)
def test_psi_does_not_depend_on_the_order_of_rows_or_on_missing_values(reference, current):
    missing = [math.nan, *current[::-1], math.inf]
    assert psi([*reference[::-1], math.nan], missing) == pytest.approx(psi(reference, current), abs=1e-12)


def test_psi_refuses_what_it_cannot_bin():
    with pytest.raises(ConfigurationError, match="'bins' must be at least 2, was 1"):
        psi([1.0], [1.0], bins=1)
    with pytest.raises(ContractError, match="'current' must have at least one finite value, was '2 values'"):
        psi([1.0], [math.nan, math.inf])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sizes", [(40, 60), (1500, 900)])
def test_ks_is_that_of_scipy(seed, sizes):
    first, second = normal(seed, sizes[0]), normal(seed + 100, sizes[1]) * 1.2
    method = "exact" if max(sizes) <= 1000 else "asymp"
    expected = stats.ks_2samp(first, second, method=method)
    found = ks_test(np.append(first, math.nan), second)
    assert found == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))


def test_ks_statistic_by_hand():
    """At 2 three quarters of the current values are passed, and half of the reference."""
    assert ks_test([1, 2, 3, 4], [1, 2, 2, 4]).statistic == pytest.approx(0.25)


def test_thinning_takes_every_so_many_th_row():
    values, other = normal(1, 300), normal(2, 300)
    assert ks_test(values, other, thin=7) == ks_test(values[::7], other[::7])
    panel, peers = values.reshape(3, 100), other.reshape(3, 100)
    assert ks_test(panel, peers, thin=7) == ks_test(panel[:, ::7], peers[:, ::7])
    with pytest.raises(ConfigurationError, match="'thin' must be at least 1, was 0"):
        ks_test(values, other, thin=0)


def test_thinning_makes_the_p_value_of_a_moving_average_honest():
    """Two windows of one process: dependence alone makes the test cry, and disjoint windows do not."""
    average = np.convolve(np.random.default_rng(5015).normal(size=200_000), np.ones(50) / 50, "valid")
    windows = average[: 190 * 1000].reshape(95, 2, 1000)
    crying, honest = (np.mean([ks_test(then, now, thin=thin).p_value < 0.01 for then, now in windows]) for thin in (1, 50))
    assert crying > 0.5
    assert honest < 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_fresh_samples_of_the_same_law_are_no_drift(seed):
    """Of fifteen tests at 0.01 one may well fail by chance; at a fifteenth of it none does."""
    rng = np.random.default_rng(seed)
    reference, current = (
        {"a": rng.normal(size=n), "b": rng.exponential(size=n), "c": rng.integers(0, 3, n)} for n in (2000, 1000)
    )
    report = detect_drift(reference, current, DriftThresholds(ks_p=0.01 / 15))
    assert not report.drifted
    assert report.available
    assert report.status == "stable"
    assert [row.reasons for row in report.features] == [(), (), ()]


def test_false_alarms_are_as_rare_as_the_threshold_says():
    """Five hundred windows without drift: about 1 % fall below the p-value, and none reaches the index."""
    rng = np.random.default_rng(5019)
    reference, current = ({str(i): rng.normal(size=500) for i in range(500)} for _ in range(2))
    reports = [detect_drift({i: reference[i]}, {i: current[i]}) for i in reference]
    reasons = [reason for report in reports for row in report.features for reason in row.reasons]
    assert all(reason.startswith("KS") for reason in reasons)
    assert 1 <= len(reasons) <= 12


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (lambda x: x + 1.0, ["PSI", "KS"]),
        (lambda x: x * 3.0, ["PSI", "KS"]),
        (lambda x: x + 0.2, ["KS"]),
        (lambda x: np.where(np.arange(len(x)) % 100 == 0, math.nan, x), ["NaN"]),
        (lambda x: np.full(len(x), math.nan), ["NaN", "PSI not available", "KS not available"]),
    ],
)
def test_planted_drift_is_found_where_it_was_planted(change, reasons):
    reference = {"calm": normal(1, 2000), "moved": normal(2, 2000)}
    current = {"calm": normal(3), "moved": change(normal(4))}
    calm, moved = detect_drift(reference, current).features
    assert (calm.feature, calm.drifted, calm.reasons) == ("calm", False, ())
    assert moved.drifted
    assert moved.status == "drifted"
    assert [any(text.startswith(start) for text in moved.reasons) for start in reasons] == [True] * len(reasons)
    assert len(moved.reasons) == len(reasons)


@pytest.mark.parametrize(("threshold", "value"), [("psi", 100.0), ("ks_p", 1e-300), ("nan_ratio", 1e6), ("correlation", 2.0)])
def test_each_threshold_is_the_one_that_decides(threshold, value):
    """Every kind of drift at once: a lenient threshold takes its own reason away and no other."""
    rng = np.random.default_rng(5016)
    x, y = rng.normal(size=(2, 1000))
    reference = {"a": x, "b": x + 0.1 * y}
    shifted = rng.normal(size=1000) + 1.0
    shifted[:50] = math.nan
    current = {"a": shifted, "b": rng.normal(size=1000)}

    def reasons(limits):
        report = detect_drift(reference, current, limits)
        found = {text.split()[0] for text in report.features[0].reasons}
        return found | ({"correlation"} if report.correlation.drifted else set())

    name = {"psi": "PSI", "ks_p": "KS", "nan_ratio": "NaN", "correlation": "correlation"}[threshold]
    assert reasons(DriftThresholds()) == {"PSI", "KS", "NaN", "correlation"}
    assert reasons(DriftThresholds(**{threshold: value})) == {"PSI", "KS", "NaN", "correlation"} - {name}


def test_the_thresholds_are_those_of_the_rule():
    limits = DriftThresholds()
    assert (limits.psi, limits.ks_p, limits.nan_ratio, limits.bins) == (0.2, 0.01, 2.0, 10)


@pytest.mark.parametrize("short", ["reference", "current"])
def test_too_few_values_are_told_and_never_pass(short):
    windows = {"reference": {"a": normal(1)}, "current": {"a": normal(2)}}
    windows[short] = {"a": normal(3, 29)}
    report = detect_drift(**windows)
    (row,) = report.features
    assert (row.psi, row.ks, row.p_value) == (None, None, None)
    assert row.status == report.status == "not available"
    assert row.reasons == (
        f"NaN rate not available: 29 rows in the {short} window, 100 needed",
        f"PSI not available: 29 values in the {short} window, 100 needed",
        f"KS not available: 29 values in the {short} window, 30 needed, with thin=1",
    )
    assert row.reasons[1] in str(report)


def test_the_ks_test_makes_do_with_fewer_values_than_the_index():
    (row,) = detect_drift({"a": normal(1)}, {"a": normal(3, 30) + 3.0}).features
    assert row.psi is None
    assert row.p_value is not None
    assert row.status == "drifted"
    assert not row.available


def test_too_few_values_after_thinning_take_the_ks_test_alone():
    report = detect_drift({"a": normal(1)}, {"a": normal(2)}, DriftThresholds(thin=50))
    (row,) = report.features
    assert row.psi is not None
    assert row.p_value is None
    assert row.reasons == ("KS not available: 20 values in the reference window, 30 needed, with thin=50",)
    assert report.status == "not available"


def test_a_feature_of_one_window_is_told():
    report = detect_drift({"a": normal(1), "gone": normal(2)}, {"new": normal(3), "a": normal(4)})
    assert [(row.feature, row.status) for row in report.features] == [
        ("a", "stable"),
        ("gone", "not available"),
        ("new", "not available"),
    ]
    assert report.features[1].reasons == ("not available: not in the current window",)
    assert report.features[2].reasons == ("not available: not in the reference window",)
    assert report.status == "not available"


@pytest.mark.parametrize(("missing", "expected"), [(0, 0.02), (1, 0.02), (5, 0.1), (80, 1.0)])
def test_a_reference_without_nan_counts_as_if_it_had_one(missing, expected):
    assert allowed_nan_rate(missing, 100, 2.0) == pytest.approx(expected)


@pytest.mark.parametrize(("missing", "drifted"), [(20, False), (21, True)])
def test_the_nan_rate_may_double(missing, drifted):
    reference, current = normal(1), normal(2)
    reference[:10] = current[:missing] = math.nan
    (row,) = detect_drift({"a": reference}, {"a": current}).features
    assert (row.nan_reference, row.nan_current, row.drifted) == (0.01, missing / 1000, drifted)


def test_a_correlation_that_turns_is_found_though_each_feature_stays_as_it_was():
    x, y, z = np.random.default_rng(5017).normal(size=(3, 2000))
    reference = {"a": x[:1000], "b": 0.6 * x[:1000] + 0.8 * y[:1000], "c": z[:1000]}
    current = {"a": x[1000:], "b": -0.6 * x[1000:] + 0.8 * y[1000:], "c": z[1000:]}
    report = detect_drift(reference, current)
    assert not any(row.drifted for row in report.features)
    assert report.correlation.pair == ("a", "b")
    assert report.correlation.change == pytest.approx(1.2, abs=0.1)
    assert report.correlation.change == abs(report.correlation.current - report.correlation.reference)
    assert report.drifted
    assert report.status == "drifted"
    assert "correlation of a and b: 0.6" in str(report)


def test_a_pair_without_a_correlation_is_told():
    constant = {"a": normal(1), "b": np.ones(1000), "c": normal(5)}
    report = detect_drift(constant, {**constant, "a": normal(2)})
    assert report.correlation.left_out == (("a", "b"), ("b", "c"))
    assert report.correlation.pair == ("a", "c")
    assert not report.available
    assert "correlation not available: a and b, b and c" in str(report)
    assert detect_drift({"a": normal(1)}, {"a": normal(2)}).correlation is None


def test_windows_are_tables():
    with pytest.raises(ContractError, match="'current' must hold arrays of one shape"):
        detect_drift({"a": normal(1)}, {"a": normal(1), "b": normal(1, 10)})
    with pytest.raises(ConfigurationError, match="'reference' must have at least one feature"):
        detect_drift({}, {})


def test_the_report_can_be_stored():
    report = detect_drift({"a": normal(1), "b": normal(5), "gone": normal(2)}, {"a": normal(3), "b": normal(4)})
    stored = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert [row["status"] for row in stored["features"]] == ["stable", "stable", "not available"]
    assert stored["features"][2]["psi"] is None
    assert stored["thresholds"]["psi"] == 0.2
    assert stored["correlation"]["pair"] == ["a", "b"]


def test_the_gauge_holds_the_features_of_the_last_report_and_no_others():
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    publish_drift(detect_drift({"old": normal(1)}, {"old": normal(2)}), metrics)
    report = detect_drift({"a": normal(1), "short": np.full(1000, math.nan)}, {"a": normal(2), "short": normal(3)})
    publish_drift(report, metrics)
    assert registry.get_sample_value("feature_drift_psi", {"feature": "a"}) == report.features[0].psi
    assert math.isnan(registry.get_sample_value("feature_drift_psi", {"feature": "short"}))
    assert registry.get_sample_value("feature_drift_psi", {"feature": "old"}) is None


def test_a_feature_that_is_the_future_is_perfectly_stable():
    forward = forward_returns(100.0 * np.exp(np.cumsum(normal(6, 1000) * 0.01)), 3)
    report = stability(forward, forward, horizon=3)
    assert [fold.ic for fold in report.folds] == pytest.approx([1.0] * 5)
    assert (report.mean, report.deviation, report.agreement) == pytest.approx((1.0, 0.0, 1.0))
    assert [(fold.start, fold.stop, fold.count) for fold in report.folds[:2]] == [(0, 200, 197), (200, 400, 197)]
    assert stability(-forward, forward, horizon=3).mean == pytest.approx(-1.0)


def test_noise_has_no_coefficient_to_speak_of():
    report = stability(normal(7, 5000), normal(8, 5000), folds=10)
    assert abs(report.mean) < 3 / math.sqrt(5000)
    assert report.deviation == pytest.approx(1 / math.sqrt(499), rel=0.6)


def test_agreement_counts_the_folds_with_the_sign_of_the_mean():
    values = normal(9, 500)
    turns = np.repeat([1.0, 1.0, -1.0, 1.0, 1.0], 100)
    report = stability(values, values * turns)
    assert report.mean == pytest.approx(0.6)
    assert report.agreement == pytest.approx(0.8)
    assert stability(values, -values * turns).agreement == pytest.approx(0.8)


def test_each_fold_is_the_rank_correlation_of_scipy():
    values, forward = normal(10, 300).round(1), normal(11, 300).round(1)
    report = stability(values, forward, folds=3, horizon=5)
    expected = [stats.spearmanr(values[a : b - 5], forward[a : b - 5]).statistic for a, b in ((0, 100), (100, 200), (200, 300))]
    assert [fold.ic for fold in report.folds] == pytest.approx(expected)


def test_no_return_reaches_out_of_its_fold():
    """Prices after a fold's last row change nothing in it."""
    close = 100.0 * np.exp(np.cumsum(normal(12, 200) * 0.01))
    later = np.where(np.arange(200) >= 100, close[::-1] * 9.0, close)
    values = normal(13, 200)
    first, again = (stability(values, forward_returns(c, 7), folds=2, horizon=7).folds[0] for c in (close, later))
    assert first == again


def test_a_panel_is_compared_across_symbols_instant_by_instant():
    values = np.random.default_rng(5018).normal(size=(12, 60))
    forward = values + 100.0 * np.arange(60)  # over time the drift hides the sign of nothing: each instant is its own
    forward[3:, 5] = math.nan
    report = stability(values, forward, folds=2)
    assert [fold.ic for fold in report.folds] == pytest.approx([1.0, 1.0])
    assert [fold.count for fold in report.folds] == [28, 29]


def test_a_fold_that_cannot_be_judged_is_told():
    values = normal(14, 250)
    values[50:71] = math.nan
    report = stability(values, np.where(np.arange(250) >= 200, 1.0, normal(15, 250)))
    assert [fold.ic is None for fold in report.folds] == [False, True, False, False, True]
    assert not report.available
    assert "over 3 of 5 folds" in str(report)
    nothing = stability(np.full(250, math.nan), values)
    assert (nothing.mean, nothing.deviation, nothing.agreement) == (None, None, None)
    assert json.loads(json.dumps(nothing.to_dict(), allow_nan=False))["mean"] is None


def test_forward_returns_by_hand():
    np.testing.assert_allclose(forward_returns([1.0, 2.0, 3.0, 0.0], 2), [2.0, np.nan, np.nan, np.nan])
    assert np.isnan(forward_returns([1.0, 2.0], 5)).all()


def test_folds_have_to_make_sense():
    values = normal(1, 100)
    for arguments, text in (
        ({"folds": 1}, "'folds' must be at least 2, was 1"),
        ({"horizon": 0}, "'horizon' must be at least 1, was 0"),
        ({"horizon": 20}, "'folds' must leave more than 20 rows each, was 5. There are 100 rows."),
    ):
        with pytest.raises(ConfigurationError, match=text):
            stability(values, values, **arguments)
    with pytest.raises(ContractError, match="'forward' must have the shape"):
        stability(values, values[1:])
