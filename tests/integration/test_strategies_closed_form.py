"""The strategies that ship, on the bundled real prices, against closed forms and signals written a second time, differently.

The reference reads the raw prices straight from `bokeh_sampledata` and knows nothing of the engine: whole arrays, adjusted
backwards from the last session, instead of one event after the other.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fairlead
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import day_to_date
from fairlead.data.opening import open_source
from fairlead.data.settings import DataSettings
from fairlead.engine.session import Allocation, SessionPlan
from fairlead.evidence.lookahead import check_lookahead
from fairlead.execution.commission import CommissionSettings
from fairlead.execution.settings import ExecutionSettings
from fairlead.execution.slippage import SlippageSettings
from fairlead.sdk import OrderIntent, StrategyHarness, find_strategy, lint_strategy
from fairlead.strategies.buy_and_hold import BuyAndHold
from fairlead.strategies.fixed_weights import FixedWeights
from fairlead.strategies.mean_reversion import MeanReversion
from fairlead.strategies.momentum import Momentum
from fairlead.strategies.rsi import Rsi
from fairlead.strategies.sma_crossover import SmaCrossover

SHIPPED = (BuyAndHold, FixedWeights, MeanReversion, Momentum, Rsi, SmaCrossover)
ALL = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
SPLITS = {("AAPL", "2000-06-21"): 2.0, ("MSFT", "2003-02-18"): 2.0, ("AAPL", "2005-02-28"): 2.0}
COSTS = [pytest.param(0.0, 0.0, id="free"), pytest.param(3.0, 7.0, id="costs")]
"""Commission and slippage in basis points."""


# --- the reference ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Market:
    """Raw prices and corporate actions, time by symbol; NaN before a listing."""

    symbols: tuple[str, ...]
    dates: pd.DatetimeIndex
    open: np.ndarray
    close: np.ndarray
    split: np.ndarray
    """New shares per old share at the open of the session; 1 on most days."""
    cash: np.ndarray
    """Dividend per old share at the open of the session; 0 on most days."""

    @property
    def adjusted(self) -> pd.DataFrame:
        """Closes made comparable backwards from the last session, dividends against the close before (domain rule 2.7)."""
        with np.errstate(invalid="ignore"):
            factor = np.where(self.cash > 0, 1 - self.cash / np.roll(self.close, 1, axis=0), 1.0) / self.split
        later = np.vstack([factor[1:], np.ones((1, len(self.symbols)))])
        return pd.DataFrame(self.close * np.cumprod(later[::-1], axis=0)[::-1], columns=list(self.symbols))


@cache
def market(symbols: tuple[str, ...], start: str = "2000-01-01", end: str = "2013-12-31") -> Market:
    """Return the raw data of the package, with dividends read from the steps of its adjusted close."""
    from bokeh_sampledata import stocks

    frames = {}
    for symbol in symbols:
        frame = pd.DataFrame(getattr(stocks, symbol)).set_index("date")
        step = (frame["adj_close"] / frame["close"]).pct_change() + 1.0
        split = pd.Series({date: SPLITS.get((symbol, date), 1.0) for date in frame.index})
        dividend = (frame["close"] * (step - 1.0)).where((split == 1.0) & (step > 1 + 1e-8), 0.0)
        frames[symbol] = frame.assign(split=split, cash=dividend.round(4))
    wide = pd.concat(frames, axis=1).sort_index().loc[start:end]
    table = {name: wide.xs(name, axis=1, level=1).to_numpy(float) for name in ("open", "close", "split", "cash")}
    table["split"], table["cash"] = np.nan_to_num(table["split"], nan=1.0), np.nan_to_num(table["cash"], nan=0.0)
    return Market(symbols, pd.DatetimeIndex(wide.index, tz="UTC"), **table)


def whole(units: Any) -> Any:
    """Return units rounded down to whole shares; a billionth forgives a quotient such as 2.9999999999999996."""
    return np.floor(np.asarray(units) + 1e-9)


@dataclass(frozen=True)
class Path:
    """What a reference run did: equity at every session, and (date, symbol, side, shares filled) of every decision."""

    equity: np.ndarray
    decisions: list[tuple[str, str, str, float]]


Decide = Callable[[int, Mapping[str, float]], Mapping[str, float]]
"""From row and holdings to target weights; no entry leaves a holding alone, 0 closes it."""


def replay(m: Market, decide: Decide, capital: float, commission: float, slippage: float) -> Path:
    """Trade at each open to the weights decided at the close before."""
    held, cash = np.zeros(len(m.symbols)), capital
    orders = np.zeros(len(m.symbols))
    equity, decisions = [], []
    for t in range(len(m.dates)):
        cash += held @ m.cash[t]
        held, orders = held * m.split[t], orders * m.split[t]
        for i in np.flatnonzero(orders):
            price = m.open[t, i] * (1 + np.sign(orders[i]) * slippage / 1e4)
            cash -= orders[i] * price + abs(orders[i]) * price * commission / 1e4
        held, orders = held + orders, np.zeros(len(m.symbols))
        equity.append(cash + held @ np.nan_to_num(m.close[t]))
        if t + 1 == len(m.dates):
            break  # what is decided on the last close has no open to meet
        targets = decide(t, dict(zip(m.symbols, held.tolist(), strict=True)))
        for symbol, weight in targets.items():
            i = m.symbols.index(symbol)
            orders[i] = (whole(weight * equity[-1] / m.close[t, i]) if weight else 0.0) - held[i]
            if orders[i]:
                side = "BUY" if orders[i] > 0 else "SELL"
                decisions.append((f"{m.dates[t]:%Y-%m-%d}", symbol, side, float(abs(orders[i]) * m.split[t + 1, i])))
    return Path(np.array(equity), decisions)


# --- the runs ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """One workspace, so that the bundled prices are imported once."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture
def run(workspace):
    """Run a shipped strategy by its registered name; the volume cap is left out of the comparison."""

    def backtest(name, symbols, *, commission=0.0, slippage=0.0, cash=1e5, **kwargs):
        return fairlead.backtest(
            name,
            "bundled",
            symbols=symbols,
            cash=cash,
            commission=commission,
            slippage=slippage,
            execution=ExecutionSettings(max_bar_participation=1),
            workspace=workspace,
            **kwargs,
        )

    return backtest


