"""vectorbt: arrays of orders through `Portfolio.from_orders`, and exits through `Portfolio.from_signals`.

Settings: an order decided on a close stands in the next row at that row's open (`price`); `val_price` is the close before, so
that weights are of equity at the decision; `allow_partial=False`, or an order beyond means would be cut to size, but for the
setting ``allow_partial``.
With the setting ``as_shipped`` an order stands in the row of its decision, at the close of that row.
It knows no resting orders. Exits of an open position it does know: a stop and a target in percent of the entry's price.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import protocol
import vectorbt as vbt
from protocol import Fills, Inexpressible, Scenario
from vectorbt.portfolio.enums import Direction, SizeType

NO_RESTING = "no resting orders, only exits of what is held"


def frame(scenario: Scenario, name: str) -> pd.DataFrame:
    columns = {symbol: protocol.column(scenario, symbol, name) for symbol in scenario["bars"]}
    return pd.DataFrame(columns, index=pd.DatetimeIndex(scenario["sessions"]))


def costs(scenario: Scenario) -> dict[str, float]:
    terms = scenario["commission"]
    return {"fees": terms["bps"] / 1e4 if terms else 0.0, "slippage": scenario["slippage_bps"] / 1e4}


def wanted_orders(scenario: Scenario, close: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return sizes by row, and what they mean."""
    size = pd.DataFrame(np.nan, index=close.index, columns=close.columns)
    if scenario["rule"]:
        rule = scenario["rule"]
        fast, slow = (vbt.MA.run(close["A"], rule[name]).ma.to_list() for name in ("fast", "slow"))
        for bar, position in protocol.crossover_sides(scenario, fast, slow).items():
            if bar + 1 < len(size):
                size.iloc[bar + 1] = position
        return size, SizeType.TargetAmount
    if scenario["weights"]:
        for step in scenario["weights"]:
            for symbol, weight in step["weights"].items():
                size.loc[size.index[step["bar"] + 1], symbol] = weight
        return size, SizeType.TargetPercent
    for ask in scenario["asks"]:
        where = size.index[ask["bar"] + 1], ask["symbol"]
        size.loc[where] = np.nan_to_num(size.loc[where]) + ask["quantity"]
    return size, SizeType.Amount


def exit_levels(scenario: Scenario) -> list[tuple[str, float]]:
    """Return the stop and the target of an entry at the market, whether they were ordered with it or on its bar."""
    entry, *later = scenario["asks"]
    if entry["limit"] is not None or entry["stop"] is not None:
        raise Inexpressible(NO_RESTING)
    levels = [("sl_stop", entry["stop_loss"]), ("tp_stop", entry["take_profit"])]
    for ask in later:
        if ask["bar"] != entry["bar"] + 1 or ask["quantity"] != -entry["quantity"] or None not in (ask["limit"], ask["stop"]):
            raise Inexpressible(NO_RESTING)
        levels += [("sl_stop", ask["stop"]), ("tp_stop", ask["limit"])]
        if ask["trail_percent"] is not None:
            levels.append(("sl_trail", ask["trail_percent"]))
    return [(kind, level) for kind, level in levels if level is not None]


def exits(scenario: Scenario, opened: pd.DataFrame, close: pd.DataFrame) -> vbt.Portfolio:
    """Run an entry at the open with one stop or target or both, as percent of its price."""
    entry, row = scenario["asks"][0], scenario["asks"][0]["bar"] + 1
    paid = opened["A"].iloc[row]
    sign = 1 if entry["quantity"] > 0 else -1
    levels = {"sl_stop": np.nan, "tp_stop": np.nan, "sl_trail": False}
    for kind, level in exit_levels(scenario):
        if kind == "sl_trail":
            levels |= {"sl_trail": True, "sl_stop": level / 100}
            continue
        levels[kind] = (sign if kind == "tp_stop" else -sign) * (level - paid) / paid
    enters = pd.Series([bar == row for bar in range(len(close))], index=close.index)
    never = pd.Series(data=False, index=close.index)
    return vbt.Portfolio.from_signals(
        close["A"],
        entries=enters if sign > 0 else never,
        exits=never,
        short_entries=enters if sign < 0 else never,
        short_exits=never,
        size=abs(entry["quantity"]),
        # The entry is at the open; an exit's own price is kept by `stop_exit_price`.
        price=opened["A"],
        open=opened["A"],
        high=frame(scenario, "high")["A"],
        low=frame(scenario, "low")["A"],
        stop_entry_price="price",
        stop_exit_price="stoplimit",
        init_cash=scenario["cash"],
        **levels,
        **costs(scenario),
    )


def run(scenario: Scenario) -> tuple[Fills, float, float]:
    opened, close = frame(scenario, "open"), frame(scenario, "close")
    if scenario["settings"].get("as_shipped"):
        size = pd.DataFrame(np.nan, index=close.index, columns=close.columns)
        for ask in scenario["asks"]:
            size.loc[size.index[ask["bar"]], ask["symbol"]] = ask["quantity"]
        return told(scenario, vbt.Portfolio.from_orders(close, size=size, init_cash=scenario["cash"]))
    if any(protocol.FEATURES[feature](scenario) for feature in ("resting", "exits", "trailing")):
        portfolio = exits(scenario, opened, close)
    else:
        size, kind = wanted_orders(scenario, close)
        in_part = bool(scenario["weights"]) or scenario["settings"].get("allow_partial", False)
        portfolio = vbt.Portfolio.from_orders(
            close,
            size=size,
            size_type=kind,
            direction=Direction.Both,
            price=close if protocol.price_of_all(scenario) == "close" else opened,
            val_price=close.shift(1).fillna(opened),
            # What is rounded down to whole units counts as a partial fill.
            allow_partial=in_part,
            size_granularity=scenario["lot"] if in_part else np.nan,
            init_cash=scenario["cash"],
            cash_sharing=True,
            call_seq="auto",
            **costs(scenario),
        )
    return told(scenario, portfolio)


def told(scenario: Scenario, portfolio: vbt.Portfolio) -> tuple[Fills, float, float]:
    fills: Fills = []
    symbols = list(scenario["bars"])
    for record in portfolio.orders.values:  # noqa: PD011  records of vectorbt, no pandas object
        sign = 1 if record["side"] == 0 else -1
        fills.append((record["idx"], symbols[record["col"]], sign * record["size"], record["price"]))
    return fills, np.ravel(portfolio.cash())[-1], np.ravel(portfolio.value())[-1]


if __name__ == "__main__":
    protocol.answer(
        "vectorbt",
        run,
        can={"resting", "exits", "trailing", "at_close", "day", "weights", "several", "slippage", "fractions"},
        cannot={
            "oco": NO_RESTING,
            "participation": "no order that fills in parts",
            "per_share": "no commission by the share",
        },
    )
