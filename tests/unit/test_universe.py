"""Universes: who belonged when, who was liquid then, and what a strategy is told of it."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fairlead
from fairlead.backtest.result import Result
from fairlead.config.loading import load_settings
from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound
from fairlead.core.time import date_to_day
from fairlead.data.liquidity import Liquidity
from fairlead.data.universe import Membership, Universe
from fairlead.evidence.lookahead import check_lookahead
from fairlead.sdk import BarSlice, OrderIntent
from support_records import Market, info_for, simulate, weekdays
from support_sessions import FIRST_DAY, Scripted, days, flat, minutes, plan, random_bars, run, steady

ROWS = [
    {"symbol": "AAA", "entry": "2024-01-02", "exit": None},
    {"symbol": "bbb ", "entry": "2024-01-02", "exit": "2024-01-05"},
    {"symbol": "CCC", "entry": "2024-01-04", "exit": "2024-01-05"},
    {"symbol": "CCC", "entry": "2024-01-08", "exit": None},
]


def listed(rows=ROWS) -> Universe:
    return Universe.from_frame(pl.DataFrame(rows, infer_schema_length=None))


# ----------------------------------------------------------------------------------------------------- lists


@pytest.mark.parametrize(
    ("day", "names"),
    [
        (dt.date(2024, 1, 1), ()),
        (dt.date(2024, 1, 2), ("AAA", "BBB")),
        (dt.date(2024, 1, 4), ("AAA", "BBB", "CCC")),
        (dt.date(2024, 1, 5), ("AAA",)),
        (dt.date(2024, 1, 8), ("AAA", "CCC")),
        (dt.date(2050, 1, 3), ("AAA", "CCC")),
    ],
)
def test_a_name_belongs_from_its_entry_up_to_its_exit(day, names):
    """The exit is the first session without it; a name may come back."""
    assert listed().members(day) == names
    assert listed().members(date_to_day(day)) == names


def test_the_mask_is_the_members_in_columns():
    sessions = np.arange(date_to_day(dt.date(2024, 1, 1)), date_to_day(dt.date(2024, 1, 10)), dtype=np.int32)
    mask = listed().mask(["CCC", "ZZZ", "AAA"], sessions)
    assert mask.shape == (9, 3)
    for session, row in zip(sessions, mask, strict=True):
        members = listed().members(int(session))
        assert row.tolist() == ["CCC" in members, False, "AAA" in members]


def test_one_universe_from_every_form(tmp_path):
    """Text, dates and stamps; pandas, polars, CSV and Parquet; rows in any order."""
    frame = pl.DataFrame(ROWS, infer_schema_length=None)
    frame.write_csv(tmp_path / "u.csv")
    dated = frame.with_columns(pl.col("entry").str.to_date(), pl.col("exit").str.to_date())
    dated.write_parquet(tmp_path / "u.parquet")
    stamped = frame.to_pandas().assign(entry=lambda f: pd.to_datetime(f["entry"]), exit=lambda f: pd.to_datetime(f["exit"]))
    forms = [
        listed(),
        listed(ROWS[::-1]),
        Universe.load(tmp_path / "u.csv"),
        Universe.load(tmp_path / "u.parquet"),
        Universe.from_frame(stamped),
    ]
    assert {universe.content_hash for universe in forms} == {listed().content_hash}
    assert listed(ROWS[1:]).content_hash != listed().content_hash
    assert listed().symbols == ("AAA", "BBB", "CCC")
    assert repr(listed()) == "Universe(3 symbols, 4 stays)"


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([{"symbol": "A", "entry": "2024-01-02"}], "'frame: columns' must have exit"),
        ([{"symbol": "A", "entry": "2024-01-02", "exit": None, "weigth": 1}], "no column of a universe named 'weigth'"),
        ([{"symbol": "A", "entry": None, "exit": None}], "'frame, row 0: entry' must be given"),
        ([{"symbol": "A", "entry": "2024-01-02", "exit": "2024-01-02"}], "'A exit' must be after its entry"),
        ([{"symbol": "A", "entry": "2024-01-02", "exit": "2024-01-02"}], "A from 2024-01-02 to 2024-01-02"),
        ([{"symbol": "A", "entry": "2 Jan", "exit": None}], "frame: entry"),
        ([{"symbol": "A/B", "entry": "2024-01-02", "exit": None}], "'symbol' must match"),
        ([{"symbol": "A", "entry": "2024-01-02", "exit": None, "sector": "Energy"}], "'frame: columns' must have published"),
        (
            [{"symbol": "A", "entry": "2024-01-02", "exit": None}, {"symbol": "A", "entry": "2024-02-02", "exit": None}],
            "'stays of A' must not overlap, was 'A from 2024-01-02 to now; A from 2024-02-02 to now'",
        ),
    ],
)
def test_a_bad_list_is_refused_with_its_place(rows, text):
    with pytest.raises(ContractError, match=text):
        listed(rows)


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(DataNotFound, match="there is no file named"):
        Universe.load(tmp_path / "nothing.csv")
    (tmp_path / "u.txt").write_text("symbol")
    with pytest.raises(DataError, match="must end in one of"):
        Universe.load(tmp_path / "u.txt")
    (tmp_path / "u.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="cannot be read"):
        Universe.load(tmp_path / "u.parquet")
    with pytest.raises(ContractError, match="must be a pandas or polars DataFrame, was 'dict'"):
        Universe.from_frame({})


def test_sector_and_size_count_from_their_publication():
    rows = [
        {**ROWS[0], "sector": "Energy", "market_cap": 2e9, "published": "2024-01-02T21:00:00Z"},
        {"symbol": "AAA", "sector": "Materials", "published": "2024-03-01T21:00:00Z"},
    ]
    universe = listed(rows)
    before, then, later = (dt.datetime(2024, month, 2, 22, tzinfo=dt.UTC) for month in (1, 2, 4))
    assert universe.sector("AAA", before - dt.timedelta(hours=2)) is None
    assert [universe.sector("AAA", t) for t in (before, then, later)] == ["Energy", "Energy", "Materials"]
    assert universe.market_cap("AAA", later) == 2e9
    assert universe.market_cap("ZZZ", later) is None
    assert listed().sector("AAA", later) is None
    assert universe.members(dt.date(2024, 1, 2)) == ("AAA",)


def test_names_without_data_are_told():
    """What belonged and has no prices is what survivorship is made of."""
    first = date_to_day(dt.date(2024, 1, 8))
    assert listed().without_data(["AAA"], first, first + 5) == ("CCC",)
    assert listed().without_data(["AAA"], first - 6, first) == ("BBB", "CCC")


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 30), st.integers(1, 30), st.booleans()), max_size=6).map(
        lambda found: [Membership(s, a, a + n if ends else 2**31 - 1) for s, a, n, ends in found]
    )
)
def test_the_order_of_the_stays_changes_nothing(stays):
    try:
        first = Universe(stays)
    except ContractError:
        with pytest.raises(ContractError):
            Universe(stays[::-1])
        return
    second = Universe(stays[::-1])
    sessions = np.arange(65, dtype=np.int32)
    np.testing.assert_array_equal(first.mask("ABC", sessions), second.mask("CBA", sessions)[:, ::-1])
    for session in range(65):
        assert first.members(session) == tuple(
            s for s in "ABC" if any(m.symbol == s and m.entry <= session < m.exit for m in stays)
        )


# ----------------------------------------------------------------------------------------------------- in a run


class Sees(Scripted):
    """Notes the universe at the start and at every instant."""

    event_type = BarSlice

    def __init__(self, script=None):
        super().__init__(script)
        self.seen: list[tuple[str, ...]] = []

    def on_start(self, context):
        self.at_start = context.universe

    def on_market_event(self, event, context):
        self.seen.append(context.universe)


def test_without_a_universe_every_symbol_belongs():
    sees = Sees()
    run(days({"A": steady(3), "B": steady(3)}), sees)
    assert sees.seen == [("A", "B")] * 3
    assert sees.at_start == ("A", "B")


@pytest.mark.parametrize("rows", [None, 1])
def test_a_strategy_is_told_who_belongs_now(rows):
    """Names without data are left out; the order is that of the run's symbols."""
    stays = [
        Membership("B", FIRST_DAY, FIRST_DAY + 2),
        Membership("A", FIRST_DAY + 1, 2**31 - 1),
        Membership("Z", 0, 2**31 - 1),
    ]
    sees = Sees()
    run(days({"A": steady(4), "B": steady(4), "C": steady(4)}, rows=rows), sees, universe=Universe(stays))
    assert sees.seen == [("B",), ("A", "B"), ("A",), ("A",)]
    assert sees.at_start == ("B",)