def made(result) -> list[tuple[str, str, str, float]]:
    """The decisions of a run in the reference's form."""
    found = []
    for order in result.record.orders:
        if order.created_ns == result.record.account.ts_ns[-1]:
            assert order.reason == "end_of_run"
            continue
        assert order.status == "FILLED", (order.symbol, order.reason)
        date = f"{pd.Timestamp(order.created_ns, tz='UTC').tz_convert('America/New_York'):%Y-%m-%d}"
        found.append((date, order.symbol, str(order.side), order.quantity))
    return sorted(found)


def assert_same_path(result, path: Path) -> None:
    """The run made the same decisions, and was worth the same at every session."""
    assert len(path.decisions) > 0
    assert made(result) == sorted(path.decisions)
    np.testing.assert_allclose(result.record.account.equity, path.equity, rtol=1e-9)


# --- buy and hold -----------------------------------------------------------------------------------------------------------


def buy_and_hold_equity(m: Market, capital: float, weight: float, commission: float, slippage: float) -> np.ndarray:
    """The closed form: one purchase, and then only arithmetic on whole arrays."""
    decision = int(np.argmax(~np.isnan(m.close).any(axis=1)))
    bought = decision + 1
    shares = whole(weight * capital / len(m.symbols) / m.close[decision]) * m.split[bought]
    paid = shares * m.open[bought] * (1 + slippage / 1e4)
    since = np.arange(len(m.dates))[:, None] > bought
    units = shares * np.cumprod(np.where(since, m.split, 1.0), axis=0)
    before = np.vstack([units[:1], units[:-1]])
    dividends = np.where(since, before * m.cash, 0.0).sum(axis=1).cumsum()
    value = dividends + (units * np.nan_to_num(m.close)).sum(axis=1) + capital - paid.sum() * (1 + commission / 1e4)
    return np.where(np.arange(len(m.dates)) < bought, capital, value)


