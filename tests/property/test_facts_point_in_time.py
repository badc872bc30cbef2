"""What was known then: against a plain search, and unchanged by everything that is published later."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import NS_PER_DAY, day_to_date, to_datetime
from fairlead.data.calendars import ExchangeCalendar
from fairlead.data.facts import Facts

FIRST = 16_000  # days since the epoch
HALF = NS_PER_DAY // 2
FIELDS = ("eps", "sector")
SYMBOLS = ("A", "B")

# Few distinct periods and publications, so that revisions, late and simultaneous publications are common.
keys = st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(FIELDS), st.integers(0, 3), st.integers(0, 20))
tables = st.dictionaries(keys, st.integers(1, 5), min_size=1, max_size=30)
splits = st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 20), st.sampled_from([0.5, 2.0, 4.0])), max_size=4)
# Publications are among them, so that 'at or before' is told from 'before'.
INSTANTS = np.arange(FIRST * NS_PER_DAY, (FIRST + 22) * NS_PER_DAY, HALF // 2)


def rows_of(table):
    """Period 10 k days before the start; publications every half day from the start on."""
    return [
        (symbol, field, value, FIRST - 10 * (3 - period) - 1, FIRST * NS_PER_DAY + half * HALF)
        for (symbol, field, period, half), value in table.items()
    ]


def facts_of(rows):
    return Facts.from_frame(
        pl.DataFrame(
            {
                "symbol": [row[0] for row in rows],
                "field": [row[1] for row in rows],
                "value": [f"sector {row[2]}" if row[1] == "sector" else str(float(row[2])) for row in rows],
                "period_end": [day_to_date(row[3]) for row in rows],
                "published": [to_datetime(row[4]) for row in rows],
            },
            schema_overrides={"published": pl.Datetime("us", "UTC"), "period_end": pl.Date},
        ),
        per_share=("eps",) if any(row[1] == "eps" for row in rows) else (),
    )


def actions_of(splits):
    return [CorporateAction(symbol, FIRST + day, ActionKind.SPLIT, value) for symbol, day, value in splits]


def slowly(rows, field, symbol, t, actions):
    """The definition, word for word."""
    public = [row for row in rows if row[0] == symbol and row[1] == field and row[4] <= t]
    if not public:
        return None
    newest = max(row[3] for row in public)
    _, _, value, _, published = max((row for row in public if row[3] == newest), key=lambda row: row[4])
    if field == "sector":
        return f"sector {value}"
    calendar = ExchangeCalendar.get("XNYS")
    for action in actions:
        session = calendar.sessions(action.ex_session, action.ex_session + 10)[:1]
        opening = int(calendar.bounds(session)[0][0])
        if action.symbol == symbol and published < opening <= t:
            value /= action.value
    return value


@settings(max_examples=60)
@given(tables, splits)
def test_every_answer_is_the_one_a_plain_search_gives(table, splits):
    rows, actions = rows_of(table), actions_of(splits)
    facts = facts_of(rows)
    for field in facts.fields:
        panel = facts.panel(field, SYMBOLS, INSTANTS, actions=actions)
        names = facts.categories(field)
        for column, symbol in enumerate(SYMBOLS):
            for t, value in zip(INSTANTS, panel[:, column], strict=True):
                expected = slowly(rows, field, symbol, t, actions)
                found = None if np.isnan(value) else names[int(value)] if names else value
                assert found == expected  # powers of two: no digit is lost


@settings(max_examples=60)
@given(tables, splits, st.integers(0, len(INSTANTS) - 1))
def test_what_is_published_later_never_changes_an_earlier_answer(table, splits, cut):
    facts, end = facts_of(rows_of(table)), int(INSTANTS[cut])
    past = INSTANTS[: cut + 1]
    actions = actions_of(splits)
    public = [action for action in actions if action.ex_session * NS_PER_DAY <= end]
    for field in facts.fields:
        full = facts.panel(field, SYMBOLS, INSTANTS, actions=actions)[: cut + 1]
        np.testing.assert_array_equal(facts.known_by(end).panel(field, SYMBOLS, past, actions=public), full)
        assert facts.categories(field)[: len(facts.known_by(end).categories(field))] == facts.known_by(end).categories(field)


@settings(max_examples=30)
@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_rows_means_nothing(table, random):
    rows = rows_of(table)
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert facts_of(rows).content_hash == facts_of(shuffled).content_hash
    for field in facts_of(rows).fields:
        np.testing.assert_array_equal(
            facts_of(rows).panel(field, SYMBOLS, INSTANTS), facts_of(shuffled).panel(field, SYMBOLS, INSTANTS)
        )
