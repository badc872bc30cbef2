"""`fairlead.backtest`, as a notebook uses it: every form of data, strategy and cost, the errors, and the life of a result."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import fairlead
from fairlead.backtest.library import find_run, free_run_id, run_folder
from fairlead.backtest.provenance import code_hash, code_version, python_version
from fairlead.backtest.result import Result
from fairlead.backtest.run import config_hash, run_id
from fairlead.backtest.rundir import write_run
from fairlead.core.errors import ConfigurationError, ContractError, DataNotFound, StrategyError, UnknownName
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.instruments import Instrument
from fairlead.core.time import BarSize, date_to_day
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.ingest import import_bars
from fairlead.data.memory import source_from_frames
from fairlead.data.opening import store_of
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.slippage import SlippageSettings
from fairlead.sdk import OrderIntent, RiskLimits, Strategy, find_strategy, lint_strategy, parameter
from fairlead.sdk.scaffold import new_strategy_source
from fairlead.strategies.buy_and_hold import BuyAndHold

FIRST, LAST = dt.date(2024, 1, 2), dt.date(2024, 3, 28)
NOON = dt.datetime(2024, 6, 3, 12, 0, 0, tzinfo=dt.UTC)


class UpDown(Strategy):
    """Long after an up day, flat after a down day."""

    symbol: str = parameter("ASSET", doc="What to trade.")
    shares: int = parameter(100, ge=1, doc="How many.")

    def generate_orders(self, context):
        closes = context.historical_data.closes(self.symbol, 2)
        wants = len(closes) == 2 and closes[1] > closes[0]
        holds = context.portfolio.quantity(self.symbol) > 0
        return [] if wants == holds else [OrderIntent.target_position(self.symbol, self.shares if wants else 0)]


class Stumbles(Strategy):
    """Raises on the third bar."""

    def on_start(self, context):
        context.metadata["n"] = 0

    def on_market_event(self, event, context):
        context.metadata["n"] += 1
        if context.metadata["n"] == 3:
            self.stumble(event.close)

    def stumble(self, close):
        raise ValueError(f"no idea what to do at {close:.2f}")


def daily(seed: int = 1) -> pd.DataFrame:
    """A quarter of daily bars in a vendor's spelling."""
    labels = ExchangeCalendar.get("XNYS").labels(date_to_day(FIRST), date_to_day(LAST), BarSize.D1)
    close = 50 + np.random.default_rng(seed).normal(0, 1, len(labels)).cumsum() * 0.2
    columns = {"Open": close - 0.1, "High": close + 1, "Low": close - 1, "Close": close, "Volume": 1e6}
    return pd.DataFrame(columns, index=pd.DatetimeIndex(labels, tz="UTC", name="Date"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """One workspace, with a dataset of two symbols."""
    folder = tmp_path_factory.mktemp("workspace")
    table = import_bars({"A": daily(1), "B": daily(2)}, bar_size=BarSize.D1, calendar="XNYS").table
    store_of(folder).write("mine", table, bar_size=BarSize.D1, calendar="XNYS", source="a test")
    return folder


@pytest.fixture
def backtest(workspace):
    """`fairlead.backtest` in the workspace, at noon."""

    def call(strategy, data, **kwargs):
        return fairlead.backtest(strategy, data, workspace=workspace, **{"now": lambda: NOON, **kwargs})

    return call


# --- data -------------------------------------------------------------------------------------------------------------------


def test_a_pandas_and_a_polars_frame_are_the_same_run(backtest):
    frame = daily()
    first = backtest(UpDown, frame)
    second = backtest(UpDown, pl.from_pandas(frame.reset_index()))
    assert first.digest == second.digest
    assert first.info.dataset_hash == second.info.dataset_hash
    assert first.run_id == second.run_id
    assert (first.info.symbols, first.info.start, first.info.end) == (("ASSET",), "2024-01-02", "2024-03-28")
    assert (first.info.bar_size, first.info.synthetic, first.status) == ("1d", False, "completed")
    assert len(first.record.fills) > 10


def test_several_symbols_come_as_a_dict_a_long_frame_or_a_dataset(backtest):
    """All of them are one and the same run."""
    frames = {"A": daily(1), "B": daily(2)}
    long = pd.concat([frame.assign(Ticker=symbol) for symbol, frame in frames.items()])
    polars = {symbol: pl.from_pandas(frame.reset_index()) for symbol, frame in frames.items()}
    results = [backtest(UpDown, data, params={"symbol": "B"}) for data in (frames, long, polars, "mine")]
    assert {result.info.symbols for result in results} == {("A", "B")}
    assert len({result.digest for result in results}) == 1
    assert results[-1].info.dataset == "mine"
    np.testing.assert_array_equal(results[0].equity["equity"], results[-1].equity["equity"])


@pytest.mark.parametrize("name", ["bundled", "us_equities"])
def test_the_bundled_prices_have_two_names(backtest, name):
    result = backtest("buy_and_hold", name, symbols=["IBM"], params={"symbols": ("IBM",)}, start="2012-01-03")
    assert (result.info.dataset, result.info.symbols, result.info.start) == ("us_equities", ("IBM",), "2012-01-03")
    assert result.stats["num_orders"] == 1


def test_a_source_is_taken_as_it_is(backtest):
    assert backtest(UpDown, source_from_frames(daily())).digest == backtest(UpDown, daily()).digest


def test_corporate_actions_of_a_frame_are_given_beside_it(backtest):
    """A two-for-one split doubles what is held."""
    frame = daily()
    ex = dt.date(2024, 2, 15)
    frame.loc[str(ex) :, ["Open", "High", "Low", "Close"]] /= 2
    split = CorporateAction("ASSET", date_to_day(ex), ActionKind.SPLIT, 2.0)
    result = backtest(BuyAndHold(symbols=("ASSET",), weight=0.5), frame, actions=[split])
    (applied,) = result.record.applied_actions
    assert applied.quantity_after == 2 * applied.quantity_before > 0
    assert result.equity["equity"].pct_change().abs().max() < 0.05


@pytest.mark.parametrize("as_text", [True, False])
def test_dates_are_sessions_both_included(backtest, as_text):
    start, end = dt.date(2024, 1, 13), dt.date(2024, 2, 16)
    result = backtest(UpDown, daily(), start=str(start) if as_text else start, end=str(end) if as_text else end)
    assert (result.info.start, result.info.end) == ("2024-01-16", "2024-02-16")  # the 15th is a holiday


@pytest.mark.parametrize("data", ["mine", None])
def test_symbols_are_chosen_from_any_data(backtest, data):
    result = backtest(UpDown(symbol="B"), data or {"A": daily(1), "B": daily(2)}, symbols=["B"], end="2024-02-01")
    assert (result.info.symbols, result.info.end) == (("B",), "2024-02-01")


def test_bar_size_and_calendar_of_a_frame_can_be_said(backtest):
    """Minutes are told from their spacing; a daily frame that is said to be minutes is refused."""
    labels = ExchangeCalendar.get("XNYS").labels(date_to_day(FIRST), date_to_day(FIRST), BarSize.M1)
    flat = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), 10.0), index=pd.DatetimeIndex(labels, tz="UTC"))
    minutes = flat.assign(volume=100.0)
    assert backtest(UpDown, minutes).info.bar_size == backtest(UpDown, minutes, bar_size="1min").info.bar_size == "1min"
    assert backtest(UpDown, daily(), calendar="24/7").info.calendar == "24/7"
    with pytest.raises(ContractError):
        backtest(UpDown, daily(), bar_size="1min")


