"""Where an engine differs from Fairlead on purpose, and why: every entry is asserted, and the page is made from them."""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One rule on which Fairlead and others decided otherwise."""

    title: str
    why: str
    cases: tuple[tuple[str, str], ...]
    """(scenario, engine) in which it shows."""


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "When a market order fills by default",
        "bt and vectorbt trade in the row of the decision, at the close that was used to decide; NautilusTrader, shown "
        "bars, does the same; zipline fills at the close of the next bar. Fairlead, backtrader and backtesting.py take "
        "the next open. In the other scenarios the orders of these engines are moved to the next open.",
        (
            ("market_order_as_shipped", "bt"),
            ("market_order_as_shipped", "nautilus_trader"),
            ("market_order_as_shipped", "vectorbt"),
            ("market_order_as_shipped", "zipline"),
        ),
    ),
    Difference(
        "A limit that is only touched",
        "backtrader and backtesting.py always fill it. Fairlead wants the price to trade through, since nobody knows "
        "the queue; `limit_fill_on_touch` relaxes that. NautilusTrader has a probability for it.",
        (
            ("limit_must_trade_through", "backtrader"),
            ("limit_must_trade_through", "backtesting"),
        ),
    ),
    Difference(
        "A resting limit and a gap",
        "NautilusTrader fills a limit that rests in its book at the limit, even when the market opens beyond it. "
        "Fairlead and the others give the open, as an opening auction does. A limit that arrives with the open gets the "
        "open there too.",
        (
            ("limit_gap_at_open", "nautilus_trader"),
            ("sell_limit_gap_at_open", "nautilus_trader"),
        ),
    ),
    Difference(
        "A stop and a gap, on bars",
        "NautilusTrader, shown bars, fills a stop at its price even when the bar opens beyond it: better than anybody "
        "could have had. Shown a book, as in the other scenarios, it fills at the open as Fairlead does.",
        (("stop_gap_through_on_bars", "nautilus_trader"),),
    ),
    Difference(
        "A stop-limit in the bar that triggers it",
        "Nobody knows whether the price came back to the limit after the trigger. Fairlead lets the order rest until "
        "the next bar, except when the bar opens between stop and limit. The others fill at the stop, in the same bar.",
        (
            ("stop_limit_in_trigger_bar", "backtesting"),
            ("stop_limit_in_trigger_bar", "backtrader"),
            ("stop_limit_in_trigger_bar", "nautilus_trader"),
        ),
    ),
    Difference(
        "A stop-limit and an open beyond the stop",
        "backtesting.py and NautilusTrader fill at the stop, which the bar never came near. Fairlead and backtrader "
        "give the open.",
        (
            ("stop_limit_open_between", "backtesting"),
            ("stop_limit_open_between", "nautilus_trader"),
        ),
    ),
    Difference(
        "A stop-limit, an open beyond its limit, and the way back",
        "After an open beyond the limit Fairlead waits for the next bar. backtrader and NautilusTrader fill at the "
        "limit when the same bar comes back to it, backtesting.py at the stop, outside the bar.",
        (
            ("stop_limit_dip_after_gap", "backtesting"),
            ("stop_limit_dip_after_gap", "backtrader"),
            ("stop_limit_dip_after_gap", "nautilus_trader"),
        ),
    ),
    Difference(
        "The stop of a bracket on its entry bar",
        "backtrader and vectorbt look at the exits from the bar after the entry on. Fairlead protects from the entry on "
        "(`allow_same_bar_exit`): what the bar did after its open is taken to have met the stop.",
        (
            ("bracket_stop_on_entry_bar", "backtrader"),
            ("bracket_stop_on_entry_bar", "vectorbt"),
        ),
    ),
    Difference(
        "Stop and target in one bar",
        "NautilusTrader decides by the path it is shown, here the nearer end of the bar first. Fairlead and the others "
        "take the stop.",
        (("bracket_both_in_one_bar", "nautilus_trader"),),
    ),
    Difference(
        "The price of the later parts of an order",
        "What is left of a limit order that has met the market rests in NautilusTrader's book and is filled at its "
        "limit. In Fairlead each part pays the open of its bar.",
        (("volume_participation_open", "nautilus_trader"),),
    ),
    Difference(
        "An order beyond means",
        "bt and zipline do not ask whether there is money: cash goes below zero. Fairlead and the others refuse the order.",
        (
            ("order_beyond_means", "bt"),
            ("order_beyond_means", "zipline"),
        ),
    ),
    Difference(
        "Means that are gone at the fill",
        "Fairlead checks means when an order is decided, at the last close; if the open is so much worse that cash does "
        "not suffice, a simple account buys on credit, as bt and zipline do, and a cash account (`account: {type: "
        "cash}`) buys what the cash pays for, as vectorbt does with `allow_partial`. backtrader, backtesting.py and "
        "vectorbt without it refuse the whole order at the fill; NautilusTrader stops the run.",
        (
            ("gap_beyond_means", "backtesting"),
            ("gap_beyond_means", "backtrader"),
            ("gap_beyond_means", "nautilus_trader"),
            ("gap_beyond_means", "vectorbt"),
            ("gap_beyond_cash", "backtesting"),
            ("gap_beyond_cash", "backtrader"),
            ("gap_beyond_cash", "bt"),
            ("gap_beyond_cash", "nautilus_trader"),
        ),
    ),
    Difference(
        "The price that a weight is sized by",
        "bt sizes by the price it trades at. Fairlead knows only the close of the decision, as a live strategy would.",
        (("target_weights_gap", "bt"),),
    ),
    Difference(
        "Rounding a lower weight to whole units",
        "backtrader and vectorbt round the change down and keep a unit more; Fairlead and bt round the position aimed "
        "at, so that a weight comes to the same position from above and from below.",
        (
            ("target_weights_reduced", "backtrader"),
            ("target_weights_reduced", "vectorbt"),
        ),
    ),
    Difference(
        "A minimum commission",
        "backtesting.py charges by its trades: an order that closes two of them pays the minimum twice. In Fairlead it "
        "holds per order.",
        (("per_share_minimum", "backtesting"),),
    ),
    Difference(
        "Slippage on the way out",
        "The `spread` of backtesting.py makes entries dearer and leaves exits alone. Fairlead charges every fill.",
        (("slippage_round_trip", "backtesting"),),
    ),
)

EXPLAINED: dict[tuple[str, str], Difference] = {case: found for found in DIFFERENCES for case in found.cases}