@pytest.mark.parametrize(("commission", "slippage"), COSTS)
@pytest.mark.parametrize(
    ("symbols", "weight", "start", "actions"),
    [
        pytest.param(("AAPL",), 1.0, "2000-03-01", (2, 3), id="AAPL over two splits and three dividends"),
        pytest.param(("AAPL",), 0.37, "2000-06-20", (2, 3), id="AAPL bought on the morning of a split"),
        pytest.param(("IBM",), 1.0, "2000-03-01", (0, 52), id="IBM over 52 dividends"),
        pytest.param(("MSFT",), 0.5, "2004-11-12", (0, 34), id="MSFT bought on the morning of its largest dividend"),
        pytest.param(("AAPL", "IBM", "MSFT"), 0.9, "2000-03-01", None, id="three at equal weight"),
        pytest.param(ALL, 1.0, "2000-03-01", None, id="all five, once the last is listed"),
    ],
)
def test_buy_and_hold_equals_its_closed_form(run, symbols, weight, start, actions, commission, slippage):
    """Equity at every session, to 1e-9."""
    m = market(symbols, start)
    if actions is not None:
        assert ((m.split != 1).sum(), (m.cash != 0).sum()) == actions
    result = run(
        "buy_and_hold",
        symbols,
        params={"symbols": symbols, "weight": weight},
        start=start,
        commission=commission,
        slippage=slippage,
    )
    assert [day_to_date(day) for day in result.record.account.session.tolist()] == [d.date() for d in m.dates]
    assert len(result.record.fills) == len(symbols)
    expected = buy_and_hold_equity(m, 1e5, weight, commission, slippage)
    np.testing.assert_allclose(result.record.account.equity, expected, rtol=1e-9)


def test_the_reference_knows_the_actions_that_everyone_knows():
    """What the adjusted closes of the package say is what happened: the closed forms above rest on it."""
    m = market(ALL)
    paid = [(f"{m.dates[t]:%Y-%m-%d}", m.symbols[i], m.cash[t, i]) for t, i in zip(*np.nonzero(m.cash), strict=True)]
    assert [row for row in paid if row[1] == "AAPL"] == [
        ("2012-08-09", "AAPL", 2.65),
        ("2012-11-07", "AAPL", 2.65),
        ("2013-02-07", "AAPL", 2.65),
    ]
    assert ("2004-11-15", "MSFT", 3.08) in paid
    assert not [row for row in paid if row[1] in {"FB", "GOOG"}]


# --- fixed weights ----------------------------------------------------------------------------------------------------------


def every_so_many(rows: int, weights: Mapping[str, float]) -> Decide:
    return lambda t, _: weights if t % rows == 0 else {}


@pytest.mark.parametrize(("commission", "slippage"), COSTS)
@pytest.mark.parametrize(
    ("weights", "every"),
    [({"AAPL": 0.6, "IBM": 0.4}, 21), ({"AAPL": 0.25, "IBM": 0.25, "MSFT": 0.25}, 1), ({"IBM": 0.5, "MSFT": 0.5}, 252)],
    ids=["60/40 monthly", "quarters daily", "halves yearly"],
)
def test_fixed_weights_equal_their_closed_form(run, weights, every, commission, slippage):
    """The whole path of equity, and every rebalancing, to the share."""
    symbols = tuple(weights)
    result = run(
        "fixed_weights",
        symbols,
        params={"symbols": symbols, "weights": tuple(weights.values()), "every": every},
        commission=commission,
        slippage=slippage,
    )
    assert_same_path(result, replay(market(symbols), every_so_many(every, weights), 1e5, commission, slippage))