def test_what_is_outside_can_still_be_bought_and_sold():
    """It is the strategy's own business."""
    sees = Sees({0: [OrderIntent.market("B", 10)], 1: [OrderIntent.market("B", -10)]})
    record = run(days({"A": steady(4), "B": steady(4)}), sees, universe=Universe([Membership("A", 0, 2**31 - 1)]))
    assert [f.symbol for f in record.fills] == ["B", "B"]


# ----------------------------------------------------------------------------------------------------- liquidity


def test_the_average_is_that_of_sessions_that_are_over():
    """1,000 shares at 10: 10,000 a session. Two sessions make the average; today's volume does not count today."""
    bars = {"A": [flat(10.0, 1_000.0)] * 5, "B": [flat(10.0, 1_000.0)] * 2 + [flat(10.0, 100.0)] * 3}
    sees = Sees()
    run(days(bars), sees, liquidity=Liquidity(min_dollar_volume=10_000.0, sessions=2))
    assert sees.seen == [(), (), ("A", "B"), ("A",), ("A",)]


def test_price_and_history_are_those_of_before():
    bars = {"A": [flat(4.0), flat(6.0), flat(4.0), flat(6.0)], "B": [None, flat(9.0), flat(9.0), flat(9.0)]}
    priced, aged = Sees(), Sees()
    run(days(bars), priced, liquidity=Liquidity(min_price=5.0))
    run(days(bars), aged, liquidity=Liquidity(min_history=2))
    assert priced.seen == [(), (), ("A", "B"), ("B",)]
    assert aged.seen == [(), (), ("A",), ("A", "B")]


