"""The scenarios: each is one question that all engines which can express it must answer alike."""

from __future__ import annotations

import random

from parity.scenario import Ask, Bar, Cancel, Crossover, Scenario, Weights

VOLUME = 1_000_000.0


def bars(*rows: tuple[float, float, float, float]) -> list[Bar]:
    """Return bars with so much volume that it does not matter."""
    return [(*row, VOLUME) for row in rows]


CALM = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.70, 102.00, 100.20, 101.50),
    (101.20, 103.00, 101.00, 102.80),
    (103.10, 103.50, 100.90, 101.10),
    (100.80, 101.40, 98.70, 99.00),
    (98.50, 99.90, 97.50, 99.50),
    (99.80, 100.60, 99.10, 100.20),
    (100.40, 101.00, 99.90, 100.90),
)
"""Up, down through the start, and back; no bar opens far from the close before it."""

GAP_DOWN = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.60, 101.50, 100.10, 101.00),
    (101.20, 101.80, 100.40, 100.70),
    (95.00, 96.50, 94.20, 96.00),
    (96.30, 97.00, 95.80, 96.60),
)
GAP_UP = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.60, 101.50, 100.10, 101.00),
    (101.20, 101.80, 100.40, 101.30),
    (107.00, 108.50, 106.20, 108.00),
    (107.70, 108.10, 105.40, 106.60),
    (106.20, 107.30, 104.10, 105.00),
)
TOUCH = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.60, 101.50, 100.10, 101.00),
    (100.90, 101.10, 99.50, 100.20),  # the low is the limit, to the cent
    (100.30, 100.80, 99.70, 100.10),
    (100.00, 100.40, 99.20, 99.60),  # the low is below it
    (99.70, 100.20, 99.30, 100.00),
)
UP_AND_BACK = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.70, 101.60, 100.20, 101.50),
    (101.80, 103.40, 101.60, 103.20),  # up through 103.00
    (103.30, 103.80, 102.20, 102.60),  # and back to 102.50
    (102.40, 103.10, 101.90, 102.90),
)
WIDE = bars(
    (100.00, 101.00, 99.00, 100.50),
    (100.60, 101.50, 100.10, 101.00),
    (101.20, 105.00, 97.00, 99.00),  # from 101.20 both 104.00 and 98.00 are reached
    (99.20, 100.10, 98.60, 99.50),
)
RISE_AND_FALL = bars(
    (100.00, 101.00, 99.00, 100.00),
    (100.00, 103.00, 99.80, 103.00),  # bars that end at their high: the best price is the close
    (103.00, 105.00, 101.50, 105.00),
    (105.00, 107.00, 104.40, 107.00),
    (106.50, 106.80, 102.00, 102.50),
    (102.60, 103.20, 101.70, 102.20),
)
SEAMLESS_A = bars(
    (50.00, 51.00, 49.00, 50.00),
    (50.00, 53.00, 49.50, 52.00),
    (52.00, 60.50, 51.00, 60.00),
    (60.00, 62.00, 59.00, 61.00),
    (61.00, 61.50, 58.00, 59.00),
)
"""Every bar opens at the close before it, so that a weight comes to the same number of shares by either price."""
SEAMLESS_B = bars(
    (100.00, 102.00, 98.00, 100.00),
    (100.00, 104.00, 99.00, 103.00),
    (103.00, 104.00, 99.50, 100.00),
    (100.00, 101.00, 97.00, 98.00),
    (98.00, 99.00, 96.00, 97.00),
)
OPEN_IS_CLOSE = [
    (100.00, 101.00, 99.00, 100.00, 5_000.0),
    (100.50, 101.50, 99.50, 100.50, 2_000.0),
    (101.00, 102.00, 100.00, 101.00, 3_000.0),
    (100.20, 101.00, 99.00, 100.20, 1_500.0),
    (99.80, 100.50, 99.00, 99.80, 4_000.0),
    (100.10, 101.00, 99.50, 100.10, 5_000.0),
]
"""Bars that end where they began, for engines that fill at the close; with little volume."""


def wandering(n: int, seed: int) -> list[Bar]:
    """Return `n` bars of a random walk in cents, the same on every machine."""
    draw = random.Random(seed)
    close, rows = 5_000, []
    for _ in range(n):
        opened = max(500, close + draw.randint(-40, 40))
        close = max(500, opened + draw.randint(-120, 120))
        high = max(opened, close) + draw.randint(0, 60)
        low = min(opened, close) - draw.randint(0, 60)
        rows.append((opened / 100, high / 100, low / 100, close / 100, VOLUME))
    return rows


def one(rows: list[Bar]) -> dict[str, list[Bar]]:
    """Return bars of the one symbol that most scenarios trade."""
    return {"A": rows}


