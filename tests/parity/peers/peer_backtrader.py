"""backtrader: a `Cerebro` with daily feeds.

Settings: orders meet the next bar (`cheat_on_close` off); slippage by `slip_perc` also outside the bar's range (`slip_out`), as
in Fairlead; volume through the filler `FixedBarPerc`; day orders by `valid`. It fills a limit that is only touched, always.
"""

from __future__ import annotations

import datetime as dt

import backtrader as bt
import protocol
from protocol import Fills, Inexpressible, Scenario


class Feed(bt.DataBase):
    """Bars out of memory."""

    params = (("bars", ()), ("dates", ()))

    def start(self):
        super().start()
        self._next = 0

    def _load(self):
        if self._next == len(self.p.bars):
            return False
        line = (self.lines.open, self.lines.high, self.lines.low, self.lines.close, self.lines.volume)
        for field, value in zip(line, self.p.bars[self._next], strict=True):
            field[0] = value
        self.lines.openinterest[0] = 0
        self.lines.datetime[0] = bt.date2num(dt.datetime.fromisoformat(self.p.dates[self._next]))
        self._next += 1
        return True


class Commission(bt.CommInfoBase):
    """What the scenario charges."""

    params = (("scenario", None), ("stocklike", True), ("commtype", bt.CommInfoBase.COMM_FIXED))

    def _getcommission(self, size, price, pseudoexec):
        return protocol.commission_of(self.p.scenario, size, price)


class Script(bt.Strategy):
    """Orders what the scenario says."""

    params = (("scenario", None),)

    def __init__(self):
        self.fills: Fills = []
        self.named = {}
        rule = self.p.scenario["rule"]
        if rule:
            self.fast = bt.indicators.SimpleMovingAverage(self.data.close, period=rule["fast"])
            self.slow = bt.indicators.SimpleMovingAverage(self.data.close, period=rule["slow"])

    def notify_order(self, order):
        if order.status in (order.Partial, order.Completed):
            for bit in order.executed.iterpending():
                self.fills.append((len(self) - 1, order.data._name, bit.size, bit.price))

    def prenext(self):
        self.next()

    def next(self):
        scenario, bar = self.p.scenario, len(self) - 1
        if scenario["rule"]:
            self.cross(bar)
            return
        for cancel in protocol.at(scenario["cancels"], bar):
            self.cancel(self.named[cancel["name"]])
        for step in protocol.at(scenario["weights"], bar):
            weighed = [(self.getdatabyname(symbol), weight) for symbol, weight in step["weights"].items()]
            value = self.broker.getvalue()
            weighed.sort(key=lambda pair: pair[1] * value > self.broker.getvalue([pair[0]]))  # sales first
            for data, weight in weighed:
                self.order_target_percent(data, target=weight)
        siblings = {}
        for ask in protocol.at(scenario["asks"], bar):
            self.ask(ask, siblings)

    def cross(self, bar):
        rule = self.p.scenario["rule"]
        if bar + 1 >= rule["slow"]:
            self.order_target_size(target=rule["quantity"] if self.fast[0] > self.slow[0] else -rule["quantity"])

    def ask(self, ask, siblings):
        order = self.buy if ask["quantity"] > 0 else self.sell
        kinds = {(False, False): bt.Order.Market, (True, False): bt.Order.Limit, (False, True): bt.Order.Stop}
        kind = kinds.get((ask["limit"] is not None, ask["stop"] is not None), bt.Order.StopLimit)
        prices = {"price": ask["limit"] if kind == bt.Order.Limit else ask["stop"]}
        if kind == bt.Order.StopLimit:
            prices["plimit"] = ask["limit"]
        how = {"data": self.getdatabyname(ask["symbol"]), "size": abs(ask["quantity"]), "exectype": kind, **prices}
        if ask["trail_percent"] is not None:
            how |= {"exectype": bt.Order.StopTrail, "trailpercent": ask["trail_percent"] / 100}
        if ask["at_close"]:
            how["exectype"] = bt.Order.Close
        if ask["day"]:
            how["valid"] = dt.datetime.fromisoformat(self.p.scenario["sessions"][ask["bar"] + 1])
        if ask["take_profit"] or ask["stop_loss"]:
            if kind == bt.Order.StopLimit:
                raise Inexpressible("no bracket around a stop-limit entry here")
            bracket = self.buy_bracket if ask["quantity"] > 0 else self.sell_bracket
            bracket(stopprice=ask["stop_loss"], limitprice=ask["take_profit"], **how)
            return
        if ask["oco"] and ask["oco"] in siblings:
            how["oco"] = siblings[ask["oco"]]
        placed = order(**how)
        siblings.setdefault(ask["oco"], placed)
        self.named[ask["name"]] = placed


def run(scenario: Scenario) -> tuple[Fills, float, float]:
    cerebro = bt.Cerebro(stdstats=False)
    for symbol in scenario["bars"]:
        cerebro.adddata(Feed(bars=protocol.rows(scenario, symbol), dates=scenario["sessions"]), name=symbol)
    cerebro.addstrategy(Script, scenario=scenario)
    broker = cerebro.broker
    broker.setcash(scenario["cash"])
    broker.addcommissioninfo(Commission(scenario=scenario))
    if scenario["slippage_bps"]:
        broker.set_slippage_perc(
            scenario["slippage_bps"] / 1e4, slip_open=True, slip_limit=True, slip_match=True, slip_out=True
        )
    if scenario["participation"] < 1:
        broker.set_filler(bt.fillers.FixedBarPerc(perc=scenario["participation"] * 100))
    (strategy,) = cerebro.run()
    return strategy.fills, broker.getcash(), broker.getvalue()


if __name__ == "__main__":
    protocol.answer("backtrader", run, can=set(protocol.FEATURES), cannot={})
