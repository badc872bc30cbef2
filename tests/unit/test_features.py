"""Declaring, finding and running features: what is refused, and in which words."""

import inspect
import re
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import FunctionType

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fairlead.core.errors import ConfigurationError, ContractError, UnknownName
from fairlead.core.kernel_code import helpers_of
from fairlead.features import (
    Output,
    Stream,
    Uses,
    compute,
    compute_symbols,
    drivers,
    feature,
    find_feature,
    known_features,
    lookback,
)
from fairlead.features.contract import check_feature
from fairlead.features.identity import definition_hash, kernel_hash
from fairlead.features.plan import make_plan
from fairlead.features.registry import FAMILIES, shipped_features
from fairlead.features.versions import LOCK_FILE, check_versions, locked, read_lock, write_lock
from fairlead.sdk.parameters import Parameter
from support_features import random_bars

SUPPORT = "support_features:"


def step(state, params, inputs, outputs):
    outputs[0] = inputs[0]


def changed_step(state, params, inputs, outputs):
    outputs[0] = inputs[0] + 1


def frame(bars=60):
    dates = pd.date_range("2020-01-01", periods=bars, tz="UTC")
    return pd.DataFrame({key.title(): values for key, values in random_bars(bars).items()}, index=dates)


# frames


def test_pandas_gives_a_named_series_on_the_same_index_and_polars_the_same_numbers():
    bars = frame()
    series = compute("rsi", bars, n=5)
    assert series.name == "rsi"
    assert series.index.equals(bars.index)
    polars = compute("rsi", pl.from_pandas(bars.rename(columns=str.upper)), n=5)
    assert isinstance(polars, pl.Series)
    np.testing.assert_array_equal(polars.to_numpy(), series.to_numpy())


def test_several_outputs_give_a_frame_of_them():
    bars = frame()
    assert list(compute("macd", bars).columns) == ["macd", "signal", "histogram"]
    assert compute("macd", bars).index.equals(bars.index)
    assert compute("macd", pl.from_pandas(bars)).columns == ["macd", "signal", "histogram"]


def test_only_the_columns_that_are_read_have_to_be_there():
    assert compute("sma", frame()[["Close"]], n=2).notna().sum() == 59
    with pytest.raises(ContractError, match="frame: no column for high, low; the columns are 'Close'"):
        compute("atr", frame()[["Close"]])


def test_too_few_rows_give_nan_and_none_give_none():
    assert compute("sma", frame(5), n=20).isna().all()
    assert len(compute("sma", frame(0), n=20)) == 0
    assert compute("macd", frame(0)).shape == (0, 3)


def test_missing_values_of_either_library_are_gaps():
    bars = pl.DataFrame({"close": [1.0, None, 3.0]})
    assert np.isnan(compute("sma", bars, n=2).to_numpy()).tolist() == [True, True, False]
    nullable = pd.DataFrame({"close": pd.array([1, None, 3], "Int64")})
    assert compute("sma", nullable, n=2).tolist()[2] == 2.0


@pytest.mark.parametrize(
    ("bars", "text"),
    [
        ([1, 2], "'frame' must be a pandas or polars DataFrame, was 'list'"),
        (pd.DataFrame({"close": ["a", "b"]}), r"'frame\['close'\]' must hold numbers"),
        (pl.DataFrame({"close": ["a", "b"]}), r"'frame\['close'\]' must hold numbers"),
        (pd.DataFrame({"close": [1.0, 2.0], "symbol": ["A", "B"]}), "must hold one symbol.*compute_symbols"),
        (pl.DataFrame({"close": [1.0, 2.0], "symbol": ["A", "B"]}), "must hold one symbol.*compute_symbols"),
        (frame(3)[::-1], "must have its rows in order of time"),
        (pl.DataFrame({"ts": [2, 1], "close": [1.0, 2.0]}), "must have its rows in order of time"),
        (pd.DataFrame([[1.0]], columns=pd.MultiIndex.from_tuples([("close", "A")])), "must have one level"),
        (
            pd.DataFrame({"close": [1.0, 2.0]}, index=pd.MultiIndex.from_tuples([("A", 1), ("B", 1)], names=["symbol", "day"])),
            r"'frame\.index' must have one level.*\['symbol', 'day'\]",
        ),
    ],
)
def test_a_frame_that_cannot_be_read_is_refused(bars, text):
    with pytest.raises(ContractError, match=text):
        compute("sma", bars, n=2)