def test_a_naive_index_is_refused_with_the_line_that_mends_it(backtest):
    frame = daily().tz_localize(None)
    with pytest.raises(ContractError) as caught:
        backtest(UpDown, frame)
    assert str(caught.value) == (
        "'frame: stamps' must carry a time zone, was '2024-01-02 00:00:00'. Attach it: df.index = df.index.tz_localize(\"UTC\")"
    )
    frame.index = frame.index.tz_localize("UTC")
    assert backtest(UpDown, frame).digest == backtest(UpDown, daily()).digest


@pytest.mark.parametrize(
    ("kwargs", "error", "text"),
    [
        ({"start": "yesterday"}, ConfigurationError, "'start' must be a date like 2024-01-31, was 'yesterday'"),
        ({"end": "31.01.2024"}, ConfigurationError, "'end' must be a date like 2024-01-31, was '31.01.2024'"),
        ({"start": "2024-02-01", "end": "2024-01-10"}, ConfigurationError, "'end' must not be before start (2024-02-01)"),
        ({"start": "2030-01-01"}, DataNotFound, "has no bars of ASSET from 2030-01-01 to the end."),
        ({"symbols": ["ASET"]}, UnknownName, "did you mean 'ASSET'?"),
        ({"params": {"shars": 1}}, UnknownName, "no parameter of UpDown named 'shars'; did you mean 'shares'?"),
        ({"params": {"shares": 0}}, ConfigurationError, "'shares' must be >= 1, was 0. How many."),
        ({"cash": 0}, ConfigurationError, "'cash' must be a finite amount above 0, was 0"),
        ({"cash": "a"}, ConfigurationError, "'cash' must be a finite amount above 0, was 'a'"),
        ({"cash": float("nan")}, ConfigurationError, "'cash' must be a finite amount above 0, was nan"),
        (
            {"commission": -1},
            ConfigurationError,
            "these params: 'bps': Input should be greater than or equal to 0",
        ),
        (
            {"commission": "free"},
            ConfigurationError,
            "no commission model named 'free'. Known: bps, none, per_order",
        ),
        ({"slippage": {"modle": 1}}, ConfigurationError, "slippage: 'modle': Extra inputs are not permitted, was 1."),
        (
            {"risk_limits": {"max_leverage": 0}},
            ConfigurationError,
            "risk_limits: 'max_leverage': Input should be greater",
        ),
        ({"symbols": "AAPL"}, ConfigurationError, r"'symbols' must be a sequence of names, was 'AAPL'. Write ['AAPL']."),
        ({"params": {"symbol": "X"}, "strategy": BuyAndHold}, UnknownName, "no parameter of BuyAndHold named 'symbol'"),
        ({"strategy": BuyAndHold}, UnknownName, "no symbol for strategy 'buy_and_hold' in dataset 'memory' named 'AAPL'"),
        ({"strategy": "sma_crosover"}, UnknownName, "no strategy named 'sma_crosover'; did you mean 'sma_crossover'?"),
        (
            {"strategy": int},
            ConfigurationError,
            "'strategy' must be a Strategy, a subclass of it, or a name, was <class 'int'>",
        ),
        ({"strategy": UpDown(), "params": {"shares": 2}}, ConfigurationError, "'params' must not be given with an instance"),
        ({"data": "nope"}, UnknownName, "no dataset named 'nope'. Known: mine"),
        ({"data": [1, 2]}, ContractError, "'frame' must be a pandas or polars DataFrame"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_named(backtest, kwargs, error, text):
    arguments = {"strategy": UpDown, "data": daily(), **kwargs}
    with pytest.raises(error) as caught:
        backtest(arguments.pop("strategy"), arguments.pop("data"), **arguments)
    assert text in str(caught.value)


# --- strategies -------------------------------------------------------------------------------------------------------------


def test_a_strategy_is_a_class_an_instance_or_a_name(backtest, tmp_path):
    """However it is given, it is the same run."""
    file = tmp_path / "updown.py"
    file.write_text(f"from fairlead.sdk import OrderIntent, Strategy, parameter\n\n\n{source_of(UpDown)}")
    forms = [
        backtest(UpDown, daily(), params={"shares": 7}),
        backtest(UpDown(shares=7), daily()),
        backtest(f"{file}:UpDown", daily(), params={"shares": 7}),
        backtest(str(file), daily(), params={"shares": 7}),
    ]
    assert len({result.digest for result in forms}) == 1
    assert {fill.quantity for fill in forms[0].record.fills} == {7.0}
    assert {result.info.title for result in forms} == {"up_down"}
    assert forms[0].info.config["strategies"][0]["params"] == {"symbol": "ASSET", "shares": 7}


def source_of(cls: type) -> str:
    import inspect

    return inspect.getsource(cls)


def test_a_strategy_that_raises_is_an_error_with_its_line(backtest):
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "no idea what to do" in text)
    with pytest.raises(StrategyError) as caught:
        backtest(Stumbles, daily())
    text = str(caught.value)
    assert text.startswith("strategy 'stumbles' raised: ValueError: no idea what to do at ")
    assert text.endswith(f'(stumble, line {line}: raise ValueError(f"no idea what to do at {{close:.2f}}"))')


def test_the_strategy_of_fifteen_lines_runs(backtest, tmp_path):
    """What `fairlead strategy new` writes: clean under the lint, and in and out of the market on real prices."""
    file = tmp_path / "my_trend.py"
    file.write_text(new_strategy_source("my_trend"))
    body = [line for line in file.read_text().splitlines() if line.strip()]
    assert len(body) <= 15
    assert lint_strategy(file) == []
    assert find_strategy(str(file)).name == "my_trend"
    result = backtest(str(file), "bundled", symbols=["AAPL"], params={"window": 100}, end="2005-12-30")
    assert result.metrics["num_trades"] > 20
    assert result.metrics["num_rejections"] == 0
    assert (
        result.digest
        == backtest(f"{file}:MyTrend", "bundled", symbols=["AAPL"], params={"window": 100}, end="2005-12-30").digest
    )


# --- costs and limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("commission", "expected"),
    [
        (None, {"model": "bps", "params": {"bps": 2.0}}),
        (0, {"model": "none", "params": {}}),
        (0.1, {"model": "bps", "params": {"bps": 0.1}}),
        (5, {"model": "bps", "params": {"bps": 5.0}}),
        ("per_share", {"model": "per_share", "params": {"per_share": 0.005, "minimum": 1.0, "max_frac": 0.01}}),
        ({"model": "per_order", "params": {"amount": 3}}, {"model": "per_order", "params": {"amount": 3.0}}),
        (CommissionSettings(model="bps", params={"bps": 7}), {"model": "bps", "params": {"bps": 7.0}}),
    ],
    ids=str,
)
def test_commission_is_a_number_a_name_a_mapping_or_settings(backtest, commission, expected):
    """And what was charged is what the settings say, with the model's defaults filled in."""
    result = backtest(UpDown, daily(), commission=commission, slippage=0)
    assert result.info.costs["commission"] == expected
    assert result.info.config["execution"]["commission"] == expected
    model = CommissionSettings(**expected).build()
    for fill in result.record.fills:
        assert fill.commission == pytest.approx(model.charge(fill.quantity, fill.price, 1.0, 0.0, 0.0), rel=1e-12)


@pytest.mark.parametrize(
    ("slippage", "expected", "fraction"),
    [
        (None, {"model": "fixed", "params": {"bps": 1.0}}, 1e-4),
        (0, {"model": "none", "params": {}}, 0.0),
        (5, {"model": "fixed", "params": {"bps": 5.0}}, 5e-4),
        ("volume_based", {"model": "volume_based", "params": {"base_bps": 5.0, "volume_factor": 0.1}}, 5e-4 + 0.1 * 100 / 1e6),
        ({"model": "fixed", "params": {"bps": 9}}, {"model": "fixed", "params": {"bps": 9.0}}, 9e-4),
        (SlippageSettings(model="none"), {"model": "none", "params": {}}, 0.0),
    ],
    ids=str,
)
def test_slippage_is_a_number_a_name_a_mapping_or_settings(backtest, slippage, expected, fraction):
    result = backtest(UpDown, daily(), slippage=slippage)
    assert result.info.costs["slippage"] == expected
    for fill in result.record.fills:
        worse = 1 + fraction if fill.side == "BUY" else 1 - fraction
        assert fill.price == pytest.approx(fill.price_ideal * worse, rel=1e-12)


@pytest.mark.parametrize("name", ["commission", "slippage"])
@pytest.mark.parametrize(("cost", "meant"), [(0.001, "10"), (0.0005, "5"), (0.00025, "2.5")])
def test_a_fraction_is_not_taken_for_basis_points(backtest, name, cost, meant):
    """0.001 means 0.1 % to most people, and a thousandth of a basis point to this argument: ask."""
    with pytest.raises(ConfigurationError) as caught:
        backtest(UpDown, daily(), **{name: cost})
    assert str(caught.value) == (f"'{name}' must be in basis points, 0 or at least 0.1, was {cost}. Did you mean {meant}?")


def test_commission_and_slippage_change_nothing_else_of_the_execution(backtest):
    settings = ExecutionSettings(max_bar_participation=0.00002, commission=CommissionSettings(model="none"))
    result = backtest(UpDown, daily(), execution=settings, slippage=3)
    assert result.info.config["execution"]["max_bar_participation"] == 0.00002
    assert result.info.costs == {
        "commission": {"model": "none", "params": {}},
        "slippage": {"model": "fixed", "params": {"bps": 3.0}},
    }
    assert {fill.quantity for fill in result.record.fills} == {20.0}  # 0.00002 of 1,000,000 a bar


@pytest.mark.parametrize("limits", [{"max_position_size": 0.02}, RiskLimits(max_position_size=0.02)], ids=["mapping", "limits"])
def test_risk_limits_tighten(backtest, limits):
    """Two per cent of 100,000 is less than the strategy wants."""
    result = backtest(BuyAndHold(symbols=("ASSET",)), daily(), risk_limits=limits)
    assert result.record.orders[0].quantity == np.floor(0.02 * 1e5 / daily()["Close"].iloc[0])


class Geared(Strategy):
    """Designed for two times its equity, and holds one and a half."""

    risk_limits = RiskLimits(max_leverage=2)

    def generate_orders(self, context):
        return [] if context.portfolio.quantity("ASSET") else [OrderIntent.target_weight("ASSET", 1.5)]


@pytest.mark.parametrize(
    ("limits", "is_filled"),
    [
        (None, True),
        ({"max_position_size": 5}, True),  # says nothing of leverage, and so leaves it as declared
        ({"max_leverage": 5}, True),  # cannot widen, and does not narrow
        ({"max_leverage": 1}, False),
        (RiskLimits(max_position_size=5), False),  # says 1, by default
    ],
    ids=str,
)
def test_a_mapping_tightens_only_the_limits_it_names(backtest, limits, is_filled):
    first = backtest(Geared, daily(), risk_limits=limits, end="2024-01-10").record.orders[0]
    assert (first.status == "FILLED", first.reason.partition(":")[0]) == (
        is_filled,
        "" if is_filled else "insufficient_buying_power",
    )


def test_instruments_seed_and_title_reach_the_run(backtest):
    lots = Instrument(symbol="ASSET", lot_step=30.0, min_quantity=30.0)
    result = backtest(UpDown, daily(), instruments={"ASSET": lots}, seed=7, title="By lots", cash=50_000)
    assert {fill.quantity for fill in result.record.fills} == {90.0}
    assert (result.info.seed, result.info.title, result.record.initial_cash) == (7, "By lots", 50_000.0)
    assert result.run_id.startswith("bt_20240603T120000Z_by_lots_")


# --- identity ---------------------------------------------------------------------------------------------------------------


def test_a_run_is_named_after_its_instant_title_and_configuration(backtest):
    result = backtest(UpDown, daily())
    hashed = config_hash(result.info.config)
    assert result.info.config_hash == hashed
    assert result.run_id == f"bt_20240603T120000Z_up_down_{hashed[:8]}" == run_id(NOON, "Up Down", hashed)
    assert result.info.created_at == "2024-06-03T12:00:00.000000Z"
    assert (result.info.code_version, result.info.python_version) == (code_version(), python_version())
    assert (code_version(), python_version()) == (fairlead.__version__, sys.version.split()[0])


def test_the_configuration_hash_sees_every_argument_and_not_their_order(backtest):
    assert config_hash({"a": 1, "b": [1, 2]}) == config_hash({"b": [1, 2], "a": 1}) != config_hash({"a": 1, "b": [2, 1]})
    base = backtest(UpDown, daily()).info
    changes = [
        {"cash": 1e4},
        {"commission": 3},
        {"slippage": 3},
        {"seed": 1},
        {"params": {"shares": 5}},
        {"end": "2024-03-01"},
        {"risk_limits": {"max_leverage": 0.5}},
        {"execution": ExecutionSettings(limit_fill_on_touch=True)},
    ]
    changes += [{"instruments": {"ASSET": Instrument(symbol="ASSET", multiplier=m)}} for m in (10.0, 100.0)]
    hashes = [backtest(UpDown, daily(), **change).info.config_hash for change in changes]
    assert len({base.config_hash, *hashes}) == len(changes) + 1
    assert backtest(UpDown, daily(), now=lambda: NOON + dt.timedelta(days=1)).info.config_hash == base.config_hash


def test_the_wall_clock_names_a_run_if_nothing_else_does(workspace):
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)  # noqa: TID251  what the default clock is compared with
    result = fairlead.backtest(UpDown, daily(), workspace=workspace)
    created = dt.datetime.fromisoformat(result.info.created_at)
    assert before <= created <= dt.datetime.now(dt.UTC)  # noqa: TID251  as above


