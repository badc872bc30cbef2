"""What companies publish, as it was known: each input is the last value that was public when the bar closed."""

from __future__ import annotations

from fairlead.core.arrays import FloatArray
from fairlead.features.definition import Output, feature


@feature(
    "eps",
    inputs=("fact.eps",),
    outputs=(Output(unit="price"),),
    formula="earnings per share E_t, as last published, in the shares of the price",
)
def eps(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Earnings per share."""
    outputs[0] = inputs[0]


@feature(
    "earnings_yield",
    inputs=("fact.eps", "close"),
    formula="E_t / P_t; a non-positive price gives NaN",
    reference="Basu 1977",
)
def earnings_yield(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Earnings as a share of the price: unlike its inverse it has a meaning for a loss too."""
    if inputs[1] > 0.0:
        outputs[0] = inputs[0] / inputs[1]


@feature(
    "price_to_earnings",
    inputs=("close", "fact.eps"),
    outputs=(Output(low=0.0),),
    formula="P_t / E_t; a non-positive price, and earnings that are zero or negative, give NaN",
)
def price_to_earnings(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """How many times its earnings a share costs."""
    if inputs[0] > 0.0 and inputs[1] > 0.0:
        outputs[0] = inputs[0] / inputs[1]


@feature(
    "book_to_price",
    inputs=("fact.book_per_share", "close"),
    formula="B_t / P_t, B being book value per share; a non-positive price gives NaN",
    reference="Fama and French 1992",
)
def book_to_price(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Book value as a share of the price; negative where debts exceed assets."""
    if inputs[1] > 0.0:
        outputs[0] = inputs[0] / inputs[1]


@feature(
    "sector",
    inputs=("fact.sector",),
    outputs=(Output(low=0.0),),
    formula="number of the sector, as last published: its place in Facts.categories('sector')",
)
def sector(state: FloatArray, params: FloatArray, inputs: FloatArray, outputs: FloatArray) -> None:  # noqa: ARG001  one signature
    """Sector as a number: two of them are the same or not, nothing else."""
    outputs[0] = inputs[0]