def test_a_session_without_a_bar_counts_nothing():
    bars = {"A": [flat(10.0, 1_000.0), None, flat(10.0, 1_000.0), flat(10.0)], "X": steady(4)}
    sees = Sees()
    run(days(bars), sees, liquidity=Liquidity(min_dollar_volume=6_000.0, sessions=2))
    assert [("A" in names) for names in sees.seen] == [False, False, False, False]


@pytest.mark.parametrize("rows", [None, 1, 4])
def test_blocks_of_any_size_and_a_later_start_give_the_same_universe(rows):
    """Sessions of seven bars, cut anywhere; a run that begins later knows what came before."""
    rng = np.random.default_rng(5)
    source = minutes({s: random_bars(rng, 70, gaps=0.3) for s in "ABCD"}, per_session=7)
    rules = Liquidity(min_dollar_volume=250_000.0, sessions=3, min_price=45.0, min_history=2)
    whole, cut, late = Sees(), Sees(), Sees()
    run(source, whole, liquidity=rules)
    run(source.changed(rows=rows), cut, liquidity=rules)
    run(source.changed(rows=rows).since(30), late, liquidity=rules)
    assert cut.seen == whole.seen
    assert late.seen == whole.seen[30:]
    assert late.at_start == whole.seen[30]
    assert len(set(whole.seen)) > 3