AGREEMENTS: tuple[Scenario, ...] = (
    Scenario(
        name="market_next_open",
        shows="A market order decided on a close fills at the next open.",
        bars=one(CALM),
        steps=(Ask(bar=1, quantity=100), Ask(bar=4, quantity=-40)),
    ),
    Scenario(
        name="buy_and_hold_bps",
        shows="Commission as a share of value is taken from cash at the fill.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=500),),
        commission={"kind": "bps", "bps": 10.0},
    ),
    Scenario(
        name="per_share_commission",
        shows="Commission by the share is charged on both sides of a trade.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=500), Ask(bar=3, quantity=-300), Ask(bar=5, quantity=-200)),
        commission={"kind": "per_share", "per_share": 0.01, "minimum": 0.0},
    ),
    Scenario(
        name="per_share_minimum",
        shows="A small order pays the minimum, a large one by the share.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=50), Ask(bar=2, quantity=400), Ask(bar=5, quantity=-450)),
        commission={"kind": "per_share", "per_share": 0.01, "minimum": 1.0},
    ),
    Scenario(
        name="long_short_flip",
        shows="One order that crosses zero closes the long and opens the short at one price.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=300), Ask(bar=2, quantity=-600), Ask(bar=5, quantity=600)),
        commission={"kind": "bps", "bps": 10.0},
    ),
    Scenario(
        name="short_and_cover",
        shows="A short sale raises cash, and is covered in two parts.",
        bars=one(CALM),
        steps=(Ask(bar=2, quantity=-400), Ask(bar=4, quantity=150), Ask(bar=5, quantity=250)),
    ),
    Scenario(
        name="scaling_in_and_out",
        shows="Several orders on one symbol, some of them on one bar, add up.",
        bars=one(CALM),
        steps=(
            Ask(bar=0, quantity=100),
            Ask(bar=1, quantity=200),
            Ask(bar=1, quantity=50),
            Ask(bar=3, quantity=-150),
            Ask(bar=4, quantity=75),
            Ask(bar=6, quantity=-275),
        ),
        commission={"kind": "per_share", "per_share": 0.02, "minimum": 0.0},
    ),
    Scenario(
        name="limit_inside_bar",
        shows="A limit that the bar trades through fills at the limit, for a buy and for a sell.",
        bars=one(CALM),
        steps=(Ask(bar=2, quantity=100, limit=99.50), Ask(bar=5, quantity=-100, limit=100.50)),
    ),
    Scenario(
        name="limit_gap_at_open",
        shows="A bar that opens beyond a limit fills it at the better open.",
        bars=one(GAP_DOWN),
        steps=(Ask(bar=1, quantity=100, limit=98.00),),
    ),
    Scenario(
        name="limit_marketable_on_arrival",
        shows="A limit that the market is already beyond when the order arrives fills at the open too.",
        bars=one(GAP_DOWN),
        steps=(Ask(bar=2, quantity=100, limit=98.00),),
    ),
    Scenario(
        name="sell_limit_gap_at_open",
        shows="The same for a sell: the gap up is the seller's.",
        bars=one(GAP_UP),
        steps=(Ask(bar=0, quantity=100), Ask(bar=1, quantity=-100, limit=104.00)),
    ),
    Scenario(
        name="limit_fills_on_touch",
        shows="With `limit_fill_on_touch` a low equal to the limit fills it.",
        bars=one(TOUCH),
        steps=(Ask(bar=0, quantity=100, limit=99.50),),
        touch_fills=True,
    ),
    Scenario(
        name="stop_entry",
        shows="A buy stop and a sell stop inside a bar fill at their price.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=100, stop=102.50), Ask(bar=2, quantity=-200, stop=99.40)),
    ),
    Scenario(
        name="stop_gap_through",
        shows="A bar that opens below a protective stop fills it at the open, not at its price.",
        bars=one(GAP_DOWN),
        steps=(Ask(bar=0, quantity=100), Ask(bar=1, quantity=-100, stop=98.00)),
    ),
    Scenario(
        name="buy_stop_gap_through",
        shows="The same for the stop of a short: it pays the open.",
        bars=one(GAP_UP),
        steps=(Ask(bar=0, quantity=-100), Ask(bar=1, quantity=100, stop=103.00)),
    ),
    Scenario(
        name="stop_limit_after_gap",
        shows="A stop-limit that is triggered beyond its limit waits and fills at the limit later.",
        bars=one(GAP_UP),
        steps=(Ask(bar=1, quantity=100, stop=103.00, limit=105.00),),
        # On the way down through the limit it would else be filled one cent below it.
        settings={"nautilus_trader": {"touch_fills": True}},
    ),
    Scenario(
        name="good_till_cancelled",
        shows="An order that is good till cancelled fills days later.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=100, limit=98.00),),
    ),
    Scenario(
        name="day_order_expires",
        shows="A day order that its session did not reach is gone; the next one fills.",
        bars=one(CALM),
        steps=(Ask(bar=2, quantity=100, limit=99.50, day=True), Ask(bar=4, quantity=70, limit=98.00, day=True)),
    ),
    Scenario(
        name="cancel_before_reach",
        shows="An order that was taken back does not fill when the price gets there.",
        bars=one(CALM),
        steps=(
            Ask(bar=0, quantity=100, limit=98.00, name="low"),
            Ask(bar=1, quantity=50, limit=99.50),
            Cancel(bar=3, name="low"),
        ),
    ),
    Scenario(
        name="target_then_no_stop",
        shows="Of a stop and a target in later bars the target fills first; the stop is then taken back and stays so.",
        bars=one(CALM),
        steps=(
            Ask(bar=0, quantity=100),
            Ask(bar=1, quantity=-100, stop=98.00, name="stop"),
            Ask(bar=1, quantity=-100, limit=102.50),
            Cancel(bar=2, name="stop"),
        ),
    ),
    Scenario(
        name="stop_then_no_target",
        shows="The same when the stop fills first.",
        bars=one(CALM),
        steps=(
            Ask(bar=2, quantity=100),
            Ask(bar=3, quantity=-100, stop=99.00),
            Ask(bar=3, quantity=-100, limit=104.00, name="target"),
            Cancel(bar=4, name="target"),
        ),
    ),
    Scenario(
        name="bracket_target",
        shows="A bracket that reaches its target takes the profit, and its stop is gone.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=100, take_profit=102.50, stop_loss=98.00),),
    ),
    Scenario(
        name="bracket_stop",
        shows="A bracket that reaches its stop takes the loss, and its target is gone.",
        bars=one(CALM),
        steps=(Ask(bar=2, quantity=100, take_profit=104.00, stop_loss=99.00),),
    ),
    Scenario(
        name="bracket_gap_through_stop",
        shows="The stop of a bracket pays the open when the bar opens beyond it.",
        bars=one(GAP_DOWN),
        steps=(Ask(bar=0, quantity=100, take_profit=110.00, stop_loss=98.00),),
    ),
    Scenario(
        name="bracket_of_a_short",
        shows="A bracket around a short: the target lies below, the stop above.",
        bars=one(GAP_UP),
        steps=(Ask(bar=0, quantity=-100, take_profit=97.00, stop_loss=103.00),),
    ),
    Scenario(
        name="bracket_both_in_one_bar",
        shows="When stop and target lie in one bar, the stop is taken.",
        bars=one(WIDE),
        steps=(Ask(bar=0, quantity=100, take_profit=104.00, stop_loss=98.00),),
    ),
    Scenario(
        name="trailing_stop",
        shows="A stop that trails the best price by 4 percent sells on the way down.",
        bars=one(RISE_AND_FALL),
        steps=(Ask(bar=0, quantity=100), Ask(bar=1, quantity=-100, trail_percent=4.0)),
    ),
    Scenario(
        name="market_on_close",
        shows="An order for the close fills at the close of the next bar.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=100, at_close=True), Ask(bar=3, quantity=-60, at_close=True)),
    ),
    Scenario(
        name="target_weights",
        shows="Weights of several symbols come to the same shares, sells first, twice.",
        bars={"A": SEAMLESS_A, "B": SEAMLESS_B},
        steps=(Weights(bar=0, weights={"A": 0.5, "B": 0.25}), Weights(bar=2, weights={"A": 0.6, "B": 0.2})),
    ),
    Scenario(
        name="fractional_lots",
        shows="Fractions of a unit are held, valued and sold.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=12.345), Ask(bar=3, quantity=-2.125), Ask(bar=5, quantity=0.78)),
        lot=0.001,
    ),
    Scenario(
        name="order_beyond_means",
        shows="An order for more than there is money is refused whole; a smaller one after it fills.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=300), Ask(bar=3, quantity=90)),
        cash=10_000.0,
    ),
    Scenario(
        name="slippage_bps",
        shows="Slippage in basis points makes a buy dearer.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=100), Ask(bar=2, quantity=200)),
        slippage_bps=25.0,
    ),
    Scenario(
        name="slippage_round_trip",
        shows="Slippage makes a buy dearer and a sale cheaper, and commission is on the price paid.",
        bars=one(CALM),
        steps=(Ask(bar=0, quantity=100), Ask(bar=4, quantity=-100)),
        slippage_bps=25.0,
        commission={"kind": "bps", "bps": 10.0},
    ),
    Scenario(
        name="volume_participation",
        shows="An order larger than its share of the volume fills in parts, bar by bar.",
        bars=one([(100.0, 101.0, 99.0, 100.0, row[-1]) for row in OPEN_IS_CLOSE]),
        steps=(Ask(bar=0, quantity=700, limit=100.00),),
        participation=0.10,
        touch_fills=True,
    ),
    Scenario(
        name="sma_cross_500",
        shows="A moving-average crossover that each engine works out for itself: every flip of 500 random bars.",
        bars=one(wandering(500, seed=7)),
        rule=Crossover(fast=5, slow=20, quantity=1_000),
        commission={"kind": "bps", "bps": 10.0},
        cash=250_000.0,
    ),
)