def test_the_code_hash_changes_with_the_file_of_the_strategy(backtest, tmp_path):
    """Even a comment changes it: the hash is of what was there, not of what it means."""
    file = tmp_path / "mine.py"
    text = new_strategy_source("mine")
    hashes = []
    for content in (text, f"{text}# one more line\n", text):
        file.write_text(content)
        hashes.append(backtest(str(file), "mine", params={"symbol": "A"}).info.code_hash)
    assert hashes[0] == hashes[2] != hashes[1]
    assert hashes[0] != backtest(UpDown(symbol="A"), "mine").info.code_hash


def test_the_code_hash_does_not_depend_on_the_order_of_strategies():
    assert code_hash([UpDown, BuyAndHold]) == code_hash([BuyAndHold, UpDown]) != code_hash([UpDown])
    assert len(code_hash([])) == 64


def test_a_strategy_typed_into_a_shell_has_a_code_hash_too(backtest):
    """Its source is nowhere to be read; the name stands in, and the run does not fail."""
    namespace = {"__name__": "__shell__", "Strategy": Strategy}
    exec("class Idle(Strategy):\n    pass\nclass Other(Strategy):\n    pass", namespace)
    hashes = [code_hash([namespace[name]]) for name in ("Idle", "Other", "Idle")]
    assert hashes[0] == hashes[2] != hashes[1]
    assert backtest(namespace["Idle"], daily()).info.code_hash == hashes[0]