def test_fixed_weights_wait_until_every_symbol_trades(run):
    """GOOG is listed on 2004-08-19: that close is the first to rebalance on, and the count of 21 bars begins there."""
    m = market(("AAPL", "GOOG"), "2004-06-01", "2006-06-30")
    listed = int(np.argmax(~np.isnan(m.close[:, 1])))
    assert f"{m.dates[listed]:%Y-%m-%d}" == "2004-08-19"
    params = {"symbols": ("AAPL", "GOOG"), "weights": (0.5, 0.5)}
    result = run("fixed_weights", ("AAPL", "GOOG"), params=params, start="2004-06-01", end="2006-06-30")
    due = {"AAPL": 0.5, "GOOG": 0.5}
    path = replay(m, lambda t, _: due if t >= listed and (t - listed) % 21 == 0 else {}, 1e5, 0.0, 0.0)
    assert_same_path(result, path)


def test_sixty_forty_first_trades_by_hand(run):
    """2000-03-01: AAPL closes at 130.31 and IBM at 100.25; 60 % and 40 % of 10,000 are 46 and 39 whole shares."""
    result = run("fixed_weights", ("AAPL", "IBM"), cash=10_000, end="2000-03-29")
    assert made(result) == [("2000-03-01", "AAPL", "BUY", 46.0), ("2000-03-01", "IBM", "BUY", 39.0)]
    assert FixedWeights().weights == (0.6, 0.4)


def test_fixed_weights_may_be_short(run):
    """A negative weight is a short position, which pays the dividend."""
    weights = {"AAPL": 0.5, "IBM": -0.5}
    result = run("fixed_weights", ("AAPL", "IBM"), params={"weights": (0.5, -0.5)}, end="2004-12-31")
    m = market(("AAPL", "IBM"), end="2004-12-31")

    # Towards zero: a short target is rounded like a long one.
    held, cash, equity = np.zeros(2), 1e5, []
    orders = np.zeros(2)
    for t in range(len(m.dates)):
        cash += held @ m.cash[t]
        held, orders = held * m.split[t], orders * m.split[t]
        cash -= orders @ m.open[t]
        held, orders = held + orders, np.zeros(2)
        equity.append(cash + held @ m.close[t])
        if t % 21 == 0:
            target = np.array(list(weights.values())) * equity[-1] / m.close[t]
            orders = np.sign(target) * whole(abs(target)) - held
    np.testing.assert_allclose(result.record.account.equity, equity, rtol=1e-9)


# --- signals ----------------------------------------------------------------------------------------------------------------


def sma_reference(m: Market, fast: int, slow: int, weight: float) -> Decide:
    """Long while fast is above slow: a table of views, and orders for all on each day on which a view changes."""
    adjusted = m.adjusted
    means = {n: adjusted.rolling(n).mean() for n in (fast, slow)}
    known = means[slow].notna().to_numpy()
    # IBM's averages of 5 and 20 closes are equal on 2005-06-17, to the cent: that is not above, whatever a running sum says.
    is_up = (means[fast] / means[slow] - 1.0).to_numpy() > 1e-11
    share = np.where(is_up & known, weight / len(m.symbols), 0.0)
    changed = np.diff(share, axis=0, prepend=0.0).any(axis=1)

    def decide(t, _):
        return {s: share[t, i] for i, s in enumerate(m.symbols) if known[t, i]} if changed[t] else {}

    return decide


def in_and_out(enter: np.ndarray, leave: np.ndarray, m: Market, weight: float) -> Decide:
    """Enter while out, leave while in, symbol by symbol."""

    def decide(t, held):
        targets = {}
        for i, symbol in enumerate(m.symbols):
            if held[symbol] == 0 and enter[t, i]:
                targets[symbol] = weight / len(m.symbols)
            elif held[symbol] > 0 and leave[t, i]:
                targets[symbol] = 0.0
        return targets

    return decide


def mean_reversion_reference(m: Market, window: int, enter: float, leave: float, weight: float) -> Decide:
    rolling = m.adjusted.rolling(window)
    z = ((m.adjusted - rolling.mean()) / rolling.std(ddof=1)).to_numpy()
    with np.errstate(invalid="ignore"):
        return in_and_out(z < -enter, z > -leave, m, weight)


