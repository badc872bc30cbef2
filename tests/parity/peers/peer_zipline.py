"""zipline-reloaded: a `TradingAlgorithm` over daily bars in memory.

It fills at the close of the bar after the decision, so the close it is shown is the bar's open, and nothing of the bar's range;
after the last bar stands one more with the last close, at which what is held is valued. So it can say what happens at opens and
nothing that happens inside a bar.
With the setting ``as_shipped`` it is shown the closes.
Settings: `FixedSlippage(spread=0)`, `FixedBasisPointsSlippage` or, for a share of the volume, `VolumeShareSlippage` without
price impact; `PerDollar` and `PerShare` commission. It knows whole units only, and lets cash go below zero.
"""

from __future__ import annotations

import logging
import warnings

import pandas as pd
import protocol
from protocol import Fills, Inexpressible, Scenario
from sqlalchemy import create_engine
from zipline import api
from zipline.algorithm import TradingAlgorithm
from zipline.assets import AssetDBWriter, AssetFinder
from zipline.data.data_portal import DataPortal
from zipline.finance import commission, slippage
from zipline.finance.trading import SimulationParameters
from zipline.utils.calendar_utils import get_calendar
from zipline_bars import Bars

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

CALENDAR = get_calendar("XNYS")
INSIDE = "nothing that happens inside a bar"


def check(scenario: Scenario) -> None:
    """Raise unless every fill of the scenario is at an open."""
    for ask in scenario["asks"]:
        bars = protocol.rows(scenario, ask["symbol"])[ask["bar"] + 1 :]
        buys = ask["quantity"] > 0
        for opened, high, low, _, _ in bars:
            if ask["limit"] is not None and ask["stop"] is not None:
                raise Inexpressible(INSIDE)
            if ask["limit"] is None and ask["stop"] is None:
                break
            # A buy limit and a sell stop wait for lower prices, the other two for higher ones.
            below = buys == (ask["limit"] is not None)
            level = ask["limit"] if ask["limit"] is not None else ask["stop"]
            if opened <= level if below else opened >= level:
                break
            if low <= level if below else high >= level:
                raise Inexpressible(INSIDE)


def portal_of(scenario: Scenario, days: pd.DatetimeIndex) -> DataPortal:
    symbols = list(scenario["bars"])
    frames = {}
    for name in ("open", "high", "low", "close", "volume"):
        shown = protocol.price_of_all(scenario, by_default="close" if scenario["settings"].get("as_shipped") else "open")
        source = "volume" if name == "volume" else shown
        last = "volume" if name == "volume" else "close"
        values = {
            sid: [*protocol.column(scenario, s, source), protocol.column(scenario, s, last)[-1]]
            for sid, s in enumerate(symbols)
        }
        frames[name] = pd.DataFrame(values, index=days)
    engine = create_engine("sqlite://")
    AssetDBWriter(engine).write(
        equities=pd.DataFrame(
            {
                "symbol": symbols,
                "asset_name": symbols,
                "start_date": days[0],
                "end_date": days[-1],
                "auto_close_date": days[-1] + pd.Timedelta(days=3),
                "exchange": "NYSE",
            },
            index=range(len(symbols)),
        ),
        exchanges=pd.DataFrame([{"exchange": "NYSE", "canonical_name": "NYSE", "country_code": "US"}]),
    )
    codes = pd.Series("USD", index=range(len(symbols)))
    reader = Bars(frames, CALENDAR, codes)
    return DataPortal(AssetFinder(engine), CALENDAR, first_trading_day=days[0], equity_daily_reader=reader)


def costs(scenario: Scenario) -> None:
    terms = scenario["commission"]
    if not terms:
        api.set_commission(commission.NoCommission())
    elif terms["kind"] == "bps":
        api.set_commission(commission.PerDollar(cost=terms["bps"] / 1e4))
    else:
        api.set_commission(commission.PerShare(cost=terms["per_share"], min_trade_cost=terms["minimum"]))
    if scenario["participation"] < 1:
        api.set_slippage(slippage.VolumeShareSlippage(volume_limit=scenario["participation"], price_impact=0.0))
    elif scenario["slippage_bps"]:
        api.set_slippage(slippage.FixedBasisPointsSlippage(basis_points=scenario["slippage_bps"], volume_limit=1.0))
    else:
        api.set_slippage(slippage.FixedSlippage(spread=0.0))


def run(scenario: Scenario) -> tuple[Fills, float, float]:
    check(scenario)
    first = pd.Timestamp(scenario["sessions"][0])
    days = CALENDAR.sessions_window(first, len(scenario["sessions"]) + 1)
    wanted: dict[int, float] = {}
    if scenario["rule"]:
        closes = pd.Series(protocol.column(scenario, "A", "close"))
        averages = (closes.rolling(scenario["rule"][name]).mean().to_list() for name in ("fast", "slow"))
        wanted = protocol.crossover_sides(scenario, *averages)
    state = {"bar": -1, "named": {}}

    def initialize(context):
        costs(scenario)

    def handle_data(context, data):
        bar = state["bar"] = state["bar"] + 1
        if bar >= len(scenario["sessions"]) - 1:
            return  # what is decided on the last bar meets no other
        for cancel in protocol.at(scenario["cancels"], bar):
            api.cancel_order(state["named"][cancel["name"]])
        for ask in protocol.at(scenario["asks"], bar):
            asset = api.symbol(ask["symbol"])
            state["named"][ask["name"]] = api.order(asset, ask["quantity"], limit_price=ask["limit"], stop_price=ask["stop"])
        if bar in wanted:
            api.order_target(api.symbol("A"), wanted[bar])
        for step in protocol.at(scenario["weights"], bar):
            for symbol, weight in step["weights"].items():
                api.order_target_percent(api.symbol(symbol), weight)

    algorithm = TradingAlgorithm(
        sim_params=SimulationParameters(
            start_session=days[0],
            end_session=days[-1],
            trading_calendar=CALENDAR,
            capital_base=scenario["cash"],
            data_frequency="daily",
        ),
        data_portal=portal_of(scenario, days),
        trading_calendar=CALENDAR,
        benchmark_returns=pd.Series(0.0, index=days),
        initialize=initialize,
        handle_data=handle_data,
    )
    performance = algorithm.run()
    places = {str(day)[:10]: bar for bar, day in enumerate(days)}
    fills: Fills = [
        (places[str(done["dt"])[:10]], done["sid"].symbol, done["amount"], done["price"])
        for day in performance["transactions"]
        for done in day
    ]
    last = performance.iloc[-1]
    return fills, last["ending_cash"], last["portfolio_value"]


if __name__ == "__main__":
    depends = "no order that depends on another"
    protocol.answer(
        "zipline-reloaded",
        run,
        can={"resting", "at_close", "several", "participation", "slippage", "per_share"},
        cannot={
            "exits": depends,
            "oco": depends,
            "trailing": "no trailing stop",
            "day": "no day orders on daily bars",
            "weights": "sizes a weight by the price it is shown, here the open",
            "fractions": "whole units only",
        },
    )
