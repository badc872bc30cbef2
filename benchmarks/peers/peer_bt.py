"""bt: a `Strategy` over one price for each security and bar, here its open, with the whole rule as one `Algo`.

What is decided on a close is transacted on the next bar. After the last bar stands one more with the last close, at which what
is held is valued.
"""

from __future__ import annotations

import bt
import numpy as np
import pandas as pd
import protocol
from protocol import Data, Prepared


class TopMomentum(bt.Algo):
    """Holds the best, by the closes up to the bar before."""

    def __init__(self, symbols, closes, terms):
        super().__init__()
        self.symbols, self.closes = symbols, closes
        self.window, self.every, self.count = (terms[name] for name in ("window", "every", "count"))
        self.held = np.zeros(len(symbols))
        self.bar = -1

    def __call__(self, target):
        decided = self.bar
        self.bar += 1
        since = decided - self.window
        if since < 0 or since % self.every or self.bar >= len(self.closes):
            return True
        last = self.closes[decided]
        equity = target.capital + self.held @ last
        best = np.argsort(-(last / self.closes[since]), kind="stable")[: self.count]
        wanted = np.zeros(len(last))
        wanted[best] = np.floor(equity / self.count / last[best])
        change = wanted - self.held
        for place in np.flatnonzero(change).tolist():
            target.transact(change[place], self.symbols[place], update=False)
        target.root.stale = True
        self.held = wanted
        return True


def w2(data: Data) -> Prepared:
    shape = (data.bars, len(data.symbols))
    opened, closes = (np.frombuffer(data.column(name)).reshape(shape) for name in ("open", "close"))
    stamps = pd.to_datetime(np.frombuffer(data.stamps("label_ns"), np.int64))
    index = stamps.append(pd.DatetimeIndex([stamps[-1] + pd.Timedelta(days=1)]))
    prices = pd.DataFrame(np.vstack([opened, closes[-1]]), index=index, columns=data.symbols)
    rate = data.terms["bps"] / 1e4

    def run():
        rule = TopMomentum(data.symbols, closes, data.terms)
        test = bt.Backtest(
            bt.Strategy("momentum", [rule], [bt.Security(symbol) for symbol in data.symbols]),
            prices,
            initial_capital=data.terms["cash"],
            commissions=lambda quantity, price: abs(quantity) * price * rate,
            integer_positions=True,
            progress_bar=False,
        )
        test.run()
        return test.strategy, float(test.strategy.value)

    def tell(result):
        strategy, equity = result
        places = {symbol: place for place, symbol in enumerate(data.symbols)}
        bars = {stamp: bar for bar, stamp in enumerate(index)}
        done = strategy.get_transactions()
        fills = [(bars[d], places[s], float(row.quantity), float(row.price)) for (d, s), row in done.iterrows()]
        return fills, equity

    return Prepared(run, tell)


if __name__ == "__main__":
    protocol.answer("bt", {"W2": w2})