DIFFERENCES: tuple[Scenario, ...] = (
    Scenario(
        name="market_order_as_shipped",
        shows="When a market order fills if nobody says otherwise.",
        bars=one(CALM),
        steps=(Ask(bar=1, quantity=100),),
        settings={
            "bt": {"as_shipped": True},
            "nautilus_trader": {"book": "bars"},
            "vectorbt": {"as_shipped": True},
            "zipline": {"as_shipped": True},
        },
    ),
    Scenario(
        name="limit_must_trade_through",
        shows="By default a low equal to the limit does not fill it; a lower low does.",
        bars=one(TOUCH),
        steps=(Ask(bar=0, quantity=100, limit=99.50),),
    ),
    Scenario(
        name="stop_gap_through_on_bars",
        shows="A bar opens below a protective stop, and the engine is shown bars.",
        bars=one(GAP_DOWN),
        steps=(Ask(bar=0, quantity=100), Ask(bar=1, quantity=-100, stop=98.00)),
        settings={"nautilus_trader": {"book": "bars"}},
    ),
    Scenario(
        name="stop_limit_in_trigger_bar",
        shows="The bar that triggers a stop-limit also reaches its limit; it opened on the near side of the stop.",
        bars=one(UP_AND_BACK),
        steps=(Ask(bar=0, quantity=100, stop=103.00, limit=104.00),),
    ),
    Scenario(
        name="stop_limit_open_between",
        shows="The bar opens between the stop and the limit of a stop-limit.",
        bars=one(GAP_UP),
        steps=(Ask(bar=1, quantity=100, stop=103.00, limit=107.50),),
    ),
    Scenario(
        name="stop_limit_dip_after_gap",
        shows="The bar opens beyond the limit of a stop-limit and comes back to it.",
        bars=one(GAP_UP),
        steps=(Ask(bar=1, quantity=100, stop=103.00, limit=106.50),),
        settings={"nautilus_trader": {"touch_fills": True}},
    ),
    Scenario(
        name="bracket_stop_on_entry_bar",
        shows="The bar in which a bracket is entered at the open goes on to its stop.",
        bars=one(CALM),
        steps=(Ask(bar=2, quantity=100, take_profit=106.00, stop_loss=101.00),),
    ),
    Scenario(
        name="oco_breakout",
        shows="Of a buy stop above and a sell stop below the first that fills cancels the other.",
        bars=one(CALM),
        steps=(
            Ask(bar=0, quantity=100, stop=102.50, oco="breakout"),
            Ask(bar=0, quantity=-100, stop=98.80, oco="breakout"),
        ),
    ),
    Scenario(
        name="volume_participation_open",
        shows="Each part pays the open of its bar, not the limit.",
        bars=one(OPEN_IS_CLOSE),
        steps=(Ask(bar=0, quantity=700, limit=110.00),),
        participation=0.10,
    ),
    Scenario(
        name="gap_beyond_means",
        shows="An order that could be paid at the decision cannot be paid at the open it meets.",
        bars=one(GAP_UP),
        steps=(Ask(bar=2, quantity=98),),
        cash=10_000.0,
    ),
    Scenario(
        name="gap_beyond_cash",
        shows="The same in Fairlead's cash account, and the order lives for one session.",
        bars=one(GAP_UP),
        steps=(Ask(bar=2, quantity=98, day=True),),
        cash=10_000.0,
        account="cash",
        settings={"vectorbt": {"allow_partial": True}},
    ),
    Scenario(
        name="target_weights_gap",
        shows="Weights when the open is not the close they were decided on.",
        bars=one(CALM),
        steps=(Weights(bar=1, weights={"A": 0.5}),),
    ),
    Scenario(
        name="target_weights_reduced",
        shows="A weight is lowered, and what is left does not come out even.",
        bars={"A": SEAMLESS_A},
        steps=(Weights(bar=0, weights={"A": 0.5}), Weights(bar=2, weights={"A": 0.25})),
    ),
)

SCENARIOS = (*AGREEMENTS, *DIFFERENCES)