# --- the life of a result ---------------------------------------------------------------------------------------------------


def test_nothing_is_written_until_it_is_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAIRLEAD_HOME", raising=False)
    fairlead.backtest(UpDown, daily())
    assert list(tmp_path.iterdir()) == []


def test_a_saved_result_loads_as_it_was(backtest, tmp_path):
    """Every metric, order, fill and point of equity, the digest and the provenance."""
    result = backtest(UpDown, {"ASSET": daily(1), "B": daily(2)})
    folder = result.save(tmp_path / "run")
    loaded = fairlead.Result.load(folder)
    assert fairlead.Result is Result
    assert (loaded.digest, loaded.run_id, loaded.info.to_dict()) == (result.digest, result.run_id, result.info.to_dict())
    pd.testing.assert_series_equal(loaded.stats, result.stats)
    for table in ("equity", "trades", "orders", "fills"):
        pd.testing.assert_frame_equal(getattr(loaded, table), getattr(result, table))
    pd.testing.assert_series_equal(loaded.benchmark, result.benchmark)
    assert loaded.summary() == result.summary()


def test_a_workspace_finds_its_runs(backtest, tmp_path, monkeypatch):
    """By id, by the beginning of one, by `latest`, or by path."""
    (workspace := tmp_path / "ws").mkdir()
    instants = [NOON, NOON + dt.timedelta(seconds=90), NOON + dt.timedelta(days=1)]
    results = [backtest(UpDown, daily(), now=lambda at=at: at) for at in instants]
    folders = [write_run(result, workspace, report=False) for result in (results[2], results[0], results[1])]
    first, second, third = (workspace / "runs" / result.run_id for result in results)
    assert set(folders) == {first, second, third}
    for name in ("latest", results[2].run_id, "bt_20240604", str(third)):
        assert run_folder(workspace, name) == third
    assert run_folder(workspace, "bt_20240603T120130Z") == second
    monkeypatch.chdir(third.parent)
    assert run_folder(tmp_path / "elsewhere", third.name).resolve() == third.resolve()
    assert find_run(workspace, "latest").digest == results[2].digest
    monkeypatch.chdir(tmp_path)

    with pytest.raises(DataNotFound) as ambiguous:
        run_folder(workspace, "bt_20240603")
    assert str(ambiguous.value) == (
        f"several runs begin with 'bt_20240603' in {workspace / 'runs'}. Newest: {second.name}, {first.name}."
    )
    with pytest.raises(DataNotFound) as unknown:
        find_run(workspace, "bt_1999")
    assert str(unknown.value) == (
        f"no run named 'bt_1999' in {workspace / 'runs'}. Newest: {third.name}, {second.name}, {first.name}."
    )
    with pytest.raises(DataNotFound, match=r"no run named 'latest' in .*\. Newest: \(none\)\."):
        run_folder(tmp_path / "empty", "latest")