def wilder_rsi(close: pd.Series, window: int) -> pd.Series:
    """RSI by pandas: an exponential average with alpha 1/n that starts at the plain mean of the first n changes."""
    change = close.dropna().diff().iloc[1:]
    if len(change) < window:
        return pd.Series(dtype=float)

    def average(moves: pd.Series) -> pd.Series:
        seeded = moves.iloc[window - 1 :].copy()
        seeded.iloc[0] = moves.iloc[:window].mean()
        return seeded.ewm(alpha=1 / window, adjust=False).mean()

    gain, loss = average(change.clip(lower=0)), average(-change.clip(upper=0))
    return 100 * gain / (gain + loss)


def rsi_reference(m: Market, window: int, oversold: float, overbought: float, weight: float) -> Decide:
    adjusted = m.adjusted
    rsi = pd.DataFrame({s: wilder_rsi(adjusted[s], window) for s in m.symbols}).reindex(adjusted.index).to_numpy()
    with np.errstate(invalid="ignore"):
        return in_and_out(rsi < oversold, rsi > overbought, m, weight)


def momentum_reference(m: Market, lookback: int, skip: int, top: int, every: int, weight: float) -> Decide:
    strength = m.adjusted.shift(skip) / m.adjusted.shift(skip + lookback) - 1.0
    rank = strength.rank(axis=1, ascending=False, method="first").to_numpy()

    def decide(t, held):
        since = t - (lookback + skip)
        if since < 0 or since % every:
            return {}
        winners = [s for i, s in enumerate(m.symbols) if rank[t, i] <= top]
        return {s: weight / len(winners) if s in winners else 0.0 for s in m.symbols if s in winners or held[s]}

    return decide


SIGNALS = [
    pytest.param("sma_crossover", ("AAPL",), {}, lambda m: sma_reference(m, 50, 200, 0.95), id="sma AAPL"),
    pytest.param(
        "sma_crossover", ("IBM",), {"fast": 5, "slow": 20}, lambda m: sma_reference(m, 5, 20, 0.95), id="sma IBM quick"
    ),
    pytest.param("sma_crossover", ALL, {"weight": 0.8}, lambda m: sma_reference(m, 50, 200, 0.8), id="sma all"),
    pytest.param("mean_reversion", ("MSFT",), {}, lambda m: mean_reversion_reference(m, 20, 2.0, 0.5, 0.95), id="z MSFT"),
    pytest.param(
        "mean_reversion",
        ALL,
        {"window": 50, "entry": 1.5, "exit": 0.0, "weight": 0.6},
        lambda m: mean_reversion_reference(m, 50, 1.5, 0.0, 0.6),
        id="z all",
    ),
    pytest.param("rsi", ("AAPL",), {}, lambda m: rsi_reference(m, 14, 30.0, 70.0, 0.95), id="rsi AAPL"),
    pytest.param(
        "rsi",
        ALL,
        {"window": 5, "oversold": 20.0, "overbought": 60.0, "weight": 0.7},
        lambda m: rsi_reference(m, 5, 20.0, 60.0, 0.7),
        id="rsi all",
    ),
    pytest.param("momentum", ALL, {}, lambda m: momentum_reference(m, 126, 0, 2, 21, 0.98), id="momentum"),
    pytest.param(
        "momentum",
        ALL,
        {"lookback_bars": 60, "skip": 10, "top": 3, "every": 5, "weight": 0.9},
        lambda m: momentum_reference(m, 60, 10, 3, 5, 0.9),
        id="momentum with a gap",
    ),
]


@pytest.mark.parametrize(("commission", "slippage"), COSTS)
@pytest.mark.parametrize(("name", "symbols", "params", "reference"), SIGNALS)
def test_signals_on_real_prices_equal_their_reference(run, name, symbols, params, reference, commission, slippage):
    """Decision dates, sides, shares and the whole path of equity, over thirteen years with splits and dividends."""
    m = market(symbols)
    result = run(name, symbols, params=params, commission=commission, slippage=slippage)
    assert_same_path(result, replay(m, reference(m), 1e5, commission, slippage))


