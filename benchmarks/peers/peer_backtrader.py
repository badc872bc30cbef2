"""backtrader: feeds out of memory, preloaded as by default, without observers."""

from __future__ import annotations

import backtrader as bt
import protocol
from protocol import Data, Prepared


class Feed(bt.DataBase):
    """Bars out of memory: `columns` are open, high, low, close, volume; `dates` are numbers of days."""

    params = (("columns", ()), ("dates", ()))

    def start(self):
        super().start()
        self.rows = zip(self.p.dates, *self.p.columns, strict=True)

    def _load(self):
        row = next(self.rows, None)
        if row is None:
            return False
        lines = self.lines
        lines.datetime[0], lines.open[0], lines.high[0], lines.low[0], lines.close[0], lines.volume[0] = row
        lines.openinterest[0] = 0.0
        return True


class SmaCrossover(bt.Strategy):
    params = (("terms", None),)

    def __init__(self):
        terms = self.p.terms
        self.fills = []
        self.cross = protocol.Cross()
        self.fast = bt.indicators.SimpleMovingAverage(self.data.close, period=terms["fast"])
        self.slow = bt.indicators.SimpleMovingAverage(self.data.close, period=terms["slow"])
        self.shares = terms["shares"]

    def notify_order(self, order):
        if order.status == order.Completed:
            self.fills.append((len(self) - 1, 0, order.executed.size, order.executed.price))

    def next(self):
        turn = self.cross.turn(self.fast[0] > self.slow[0])
        if turn > 0:
            self.buy(size=self.shares)
        elif turn < 0:
            self.sell(size=self.shares)


class TopMomentum(bt.Strategy):
    params = (("terms", None),)

    def __init__(self):
        self.fills = []
        terms = self.p.terms
        self.window, self.every, self.count, self.credit = (terms[n] for n in ("window", "every", "count", "cash"))

    def notify_order(self, order):
        if order.status == order.Completed:
            self.fills.append((len(self) - 1, order.data._id - 1, order.executed.size, order.executed.price))

    def next(self):
        since = len(self) - 1 - self.window
        if since < 0 or since % self.every:
            return
        feeds, back = self.datas, -self.window
        last = [feed.close[0] for feed in feeds]
        gains = [price / feed.close[back] for price, feed in zip(last, feeds, strict=True)]
        share = (self.broker.getvalue() - self.credit) / self.count
        best = set(sorted(range(len(feeds)), key=gains.__getitem__, reverse=True)[: self.count])
        for place, feed in enumerate(feeds):
            held = self.getposition(feed).size
            change = (share // last[place] if place in best else 0.0) - held
            if change > 0:
                self.buy(feed, size=change)
            elif change < 0:
                self.sell(feed, size=-change)


def cerebro_of(data: Data, columns, dates, strategy, credit=0.0):
    cerebro = bt.Cerebro(stdstats=False)
    for place, symbol in enumerate(data.symbols):
        cerebro.adddata(Feed(columns=columns[place], dates=dates), name=symbol)
    cerebro.addstrategy(strategy, terms=data.terms)
    cerebro.broker.setcash(data.terms["cash"] + credit)
    cerebro.broker.setcommission(commission=data.terms["bps"] / 1e4)
    return cerebro


def columns_of(data: Data):
    width = len(data.symbols)
    fields = [data.column(name).tolist() for name in ("open", "high", "low", "close", "volume")]
    dates = [stamp / 86_400e9 + 719_163.0 for stamp in data.stamps("label_ns")]  # days since the year 1
    return [[field[place::width] for field in fields] for place in range(width)], dates


def w1(data: Data) -> Prepared:
    columns, dates = columns_of(data)

    def run():
        cerebro = cerebro_of(data, columns, dates, SmaCrossover)
        (strategy,) = cerebro.run()
        return strategy.fills, cerebro.broker.getvalue()

    return Prepared(run, lambda result: result)


def w2(data: Data) -> Prepared:
    columns, dates = columns_of(data)
    credit = data.terms["cash"]

    def run():
        cerebro = cerebro_of(data, columns, dates, TopMomentum, credit)
        (strategy,) = cerebro.run()
        return strategy.fills, cerebro.broker.getvalue() - credit

    return Prepared(run, lambda result: result)


if __name__ == "__main__":
    protocol.answer("backtrader", {"W1": w1, "W2": w2})