def test_a_run_that_begins_like_another_is_found_by_its_whole_name(backtest, tmp_path):
    """`x` and `x_2`: the shorter name is a beginning of the longer, and still its own."""
    result = backtest(UpDown, daily())
    folder = write_run(result, tmp_path, report=False)
    shutil.copytree(folder, folder.with_name(f"{folder.name}_2"))
    assert run_folder(tmp_path, result.run_id) == folder
    assert free_run_id(tmp_path, result.run_id) == f"{result.run_id}_3"


def test_runs_of_one_second_have_names_of_their_own(tmp_path):
    """`_2`, `_3`, and so on, past what is taken, whatever took it."""
    assert free_run_id(tmp_path, "bt_x") == "bt_x"
    (runs := tmp_path / "runs").mkdir()
    for expected in ("bt_x", "bt_x_2", "bt_x_3"):
        name = free_run_id(tmp_path, "bt_x")
        assert name == expected
        (runs / name).mkdir()
    assert free_run_id(tmp_path, "bt_x_2") == "bt_x_2_2"


# --- importing --------------------------------------------------------------------------------------------------------------


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_fairlead_loads_nothing_heavy():
    heavy = "numpy pandas polars pyarrow matplotlib plotly pydantic bokeh_sampledata"
    assert python(f"import sys, fairlead; print([name for name in '{heavy}'.split() if name in sys.modules])") == "[]"


