"""vectorbt: whole arrays at once. Signals stand in the row after the decision, with that row's open as the price.

W2 needs the equity at the decision for whole numbers of shares, so it is a `from_order_func` with two compiled functions. Cash
cannot fall below zero here, as it does by a little when prices gap up between the decision and the open: a credit line of the
same size as the cash stands in `init_cash` and is taken off again. W3 is cut in two halves, one for each of two processes.
"""

from __future__ import annotations

import multiprocessing
from functools import partial

import numpy as np
import pandas as pd
import protocol
import vectorbt as vbt
from numba import njit
from protocol import Data, Prepared
from vectorbt.portfolio import nb
from vectorbt.portfolio.enums import Direction, SizeType

vbt.settings.caching["enabled"] = False  # a second run is to be a run


def frame_of(data: Data, name: str) -> pd.DataFrame:
    values = np.frombuffer(data.column(name)).reshape(data.bars, len(data.symbols))
    index = pd.to_datetime(np.frombuffer(data.stamps("label_ns"), np.int64))
    return pd.DataFrame(values, index=index, columns=data.symbols)


def fills_of(portfolio) -> list[tuple[int, int, float, float]]:
    records = portfolio.orders.values  # noqa: PD011  records of vectorbt, no pandas object
    signs = np.where(records["side"] == 0, 1.0, -1.0)
    return list(
        zip(
            records["idx"].tolist(),
            records["col"].tolist(),
            (signs * records["size"]).tolist(),
            records["price"].tolist(),
            strict=True,
        )
    )


def crossovers(close: pd.Series, opened: pd.Series, pairs: list[tuple[int, int]], terms) -> vbt.Portfolio:
    """Return a portfolio with a column for each pair of windows."""
    averages = {window: vbt.MA.run(close, window).ma.to_numpy() for window in {w for pair in pairs for w in pair}}
    buys, sells = (np.zeros((len(close), len(pairs)), np.bool_) for _ in range(2))
    for place, (fast, slow) in enumerate(pairs):
        above = averages[fast][slow - 1 : -1] > averages[slow][slow - 1 : -1]
        # vectorbt's own `crossed_below` waits at a tie until the line is below; the rule does not.
        buys[slow + 1 :, place] = above[1:] & ~above[:-1]
        sells[slow + 1 :, place] = ~above[1:] & above[:-1]
    return vbt.Portfolio.from_signals(
        close.to_numpy()[:, None],
        buys,
        sells,
        price=opened.to_numpy()[:, None],
        size=terms["shares"],
        fees=terms["bps"] / 1e4,
        init_cash=terms["cash"],
    )


def w1(data: Data) -> Prepared:
    close, opened = (frame_of(data, name).iloc[:, 0] for name in ("close", "open"))
    pairs = [(data.terms["fast"], data.terms["slow"])]

    def run():
        portfolio = crossovers(close, opened, pairs, data.terms)
        return portfolio, np.ravel(portfolio.value())

    return Prepared(run, lambda result: (fills_of(result[0]), float(result[1][-1])), compiles=True)


def half(close, opened, terms, pairs):
    """Return fills and final equity of some pairs."""
    portfolio = crossovers(close, opened, pairs, terms)
    return np.ravel(portfolio.orders.count()).tolist(), np.ravel(portfolio.final_value()).tolist()


def w3(data: Data) -> Prepared:
    close, opened = (frame_of(data, name).iloc[:, 0] for name in ("close", "open"))
    pairs = [tuple(pair) for pair in data.terms["pairs"]]
    halves = [pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]]
    # Compiled before the processes are forked, which then have it.
    half(close.iloc[:1000], opened.iloc[:1000], data.terms, pairs[:2])

    def run():
        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(partial(half, close, opened, data.terms), halves)

    def tell(result):
        return result[0][0] + result[1][0], result[0][1] + result[1][1]

    return Prepared(run, tell, processes=2)


@njit
def decide(c, close, opened, chosen, rule, credit, rate):
    """At the bar after a decision, work out how many units of each symbol to trade, from the closes before."""
    window, every, count = rule
    change = np.zeros(c.target_shape[1])
    since = c.i - 1 - window
    if c.i > 0 and since >= 0 and since % every == 0:
        equity = c.last_cash[0] - credit
        for column in range(len(change)):
            equity += c.last_position[column] * close[c.i - 1, column]
        best = chosen[since // every]
        for place in range(count):
            column = best[place]
            change[column] = np.floor(equity / count / close[c.i - 1, column])
        change -= c.last_position
    return (change, opened, rate)


@njit
def order(c, change, opened, rate):
    """Trade it."""
    if change[c.col] == 0:
        return nb.order_nothing_nb()
    return nb.order_nb(change[c.col], opened[c.i, c.col], size_type=SizeType.Amount, direction=Direction.Both, fees=rate)


def w2(data: Data) -> Prepared:
    close, opened = (frame_of(data, name) for name in ("close", "open"))
    terms = data.terms
    window, every, count, cash = (terms[name] for name in ("window", "every", "count", "cash"))

    def run():
        closes = close.to_numpy()
        rows = np.arange(window, len(closes) - 1, every)
        ratio = closes[rows] / closes[rows - window]
        chosen = np.argsort(-ratio, axis=1, kind="stable")[:, :count]
        arguments = (closes, opened.to_numpy(), chosen, (window, every, count), cash, terms["bps"] / 1e4)
        portfolio = vbt.Portfolio.from_order_func(
            close,
            order,
            pre_segment_func_nb=decide,
            pre_segment_args=arguments,
            init_cash=2 * cash,
            cash_sharing=True,
            group_by=True,
        )
        return portfolio, portfolio.value().to_numpy()

    return Prepared(run, lambda result: (fills_of(result[0]), float(result[1][-1] - cash)), compiles=True)


if __name__ == "__main__":
    protocol.answer("vectorbt", {"W1": w1, "W2": w2, "W3": w3})