# --- hand tables ------------------------------------------------------------------------------------------------------------


def decided(harness: StrategyHarness, symbol: str, closes: list[float]) -> list[list[tuple[float, str]]]:
    """Feed closes; return (amount, tag) of what was wanted at each."""
    harness.start()
    return [[(intent.amount, intent.tag) for intent in harness.bar(symbol, close=close)] for close in closes]


def test_sma_crossover_by_hand():
    """Means of two and three closes: 10 11 12 -> 11.5 > 11; 12 9 -> 10.5 < 10.67; 9 12 -> 10.5 < 11; 12 12 -> 12 > 11."""
    harness = StrategyHarness(SmaCrossover(fast=2, slow=3, weight=0.5), symbols=("X",))
    table = decided(harness, "X", [10, 11, 12, 9, 12, 12, 13, 13, 13])
    # Three equal closes: the averages are equal, which is not above.
    assert table == [[], [], [(0.5, "long")], [(0.0, "flat")], [], [(0.5, "long")], [], [], [(0.0, "flat")]]


def test_sma_crossover_restates_every_share_when_one_symbol_crosses():
    """Two symbols have half each; the one that crosses second brings the first back to its half."""
    harness = StrategyHarness(SmaCrossover(fast=1, slow=2, weight=0.8), symbols=("X", "Y"))
    harness.start()
    assert harness.slice({"X": 10, "Y": 10}) == []
    assert harness.slice({"X": 11, "Y": 9}) == [
        OrderIntent.target_weight("X", 0.4, tag="long"),
        OrderIntent.target_weight("Y", 0.0, tag="flat"),
    ]
    assert harness.slice({"X": 12, "Y": 10}) == [OrderIntent.target_weight(s, 0.4, tag="long") for s in ("X", "Y")]


@pytest.mark.parametrize("closes", [(10.02, 10.03, 10.01), (10.03, 10.01, 10.05), (10.05, 10.03, 10.07)], ids=str)
def test_sma_crossover_takes_equal_averages_for_equal(closes):
    """The last two closes and all three have the same mean in cents, though not in the last bits: that is no crossing."""
    means = np.mean(closes[1:]), np.mean(closes)
    assert means[0] > means[1]
    harness = StrategyHarness(SmaCrossover(fast=2, slow=3), symbols=("X",))
    assert decided(harness, "X", list(closes)) == [[], [], []]


def test_mean_reversion_by_hand():
    """10 10 10 -> no deviation; 10 10 7 -> z = -2 / sqrt(3) = -1.155; 10 7 8 -> -0.218; 7 8 8 -> 0.577."""
    harness = StrategyHarness(MeanReversion(window=3, entry=1.15, exit=0.25, weight=0.5), symbols=("X",))
    harness.start()
    wanted = [harness.bar("X", close=close) for close in (10, 10, 10, 7)]
    assert wanted == [[], [], [], [OrderIntent.target_weight("X", 0.5, tag="stretched")]]
    harness.fill(wanted[-1][0], price=8, quantity=100)
    assert harness.bar("X", close=8) == [OrderIntent.target_position("X", 0, tag="reverted")]
    strict = StrategyHarness(MeanReversion(window=3, entry=1.16, exit=0.25), symbols=("X",))
    strict.start()
    assert [strict.bar("X", close=close) for close in (10, 10, 10, 7)] == [[], [], [], []]


@pytest.mark.parametrize("price", [0.05, 0.09, 0.1])
def test_mean_reversion_takes_equal_prices_for_equal(price):
    """Three equal closes deviate from their mean in the last bits, by 0.8 of their standard deviation: that is no stretch."""
    assert np.std([price] * 3, ddof=1) > 0
    harness = StrategyHarness(MeanReversion(window=3, entry=0.5, exit=0.1), symbols=("X",))
    assert decided(harness, "X", [price] * 4) == [[], [], [], []]