def test_a_comparison_of_symbols_does_not_take_a_frame_of_one():
    with pytest.raises(ContractError, match=r"be one of a symbol by itself.*was 'cross_rank'.*compute_symbols"):
        compute("cross_rank", frame())


# names and parameters


def test_numbers_of_numpy_are_parameters_as_good_as_pythons():
    given = {"n": np.int64(5), "width": np.float32(1.5)}
    pd.testing.assert_frame_equal(compute("bollinger", frame(), **given), compute("bollinger", frame(), n=5, width=1.5))
    one, two = (make_plan({"x": ("bollinger", params)}).asked["x"].identity for params in (given, {"n": 5, "width": 1.5}))
    assert one == two


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ({"state_size": lambda _: -1}, r"'x\.state_size' must give a whole number, at least 0, was -1"),
        ({"state_size": lambda p: p["n"] / 2}, r"'x\.state_size' must give a whole number, at least 0, was 1\.0"),
        ({"warm_up": lambda _: 1.5}, r"'x\.warm_up' must give a whole number, at least 0, was 1\.5"),
    ],
)
def test_a_size_that_is_none_is_refused_before_machine_code_runs(declared, text):
    made = feature("x", parameters={"n": lookback(2)}, **declared)(step)
    with pytest.raises(ConfigurationError, match=text):
        make_plan({"x": "x"}, lambda _: made)
    assert [check.name for check in check_feature(made).failures] == ["declaration"]


