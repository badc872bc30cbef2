"""What every registered feature keeps: a new one is covered by being registered."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.data.bundled import bundled_bars
from fairlead.features import Stream, compute_symbols, find_feature, known_features
from fairlead.features.drivers import run_cross_section_slowly, run_history_slowly
from fairlead.features.inputs import TIMES
from fairlead.features.plan import make_plan
from fairlead.features.program import Program
from support_features import BARS_PER_SESSION, COLUMNS, PRICES, VOLUMES, random_bars

FEATURES = [
    *known_features(),
    *(f"support_features:{name}" for name in ("slow_mean", "after_slow", "above_mean", "above_mean_slowly")),
]
ALONE = [name for name in FEATURES if not make_plan({"it": name}).compares_symbols]
PEERS = 11
each_feature = pytest.mark.parametrize("name", FEATURES)


def history(name, columns, **params):
    """Values of shape (outputs, bars); a feature that compares symbols sees peers, always the same."""
    if name not in ALONE:
        bars = len(columns["close"])
        peers = [{k: v[:bars] for k, v in random_bars(max(bars, 700), 3000 + i).items()} for i in range(PEERS)]
        panel = {k: np.array([v, *(peer[k] for peer in peers)]) for k, v in columns.items()}
        return compute_symbols({"it": (name, params)}, panel)["it"][:, 0]
    return compute_symbols({"it": (name, params)}, {key: v[None] for key, v in columns.items()}, threads=1)["it"][:, 0]


def live(name, columns):
    """As `history`, one slice at a time; a second symbol sees the bars two slices later."""
    if name not in ALONE:
        return [panel_live(name, columns)]
    stream = Stream({"it": name}, symbols=2)
    bars = len(columns["close"])
    seen = np.full((2, len(find_feature(name).outputs), bars + 2), np.nan)
    for t in range(bars + 2):
        stream.update({k: np.array([v[t] if t < bars else np.nan, v[t - 2] if t > 1 else np.nan]) for k, v in columns.items()})
        seen[:, :, t] = stream.values("it")
    return seen[0, :, :bars], seen[1, :, 2:]


def panel_live(name, columns):
    bars = len(columns["close"])
    peers = [random_bars(700, 3000 + i) for i in range(PEERS)]
    stream = Stream({"it": name}, symbols=PEERS + 1)
    seen = np.empty((len(find_feature(name).outputs), bars))
    for t in range(bars):
        stream.update({k: np.array([v[t], *(peer[k][t] for peer in peers)]) for k, v in columns.items()})
        seen[:, t] = stream.values("it")[0]
    return seen


def owed(name, bars, **params):
    """Which of `random_bars` must have a value: those after the warm-up, in every session for what compares within one."""
    plan = make_plan({"it": (name, params)})
    warm_up = plan.asked["it"].warm_up
    t = np.arange(bars)
    if "session" in plan.columns and warm_up < BARS_PER_SESSION:
        return t % BARS_PER_SESSION >= warm_up
    return t >= warm_up


@pytest.fixture(scope="module")
def apple():
    table = bundled_bars()[0].to_pandas()
    rows = table[table["symbol"] == "AAPL"]
    real = {name: rows[name].to_numpy(float)[:600] for name in COLUMNS}
    return {**random_bars(600), **real, "benchmark": real["open"]}


@each_feature
def test_live_equals_history_to_the_bit(name, apple):
    for columns in (random_bars(250), random_bars(250, gap_share=0.05), apple):
        expected = history(name, columns)
        for seen in live(name, columns):
            np.testing.assert_array_equal(seen, expected, strict=True)
            assert np.isfinite(seen).any()


@pytest.mark.parametrize("name", ALONE)
def test_machine_code_equals_the_python_it_was_written_in(name):
    """Also finds a state that is declared too small: Python raises where machine code would write beyond it."""
    columns = random_bars(200, gap_share=0.02)
    plan = make_plan({"it": name})
    table = np.full((plan.width, 200), np.nan)
    table[: len(plan.columns)] = [columns[c] for c in plan.columns]
    for node in plan.nodes:
        run_history_slowly(
            node.feature.kernel,
            np.zeros(node.state_size),
            node.params,
            table,
            node.inputs,
            node.first,
            len(node.feature.outputs),
        )
    node = plan.asked["it"]
    np.testing.assert_allclose(table[node.first :][: len(node.feature.outputs)], history(name, columns), rtol=1e-12, atol=1e-12)


@each_feature
@settings(max_examples=8)
@given(st.integers(0, 150), st.integers(0, 10_000))
def test_cutting_the_future_never_changes_the_past(name, end, seed):
    columns = random_bars(150, seed, gap_share=0.02)
    np.testing.assert_array_equal(
        history(name, {k: v[:end] for k, v in columns.items()}), history(name, columns)[:, :end], strict=True
    )


@each_feature
@pytest.mark.parametrize("short", [False, True])
def test_first_value_comes_after_the_declared_warm_up(name, short):
    lengths = {key: p for key, p in find_feature(name).parameters.items() if key.startswith("n")}
    params = {key: max(2 + i, int(p.ge or 0)) for i, (key, p) in enumerate(lengths.items())} if short else {}
    values = history(name, random_bars(300), **params)
    warm_up = make_plan({"it": (name, params)}).asked["it"].warm_up
    assert np.isnan(values[:, :warm_up]).all()
    assert np.isfinite(values[:, owed(name, 300, **params)]).all()


@each_feature
@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_values_lie_in_the_declared_range(name, seed):
    rng = np.random.default_rng(seed)
    columns = random_bars(150, seed)
    flat = rng.random(150) < 0.5  # half of the bars repeat a level, without range or volume
    for key in COLUMNS:
        columns[key][flat] = 0.0 if key == "volume" else 100.0
    values = history(name, columns)
    for output, row in zip(find_feature(name).outputs, values, strict=True):
        known = row[np.isfinite(row)]
        assert (known >= output.low).all()
        assert (known <= output.high).all()


@each_feature
@pytest.mark.parametrize(("price", "volume"), [(7.0, 1.0), (4.0, 1.0), (1.0, 3.0), (0.5, 2.0)])
def test_every_output_follows_the_units_that_it_declares(name, price, volume):
    """A split multiplies prices by one factor and volumes by another; a power of two changes no digit."""
    columns = random_bars(300)
    factor = {"none": 1.0, "price": price, "volume": volume}
    tolerance = 0.0 if {price, volume} <= {0.5, 1.0, 2.0, 4.0} else 1e-9
    before = history(name, columns)
    after = history(name, {k: v * (price if k in PRICES else volume if k in VOLUMES else 1.0) for k, v in columns.items()})
    for output, old, new in zip(find_feature(name).outputs, before, after, strict=True):
        if output.unit != "other":
            np.testing.assert_allclose(new, old * factor[output.unit], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", sorted(set(FEATURES) - set(ALONE)))
def test_machine_code_of_a_comparison_equals_its_python(name):
    plan = make_plan({"it": name})
    values = np.full((PEERS + 1, plan.width, 120), np.nan)
    for s in range(PEERS + 1):
        columns = random_bars(120, 3000 + s, gap_share=0.05)
        values[s, : len(plan.columns)] = [columns[c] for c in plan.columns]
    fast = values.copy()
    program = Program(plan)
    program.run(program.new_state(PEERS + 1), fast)
    for node in plan.nodes:
        kernel, reads, outputs = node.feature.kernel, (node.params, values, node.inputs, node.first), len(node.feature.outputs)
        if node.feature.cross_section:
            run_cross_section_slowly(kernel, *reads)
            continue
        for table in values:
            run_history_slowly(kernel, np.zeros(node.state_size), node.params, table, node.inputs, node.first, outputs)
    np.testing.assert_allclose(fast, values, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(FEATURES) - set(ALONE)))
def test_a_comparison_follows_the_symbols_wherever_they_stand(name):
    peers = [random_bars(150, 3000 + i, gap_share=0.02) for i in range(PEERS)]
    panel = {k: np.array([peer[k] for peer in peers]) for k in peers[0]}
    before = compute_symbols({"it": name}, panel, threads=2)["it"]
    order = np.random.default_rng(3).permutation(PEERS)
    after = compute_symbols({"it": name}, {k: v[order] for k, v in panel.items()}, threads=1)["it"]
    np.testing.assert_allclose(after, before[:, order], rtol=1e-9, atol=1e-12)
    assert np.isfinite(before).any()


@pytest.mark.parametrize("name", ALONE)
def test_a_gap_neither_advances_nor_spoils_a_window(name):
    """Bars that are not there at all and bars that are NaN give the same values for the others."""
    columns = random_bars(200)
    present = np.random.default_rng(5).random(200) > 0.2
    gappy = {k: np.where(present, v, np.nan) for k, v in columns.items()}
    values = history(name, gappy)
    assert np.isnan(values[:, ~present]).all()
    np.testing.assert_array_equal(values[:, present], history(name, {k: v[present] for k, v in columns.items()}))


@each_feature
def test_extreme_and_flat_bars_raise_nothing_and_give_no_infinity(name):
    levels = [0.0, -1.0, 1e-300, 1e300, 5.0, 5.0, 1e8, 1e8]
    rng = np.random.default_rng(7)
    columns = {key: values if key in TIMES else rng.choice(levels, 400) for key, values in random_bars(400).items()}
    assert not np.isinf(history(name, columns)).any()
    flat = {key: values if key in TIMES else np.full(200, 0.1) for key, values in random_bars(200).items()}
    assert np.isfinite(history(name, flat)[:, 100:][:, owed(name, 200)[100:]]).all()


@each_feature
def test_every_feature_says_what_it_is(name):
    feature = find_feature(name)
    if name in known_features():
        assert feature.name == name
        assert feature.formula
        assert feature.doc
    assert all(output.low <= output.high for output in feature.outputs)
    assert not math.isnan(feature.outputs[0].low)