QQQQ = """44.3389 44.0902 44.1497 43.6124 44.3278 44.8264 45.0955 45.4245 45.8433 46.0826 45.8931 46.0328 45.6140 46.2820
46.2820 46.0028 46.0328 46.4116 46.2222 45.6439 46.2122 46.2521 45.7137 46.4515 45.7835 45.3548 44.0288 44.1783 44.2181 44.5672
43.4205 42.6628 43.1314"""
QQQQ_RSI = (
    """70.53 66.32 66.55 69.41 66.36 57.97 62.93 63.26 56.06 62.38 54.71 50.42 39.99 41.46 41.87 45.46 37.30 33.08 37.77"""
)
"""The worked example of Wilder's RSI(14) that charting handbooks print: from the fifteenth close on, to two digits."""


def test_rsi_equals_the_textbook_example():
    harness = StrategyHarness(Rsi(), symbols=("QQQQ",))
    harness.start()
    values = []
    for close in map(float, QQQQ.split()):
        harness.bar("QQQQ", close=close)
        values.append(harness.context.features.get("rsi", "QQQQ"))
    assert np.isnan(values[:14]).all()
    np.testing.assert_allclose(values[14:], [float(value) for value in QQQQ_RSI.split()], atol=0.006)


def test_rsi_without_losses_gains_or_moves():
    """All gains are 100, all losses 0, no move 50: no division by zero anywhere."""
    for step, value in ((1.0, 100.0), (-1.0, 0.0), (0.0, 50.0)):
        harness = StrategyHarness(Rsi(window=2), symbols=("X",))
        harness.start()
        for i in range(5):
            harness.bar("X", close=50 + step * i)
        assert harness.context.features.get("rsi", "X") == value


def test_momentum_by_hand():
    """Returns over two bars: X +20 %, Y -10 %, Z +50 %; two bars later X -25 %, Y +33 %, Z 0 %."""
    harness = StrategyHarness(Momentum(lookback_bars=2, top=2, every=2, weight=0.9), symbols=("X", "Y", "Z"))
    harness.start()
    rows = [(10, 10, 10), (11, 9, 13), (12, 9, 15), (10, 10, 16), (9, 12, 15)]
    wanted = [harness.slice(dict(zip("XYZ", row, strict=True))) for row in rows]
    assert wanted[0] == wanted[1] == wanted[3] == []
    assert wanted[2] == [OrderIntent.target_weight(s, 0.45, tag="winner") for s in ("X", "Z")]
    assert wanted[4] == [OrderIntent.target_weight(s, 0.45, tag="winner") for s in ("Y", "Z")]


def test_momentum_gives_ties_to_the_first_and_leaves_out_what_has_no_price():
    harness = StrategyHarness(Momentum(lookback_bars=1, top=2), symbols=("W", "X", "Y", "Z"))
    harness.start()
    assert harness.slice({"X": 10, "Y": 10, "Z": 10}) == []
    wanted = harness.slice({"W": 99, "X": 11, "Y": 12, "Z": 11})
    assert [intent.symbol for intent in wanted] == ["X", "Y"]


# --- every strategy ---------------------------------------------------------------------------------------------------------


SPAN = (dt.date(2003, 1, 1), dt.date(2006, 12, 29))


@pytest.mark.parametrize("cls", SHIPPED, ids=lambda cls: cls.name)
def test_every_shipped_strategy_keeps_the_rules(cls):
    """It is registered, clean under the lint, and describes itself and every parameter."""
    assert find_strategy(cls.name) is cls
    assert lint_strategy(cls) == []
    schema = json.loads(json.dumps(cls.schema()))
    assert (schema["title"], schema["type"], schema["additionalProperties"]) == (cls.name, "object", False)
    assert set(schema["properties"]) == set(cls().params)
    for name, declared in schema["properties"].items():
        assert declared["description"].endswith((".", "at most.")), name
        value = getattr(cls(), name)
        assert declared["default"] == (list(value) if isinstance(value, tuple) else value)
    assert cls(**schema_defaults(schema)).params == cls().params


def schema_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: declared["default"] for name, declared in schema["properties"].items()}