class Holds(Scripted):
    """Buys what belongs and sells what does not."""

    event_type = BarSlice

    def on_market_event(self, event, context):
        """Nothing to note."""

    def generate_orders(self, context):
        share = 0.9 / max(1, len(context.universe))
        return [OrderIntent.target_weight(s, share if s in context.universe else 0.0) for s in context.symbols]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1_000))
def test_a_filter_sees_no_future(seed):
    """Truncated anywhere, the universe of before is the same."""
    rng = np.random.default_rng(seed)
    source = minutes({s: random_bars(rng, 60, gaps=0.3) for s in "ABC"}, per_session=5)
    rules = Liquidity(min_dollar_volume=150_000.0, sessions=2, min_history=1)
    report = check_lookahead(lambda: plan(source, Holds(), liquidity=rules), cuts=5)
    assert [str(d) for d in report.divergences] == []


def test_rules_are_ranges():
    with pytest.raises(ConfigurationError, match="liquidity: 'sessions'"):
        fairlead.backtest("buy_and_hold", "bundled", liquidity={"sessions": 0})


# ----------------------------------------------------------------------------------------------------- around it


def test_a_configuration_names_a_universe(tmp_path, monkeypatch):
    from fairlead.backtest.run import run_backtest
    from fairlead.config.wire import wire

    monkeypatch.chdir(tmp_path)
    (tmp_path / "u.csv").write_text("symbol,entry,exit\nIBM,2000-01-01,2013-01-04\nAAPL,2000-01-01,\n")
    text = """
mode: backtest
clock: {start_date: 2013-01-02}
data: {source: bundled}
universe: {path: u.csv, min_price: 5}
strategies: [{name: fixed_weights, capital: 10_000, strategy: buy_and_hold, params: {symbols: [IBM]}}]
"""
    (tmp_path / "run.yaml").write_text(text)
    assert load_settings(tmp_path / "run.yaml", environ={}).settings.universe.min_price == 5
    session = wire(load_settings(tmp_path / "run.yaml", environ={}), {}, tmp_path / "artifacts")
    made = session.plan("r")
    assert made.universe is not None
    assert made.universe.members(dt.date(2013, 1, 4)) == ("AAPL",)
    now = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    assert run_backtest(made, title="t", config={}, created_at=now).record.bars > 0
    (tmp_path / "u.csv").write_text("symbol,entry\nIBM,2000-01-01\n")
    with pytest.raises(ConfigurationError, match=r"universe\.path.*must have exit"):
        wire(load_settings(tmp_path / "run.yaml", environ={}), {}, tmp_path / "artifacts")


def test_the_python_door_takes_one_too(tmp_path, monkeypatch):
    monkeypatch.setenv("FAIRLEAD_HOME", str(tmp_path))
    universe = Universe([Membership("IBM", 0, 2**31 - 1)])
    sees = Sees()
    result = fairlead.backtest(sees, "bundled", start="2013-01-02", universe=universe, liquidity={"min_history": 10})
    assert set(sees.seen) == {("IBM",)}
    assert result.info.config["universe"]["sha256"] == universe.content_hash


def test_many_symbols_of_which_none_ever_went_are_doubted():
    """Thirty names over a year, none of them gone, and nobody said who belonged."""
    count = 300
    closes = {f"S{i:02d}": np.linspace(10, 20, count) for i in range(30)}
    record = simulate(Market(closes, weekdays("2020-01-02", count)), [])

    def doubts(**info):
        return [w for w in Result(record, info_for(record, **info)).warnings if "names that failed may be missing" in w]

    assert doubts() == [
        "None of the 30 symbols was delisted, merged or renamed, and there is no universe: names that failed may be missing."
    ]
    assert doubts(synthetic=True) == []
    assert doubts(config={"universe": {"path": "u.csv"}}) == []
    assert len(doubts(config={"universe": {"path": None, "min_price": 5.0}})) == 1