@pytest.mark.parametrize(
    ("name", "params", "error", "text"),
    [
        ("rsj", {}, UnknownName, "no feature named 'rsj'; did you mean 'rsi'"),
        ("rsi", {"m": 3}, UnknownName, "no parameter of feature 'rsi' named 'm'.*Known: n"),
        ("rsi", {"n": 0}, ConfigurationError, "'n' must be >= 1, was 0"),
        ("rsi", {"n": 2.5}, ConfigurationError, "'n' must be of type int, was 2.5"),
        ("no_module:X", {}, ConfigurationError, "feature 'no_module:X' cannot be imported"),
        (SUPPORT + "NOT_A_FEATURE", {}, ConfigurationError, "must be made with @feature, was 7"),
        (
            SUPPORT + "egg",
            {},
            ConfigurationError,
            "in a circle: support_features:egg -> support_features:chicken -> support_feat",
        ),
        (SUPPORT + "untranslatable", {}, ConfigurationError, "'untranslatable' cannot be compiled.*compiled=False"),
    ],
)
def test_what_cannot_be_computed_is_refused(name, params, error, text):
    with pytest.raises(error, match=text):
        compute(name, frame(), **params)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"version": 0}, "'x.version' must be at least 1"),
        ({"inputs": ("price",)}, "no input column of feature 'x' named 'price'"),
        ({"inputs": ()}, "must have inputs"),
        ({"outputs": (Output("a"), Output("a"))}, "outputs with different names"),
        ({"parameters": {"mode": Parameter("fast")}}, "'x.mode' must be a number or a flag"),
        ({"inputs": (Uses("sma", n="m"),), "parameters": {"n": lookback(2)}}, "no parameter of feature 'x' named 'm'"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(arguments, text):
    with pytest.raises(ConfigurationError, match=text):
        feature("x", **arguments)


def test_an_output_that_is_not_there_is_refused():
    with pytest.raises(UnknownName, match="no output of feature 'macd' named 'hist'; did you mean 'histogram'"):
        find_feature("macd").output_index("hist")
    assert find_feature("macd").output_index("signal") == 1


def test_importing_the_package_does_not_import_numba():
    code = "import sys, fairlead.features as f; f.known_features(); sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# plans


def test_what_several_features_use_is_computed_once():
    plan = make_plan({"a": "macd", "b": ("ema", {"n": 12}), "c": "macd"})
    assert [node.feature.name for node in plan.nodes] == ["ema", "ema", "macd"]
    assert plan.asked["a"] is plan.asked["c"]
    assert plan.asked["b"] is plan.nodes[0]
    assert plan.columns == ("close",)


def test_identity_follows_parameters_version_and_dependencies():
    sma = find_feature("sma")
    base = definition_hash(sma, {"n": 20}, [])
    others = [
        definition_hash(sma, {"n": 21}, []),
        definition_hash(sma, {"n": 20}, ["d"]),
        definition_hash(replace(sma, version=2), {"n": 20}, []),
        definition_hash(replace(sma, kernel=step), {"n": 20}, []),
    ]
    assert len({base, *others}) == 5
    assert definition_hash(sma, {"n": 20}, []) == base


# the lock


def test_no_shipped_kernel_changed_without_its_version():
    check_versions(shipped_features().values(), read_lock())
    assert read_lock() == locked(shipped_features().values()), f"{LOCK_FILE.name} holds features that are gone"


def test_a_changed_kernel_needs_a_new_version(tmp_path):
    made = feature("x")(step)
    path = tmp_path / "lock.json"
    with pytest.raises(
        ContractError, match=r"'x' version 1 is not in the lock file\. Run `python -m fairlead.features.versions`"
    ):
        check_versions([made], read_lock(path))
    write_lock([made], path)
    check_versions([made], read_lock(path))
    changed = replace(made, kernel=changed_step)
    for attempt in (lambda: check_versions([changed], read_lock(path)), lambda: write_lock([changed], path)):
        with pytest.raises(ContractError, match=r"'x' has another kernel than version 1.*\. Raise its version to 2, then run"):
            attempt()
    write_lock([replace(changed, version=2)], path)
    with pytest.raises(ContractError, match="'x' has version 1, but version 2 is already locked"):
        check_versions([made], read_lock(path))


def module(tmp_path, name, text):
    """The function `f` of a new module."""
    path = tmp_path / f"{name}.py"
    path.write_text(text)
    space = {"__name__": name}
    exec(compile(text, str(path), "exec"), space)
    return space["f"]


def test_a_kernel_is_what_it_computes_not_how_it_is_laid_out(tmp_path):
    def hash_of(name, text):
        return kernel_hash(feature("x")(module(tmp_path, name, text)))

    base = hash_of("a", "K = 2.0\ndef g(x):\n    return x + K\ndef f(s, p, i, o):\n    o[0] = g(i[0])\n")
    same = "K = 2.0\ndef g(x):\n  '''Text.'''\n  return x+K  # why\ndef f(s, p, i, o):\n  '''More.'''\n\n  o[0] = g(i[0])\n"
    assert hash_of("b", same) == base
    assert hash_of("c", same.replace("x+K", "x-K")) != base  # a helper
    assert hash_of("d", same.replace("K = 2.0", "K = 3.0")) != base  # a constant
    assert hash_of("e", same.replace("o[0]", "o[1]")) != base


def test_a_kernel_that_cannot_be_identified_is_refused(tmp_path):
    hidden = 3.0

    def closed(state, params, inputs, outputs):
        outputs[0] = hidden

    with pytest.raises(ConfigurationError, match="must be a plain function without closed-over variables"):
        helpers_of(closed)
    foreign = module(tmp_path, "h", "from statistics import fmean\ndef f(s, p, i, o):\n    o[0] = fmean(i)\n")
    with pytest.raises(ConfigurationError, match=r"must call only functions of its own file, was 'statistics\.fmean'"):
        helpers_of(foreign)
    table = module(tmp_path, "t", "T = [1.0]\ndef f(s, p, i, o):\n    o[0] = T[0]\n")
    with pytest.raises(ConfigurationError, match="'x: global T' must be a number, a text or None"):
        kernel_hash(feature("x")(table))
    space = {}
    exec("def f(s, p, i, o):\n    o[0] = 1.0\n", space)
    with pytest.raises(ConfigurationError, match="x: the source of 'f' cannot be read"):
        kernel_hash(feature("x")(space["f"]))


# the guide


def test_the_feature_of_the_guide_works(tmp_path, monkeypatch):
    """The guide's blocks, as the module and the session that it says they are."""
    guide = Path(__file__).parents[2] / "docs" / "guides" / "write-a-feature.md"
    module_text, session, *_ = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    (tmp_path / "my_features.py").write_text(module_text)
    monkeypatch.delitem(sys.modules, "my_features", raising=False)  # of another test's folder
    monkeypatch.syspath_prepend(tmp_path)
    space = {"bars": frame(80)}
    exec(session, space)
    assert np.isfinite(space["series"].to_numpy()[20:]).all()
    assert np.isnan(space["series"].to_numpy()[:19]).all()


# many symbols


def columns(symbols=3, bars=40):
    rows = [random_bars(bars, seed) for seed in range(symbols)]
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def test_symbols_do_not_mix_and_threads_change_nothing():
    data = columns()
    one = compute_symbols({"m": "bollinger", "r": ("rsi", {"n": 5})}, data, threads=1)
    two = compute_symbols({"m": "bollinger", "r": ("rsi", {"n": 5})}, data, threads=2)
    assert one["m"].shape == (4, 3, 40)
    for label in one:
        np.testing.assert_array_equal(one[label], two[label])
    alone = compute_symbols({"m": "bollinger"}, {k: v[1:2] for k, v in data.items()})
    np.testing.assert_array_equal(alone["m"][:, 0], one["m"][:, 1])


def test_an_output_beyond_all_numbers_is_nan_in_both_drivers():
    data = {"close": np.array([[0.0, 5.0]])}
    np.testing.assert_array_equal(compute_symbols({"x": SUPPORT + "infinite"}, data)["x"], [[[0.0, np.nan]]])
    stream = Stream({"x": SUPPORT + "infinite"}, 1)
    stream.update({"close": np.array([5.0])})
    assert np.isnan(stream.values("x")).all()


def test_what_a_python_kernel_raises_is_raised_and_nobody_waits():
    with pytest.raises(AttributeError, match="no_such_thing"):
        compute_symbols({"x": SUPPORT + "raising"}, columns(8), threads=1)


def test_what_a_compiled_kernel_raises_is_raised_by_both_drivers():
    with pytest.raises(ZeroDivisionError):
        compute_symbols({"x": SUPPORT + "dividing"}, {"close": np.zeros((1, 2))})
    with pytest.raises(ZeroDivisionError):
        Stream({"x": SUPPORT + "dividing"}, 1).update({"close": np.zeros(1)})


def test_a_stream_that_a_kernel_tore_gives_no_more_values():
    """The kernels behind the one that raised lag a bar from then on."""
    stream = Stream({"x": SUPPORT + "dividing", "mean": ("sma", {"n": 2})}, 1)
    with pytest.raises(ContractError, match=r"have the shape \(1,\)"):
        stream.update({"close": np.ones(2)})
    stream.update({"close": np.ones(1)})
    with pytest.raises(ZeroDivisionError):
        stream.update({"close": np.zeros(1)})
    for attempt in (lambda: stream.update({"close": np.ones(1)}), lambda: stream.values("mean")):
        with pytest.raises(ContractError, match=r"some features took in and others did not\. Make a new stream"):
            attempt()


def test_no_symbols_give_empty_results():
    assert compute_symbols({"m": "macd"}, {"close": np.zeros((0, 5))})["m"].shape == (3, 0, 5)


def test_the_guard_of_the_compiled_loop_is_that_of_the_slow_one(monkeypatch):
    """The compiled loop as it is written, run by Python, with a kernel that would tell if it saw a gap."""
    node = make_plan({"x": "true_range"}).asked["x"]
    table = np.full((4, 200), np.nan)
    gappy = random_bars(200, gap_share=0.1)
    table[:3] = [gappy[name] for name in ("high", "low", "close")]
    tables = [table.copy() for _ in range(3)]
    kernel, rows = node.feature.kernel, np.arange(3)
    drivers.compiled(node.feature)(np.zeros(2), node.params, tables[0], rows, 3)
    as_written = drivers.compiled(node.feature).py_func
    monkeypatch.setitem(as_written.__globals__, "step", kernel)
    monkeypatch.setitem(as_written.__globals__, "local_array", np.empty)
    with np.errstate(invalid="ignore"):  # infinity minus infinity is how the guard finds it
        as_written(np.zeros(2), node.params, tables[1], rows, 3)
    drivers.run_history_slowly(kernel, np.zeros(2), node.params, tables[2], rows, 3, 1)
    for own in tables:
        np.testing.assert_array_equal(own[3], tables[0][3])
    assert np.isnan(tables[0][3]).sum() > 20


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(ContractError, match="'columns' must have close, was "):
        compute_symbols({"s": "sma"}, {"open": np.zeros((1, 2))})
    with pytest.raises(ContractError, match=r"must have the shape \(symbols, bars\) of the others, was \(1, 3\)"):
        compute_symbols({"d": "donchian"}, {"high": np.zeros((1, 2)), "low": np.zeros((1, 3))})
    with pytest.raises(ConfigurationError, match="'threads' must be at least 1"):
        compute_symbols({"s": "sma"}, columns(), threads=0)


def test_all_features_stream_at_once_as_each_alone():
    """Many nodes in one call: no state, parameter or slot is another's."""
    names = [*known_features(), SUPPORT + "after_slow"]
    data = columns(2, 120)
    stream = Stream({name: name for name in names}, 2)
    expected = compute_symbols({name: name for name in names}, data)
    for t in range(120):
        stream.update({k: v[:, t] for k, v in data.items()})
        for name in names:
            np.testing.assert_array_equal(stream.values(name), expected[name][:, :, t].T)
    assert stream.warm_up == 79


def test_a_stream_goes_on_from_a_copy_of_its_state():
    data = columns(2, 60)
    first, second = Stream({"r": "rsi"}, 2), Stream({"r": "rsi"}, 2)
    for t in range(60):
        if t == 30:
            second.state[:] = first.state
        for stream in (first, second)[: 1 + (t >= 30)]:
            stream.update({"close": data["close"][:, t]})
    np.testing.assert_array_equal(first.values("r"), second.values("r"))
    assert np.isfinite(first.values("r")).all()


def test_a_stream_refuses_what_does_not_fit_and_keeps_its_state():
    stream = Stream({"d": "donchian"}, 2)
    for given in ({"high": np.zeros(2)}, {"high": np.zeros(2), "low": np.zeros(3)}):
        with pytest.raises(ContractError, match=r"'columns\['low'\]' must have the shape \(2,\)"):
            stream.update(given)
    assert not stream.state.any()
    with pytest.raises(ConfigurationError, match="'label' must be one of"):
        stream.values("x")
    with pytest.raises(ConfigurationError, match="'symbols' must be at least 1"):
        Stream({"d": "donchian"}, 0)
    with pytest.raises(ValueError, match="read-only"):
        stream.values("d")[0, 0] = 1.0


def test_what_every_family_must_hold_itself_is_the_same_in_all():
    """The disk cache of compiled code watches one file, so the window rules stand in each; they must not drift apart."""
    families = [import_module(f"fairlead.features.{name}") for name in FAMILIES]
    copies = {}
    for module in families:
        for name, member in vars(module).items():
            if name.startswith("_") and isinstance(member, FunctionType) and member.__module__ == module.__name__:
                copies.setdefault(name, []).append(inspect.getsource(member))
    assert len(copies["_push"]) >= 4
    assert {name: len(set(texts)) for name, texts in copies.items()} == dict.fromkeys(copies, 1)
