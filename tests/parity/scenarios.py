"""Every scenario: those on which engines agree, and those that show where one of them decided otherwise."""

from __future__ import annotations

from parity.agreements import AGREEMENTS
from parity.paths import CALM, GAP_DOWN, GAP_UP, OPEN_IS_CLOSE, SEAMLESS_A, TOUCH, UP_AND_BACK, one
from parity.scenario import Ask, Scenario, Weights

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