@pytest.mark.parametrize("cls", SHIPPED, ids=lambda cls: cls.name)
def test_every_shipped_strategy_sees_no_future(cls, workspace):
    """Cut in six places, over a split and dividends: no earlier order, fill or value of equity changes."""
    symbols = ("AAPL", "IBM", "MSFT")

    def plan() -> SessionPlan:
        settings = DataSettings(source="bundled", symbols=symbols)
        source = open_source(settings, start=SPAN[0], end=SPAN[1], workspace=workspace)
        allocation = Allocation(name=cls.name, strategy=cls(), capital=1e5)
        return SessionPlan(run_id="check", allocations=(allocation,), source=source)

    report = check_lookahead(plan, cuts=6)
    assert report.passed, [str(d) for d in report.divergences]
    assert report.fills > 0
    assert len(report.cuts) >= 5


@pytest.mark.parametrize("cls", SHIPPED, ids=lambda cls: cls.name)
def test_every_shipped_strategy_repeats_itself(cls, workspace):
    """Two runs, named differently because they started at different times, have the same digest and equity."""
    first, second = (
        fairlead.backtest(
            cls,
            "bundled",
            symbols=("AAPL", "IBM"),
            start=SPAN[0],
            end=SPAN[1],
            workspace=workspace,
            now=lambda second=second: dt.datetime(2024, 1, 2, 3, 4, second, tzinfo=dt.UTC),
        )
        for second in (5, 6)
    )
    assert first.run_id != second.run_id
    assert len(first.record.fills) > 0
    assert first.digest == second.digest
    np.testing.assert_array_equal(first.record.account.equity, second.record.account.equity)


@pytest.mark.parametrize(
    ("cls", "params", "message"),
    [
        (
            FixedWeights,
            {"symbols": ("A", "B", "C")},
            "'weights' must have one entry per symbol, 3, was (0.6, 0.4)",
        ),
        (
            FixedWeights,
            {"weights": (0.8, 0.4)},
            "'weights' must sum to more than 0 and at most 1 in absolute terms, was (0.8, 0.4)",
        ),
        (
            FixedWeights,
            {"weights": (0.0, 0.0)},
            "'weights' must sum to more than 0 and at most 1 in absolute terms, was (0.0, 0.0)",
        ),
        (MeanReversion, {"entry": 1.0, "exit": 1.0}, "'exit' must be smaller than entry (1.0), was 1.0"),
        (Rsi, {"oversold": 70.0}, "'oversold' must be smaller than overbought (70.0), was 70.0"),
        (SmaCrossover, {"fast": 200}, "'fast' must be smaller than slow (200), was 200"),
        (SmaCrossover, {"slow": 1000}, "'slow' must be <= 999, was 1000. Bars in the slow average."),
        (Momentum, {"top": 0}, "'top' must be >= 1, was 0. How many symbols to hold."),
        (BuyAndHold, {"weight": 1.5}, "'weight' must be <= 1, was 1.5. Share of equity to invest."),
    ],
    ids=lambda value: value.name if isinstance(value, type) else "",
)
def test_wrong_parameters_are_named(cls, params, message):
    with pytest.raises(ConfigurationError) as caught:
        cls(**params)
    assert str(caught.value) == message


def test_costs_are_charged_on_top(run):
    """What the tests above call costs is what `ExecutionSettings` would charge from its own settings."""
    by_number = run("buy_and_hold", ("AAPL",), commission=3.0, slippage=7.0)
    settings = ExecutionSettings(
        max_bar_participation=1,
        commission=CommissionSettings(model="bps", params={"bps": 3.0}),
        slippage=SlippageSettings(model="fixed", params={"bps": 7.0}),
    )
    assert by_number.info.costs == {
        "commission": settings.commission.model_dump(mode="json"),
        "slippage": settings.slippage.model_dump(mode="json"),
    }
    (fill,) = by_number.record.fills
    assert fill.price == pytest.approx(fill.price_ideal * 1.0007, rel=1e-12)
    assert fill.commission == pytest.approx(fill.quantity * fill.price * 3e-4, rel=1e-12)
