"""Fundamental features: their formulas, and their way from a publication to a number."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import date_to_day
from fairlead.data.facts import Facts
from fairlead.features import compute, compute_symbols

NAN = np.nan


@pytest.mark.parametrize(
    ("name", "columns", "expected"),
    [
        ("eps", {"fact.eps": [6.0, -2.0, NAN]}, [6.0, -2.0, NAN]),
        (
            "earnings_yield",
            {"fact.eps": [6.0, -2.0, 0.0, 6.0, NAN], "close": [120.0, 100.0, 50.0, 0.0, 9.0]},
            [0.05, -0.02, 0.0, NAN, NAN],
        ),
        (
            "price_to_earnings",
            {"fact.eps": [6.0, -2.0, 0.0, 6.0, NAN], "close": [120.0, 100.0, 50.0, 0.0, 9.0]},
            [20.0, NAN, NAN, NAN, NAN],
        ),
        ("book_to_price", {"fact.book_per_share": [30.0, -5.0, 30.0], "close": [120.0, 50.0, -1.0]}, [0.25, -0.1, NAN]),
        ("sector", {"fact.sector": [3.0, 0.0, NAN]}, [3.0, 0.0, NAN]),
    ],
)
def test_goldens(name, columns, expected):
    np.testing.assert_array_equal(compute(name, pd.DataFrame(columns)), expected)
    panel = {key: np.array([values]) for key, values in columns.items()}
    np.testing.assert_array_equal(compute_symbols({"it": name}, panel)["it"][0, 0], expected)


def test_price_to_earnings_changes_at_the_publication_and_not_at_the_split():
    """Apple in 2014: a report after the close of 23 April, and 7 for 1 on 9 June."""
    closes = {  # session: close as traded
        "2014-04-23": 524.75,
        "2014-04-24": 567.77,
        "2014-06-06": 645.57,
        "2014-06-09": 93.70,
    }
    known = pd.to_datetime(list(closes), utc=True) + pd.Timedelta(hours=20)
    rows = [
        ("AAPL", "eps", 14.50, "2013-12-31", "2014-01-27T21:30:00Z"),
        ("AAPL", "eps", 11.62, "2014-03-31", "2014-04-23T20:30:00Z"),
    ]
    facts = Facts.from_frame(pd.DataFrame(rows, columns=["symbol", "field", "value", "period_end", "published"]))
    split = CorporateAction("AAPL", date_to_day(dt.date(2014, 6, 9)), ActionKind.SPLIT, 7.0)
    eps = facts.asof("eps", "AAPL", known.to_numpy("datetime64[ns]").astype(np.int64), actions=[split])
    frame = pd.DataFrame({"close": closes.values(), "fact.eps": eps}, index=known)
    expected = [524.75 / 14.50, 567.77 / 11.62, 645.57 / 11.62, 93.70 / 1.66]
    np.testing.assert_allclose(compute("price_to_earnings", frame), expected, rtol=1e-12)