@pytest.mark.parametrize(
    "imports",
    [
        "import fairlead",
        "import fairlead.backtest",
        "import fairlead; from fairlead.backtest.result import Result",
        "from fairlead.backtest.api import backtest; import fairlead",
        "import fairlead; fairlead.Result",
    ],
)
def test_backtest_can_be_called_whatever_was_imported_first(imports):
    """`fairlead.backtest` is a package and a verb at once; the call must reach the verb in every order of imports."""
    code = f"""
{imports}
try:
    fairlead.backtest(5, None)
except ValueError as exc:
    print(exc)
"""
    assert python(code) == "'strategy' must be a Strategy, a subclass of it, or a name, was 5"


def test_the_package_has_no_other_doors():
    assert dir(fairlead) == sorted(fairlead.__all__) == ["Result", "__version__", "backtest"]
    with pytest.raises(AttributeError, match="module 'fairlead' has no attribute 'backtests'"):
        _ = fairlead.backtests


@pytest.mark.parametrize(
    ("data", "given", "text"),
    [
        ("bundled", {"bar_size": "1d"}, "'bar_size' must not be given with a dataset, which brings its own, was '1d'"),
        ("bundled", {"calendar": "XLON"}, "'calendar' must not be given with a dataset, which brings its own, was 'XLON'"),
        ("source", {"symbols": ["ASSET"]}, r"'symbols' must not be given with a DataSource, which brings its own"),
        ("source", {"start": "2024-01-02"}, r"'start' must not be given with a DataSource, which brings its own"),
    ],
)
def test_an_argument_that_would_be_ignored_is_refused(backtest, data, given, text):
    """Running on something else than was asked for is worse than an error."""
    chosen = source_from_frames(daily()) if data == "source" else data
    with pytest.raises(ConfigurationError, match=text):
        backtest(UpDown, chosen, **given)


def test_a_run_is_named_in_utc_whatever_the_zone_of_its_clock():
    new_york = dt.timezone(dt.timedelta(hours=-5))
    assert run_id(dt.datetime(2024, 1, 1, 0, 0, tzinfo=new_york), "x", "0badcafe").startswith("bt_20240101T050000Z_x_")


def test_the_latest_run_is_found_wherever_its_directory_is_called(backtest, tmp_path):
    """A run saved under a name of one's own keeps its id in the manifest."""
    result = backtest(UpDown, daily())
    result.save(tmp_path / "runs" / "mine")
    assert run_folder(tmp_path, "latest") == tmp_path / "runs" / "mine"
    assert run_folder(tmp_path, result.run_id[:12]) == tmp_path / "runs" / "mine"


def test_code_that_a_strategy_derives_from_is_part_of_its_hash():
    class Below(UpDown):
        pass

    class Other(UpDown):
        def lookback(self):
            return 7

    hashes = {code_hash([UpDown]), code_hash([Below]), code_hash([Other])}
    assert len(hashes) == 3
    assert code_hash([Below]) == code_hash([Below])
