"""Facts are known from their publication on, in the shares of the day, and held to their contract."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fairlead.core.errors import ConfigurationError, ContractError, DataError, DataNotFound, UnknownName
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import date_to_day, to_ns
from fairlead.data.facts import PER_SHARE, Facts

ROWS = [
    ("AAPL", "eps", 14.50, "2013-12-31", "2014-01-27T21:30:00Z"),
    ("AAPL", "eps", 11.62, "2014-03-31", "2014-04-23T20:30:00Z"),
    ("AAPL", "eps", 1.28, "2014-06-30", "2014-07-22T20:30:00Z"),
    ("MSFT", "eps", 0.68, "2014-03-31", "2014-04-24T20:15:00Z"),
]
NAMES = ("symbol", "field", "value", "period_end", "published")
SEVEN_FOR_ONE = CorporateAction("AAPL", date_to_day(dt.date(2014, 6, 9)), ActionKind.SPLIT, 7.0)
OPENING = "2014-06-09T13:30:00+00:00"


def frame(rows, library=pd):
    columns = {name: [row[i] for row in rows] for i, name in enumerate(NAMES)}
    return library.DataFrame(columns, strict=False) if library is pl else library.DataFrame(columns)


def facts(*rows, **given):
    return Facts.from_frame(frame(rows or ROWS), **given)


def at(*stamps):
    return np.array([to_ns(dt.datetime.fromisoformat(s)) for s in stamps], np.int64)


def known(table, stamp, field="eps", symbol="AAPL", **given):
    return table.asof(field, symbol, at(stamp), **given)[0]


def test_a_fact_is_known_from_the_very_instant_of_its_publication():
    """A bar that closes at that instant may use it: `known_ns` is when the bar itself became known."""
    stamps = at("2014-04-23T20:00:00Z", "2014-04-23T20:29:59.999999Z", "2014-04-23T20:30:00Z", "2014-04-24T20:00:00Z")
    np.testing.assert_array_equal(facts().asof("eps", "AAPL", stamps), [14.50, 14.50, 11.62, 11.62])
    np.testing.assert_array_equal(facts().asof("eps", "AAPL", at("2014-01-27T21:29:00Z")), [np.nan])


def test_instants_may_come_in_any_order():
    stamps = at("2014-08-01T00:00Z", "2014-01-01T00:00Z", "2014-05-01T00:00Z")
    np.testing.assert_array_equal(facts().asof("eps", "AAPL", stamps), [1.28, np.nan, 11.62])
    np.testing.assert_array_equal(facts().asof("eps", "AAPL", np.empty(0, np.int64)), [])


def test_a_revision_counts_from_its_own_publication():
    table = facts(*ROWS, ("AAPL", "eps", 11.50, "2014-03-31", "2014-05-20T12:00:00Z"))
    assert known(table, "2014-05-20T11:59:59Z") == 11.62
    assert known(table, "2014-05-20T12:00:00Z") == 11.50


def test_what_is_published_late_about_an_older_period_does_not_replace_a_newer_one():
    table = facts(*ROWS, ("AAPL", "eps", 14.00, "2013-12-31", "2014-05-20T12:00:00Z"))
    assert known(table, "2014-05-21T00:00Z") == 11.62


def test_of_two_periods_published_at_once_the_later_counts():
    rows = [("A", "eps", 2.0, "2014-06-30", "2014-08-01T00:00Z"), ("A", "eps", 1.0, "2014-03-31", "2014-08-01T00:00Z")]
    assert known(facts(*rows), "2014-08-01T00:00Z", symbol="A") == 2.0


def test_panel_has_one_column_per_symbol_and_nan_for_the_unknown():
    stamps = at("2014-04-24T20:00:00Z", "2014-04-25T20:00:00Z")
    expected = [[np.nan, np.nan, 11.62], [0.68, np.nan, 11.62]]
    np.testing.assert_array_equal(facts().panel("eps", ["MSFT", "SPY", "AAPL"], stamps), expected)
    assert facts().panel("eps", [], stamps).shape == (2, 0)


def test_earnings_per_share_are_restated_at_the_opening_of_the_ex_session():
    """Apple, 7 for 1 on 2014-06-09: 11.62 became 1.66; the next quarter's 1.28 was published in new shares."""
    table, given = facts(), {"actions": [SEVEN_FOR_ONE]}
    assert known(table, "2014-06-09T13:29:59Z", **given) == 11.62
    assert known(table, OPENING, **given) == 11.62 / 7.0
    assert known(table, "2014-07-22T20:29:59Z", **given) == pytest.approx(1.66, abs=1e-12)
    assert known(table, "2014-07-22T20:30:00Z", **given) == 1.28
    assert known(table, OPENING, symbol="MSFT", **given) == 0.68


def test_without_actions_values_are_as_published():
    assert known(facts(), OPENING) == 11.62


def test_splits_before_the_publication_do_nothing_and_several_multiply():
    day = date_to_day(dt.date(2014, 5, 1))
    splits = [
        CorporateAction("AAPL", day, ActionKind.SPLIT, 2.0),
        SEVEN_FOR_ONE,
        CorporateAction("AAPL", date_to_day(dt.date(2014, 4, 1)), ActionKind.SPLIT, 3.0),
    ]
    assert known(facts(), "2014-05-02T20:00Z", actions=splits) == 11.62 / 2.0
    assert known(facts(), "2014-06-10T20:00Z", actions=splits) == 11.62 / 14.0


def test_dividends_do_not_restate_and_other_fields_do_not_change():
    dividend = CorporateAction("AAPL", SEVEN_FOR_ONE.ex_session, ActionKind.DIVIDEND, 3.29)
    assert known(facts(), OPENING, actions=[dividend]) == 11.62
    shares = ("AAPL", "employees", 80_300.0, "2014-03-31", "2014-04-23T20:30:00Z")
    assert known(facts(*ROWS, shares), OPENING, field="employees", actions=[SEVEN_FOR_ONE]) == 80_300.0
    assert known(facts(per_share=()), OPENING, actions=[SEVEN_FOR_ONE]) == 11.62


def test_a_split_on_a_holiday_takes_effect_at_the_next_opening():
    """2014-07-04 is no session of XNYS; the next one opens on Monday."""
    split = [CorporateAction("AAPL", date_to_day(dt.date(2014, 7, 4)), ActionKind.SPLIT, 2.0)]
    assert known(facts(), "2014-07-07T13:29:59Z", actions=split) == 11.62
    assert known(facts(), "2014-07-07T13:30:00Z", actions=split) == 5.81
    assert known(facts(), "2014-07-04T00:00:00Z", actions=split, calendar="24/7") == 5.81


def test_fields_that_are_per_share_are_declared_or_known_by_their_name():
    assert facts().per_share == ("eps",)
    assert "eps" in PER_SHARE
    assert facts(("A", "cash", 1.0, "2014-03-31", "2014-05-01T00:00Z"), per_share=["cash"]).per_share == ("cash",)
    with pytest.raises(UnknownName, match="no fact named 'ebs'; did you mean 'eps'"):
        facts(per_share=["ebs"])
    with pytest.raises(ConfigurationError, match="'per_share' must name fields that hold numbers, was 'sector'"):
        facts(("A", "sector", "Energy", "2014-03-31", "2014-05-01T00:00Z"), per_share=["sector"])
    with pytest.raises(ConfigurationError, match=r"was 'eps'. Write \('eps',\)"):
        facts(per_share="eps")


SECTORS = [
    ("A", "sector", "Technology", "2014-01-01", "2014-01-02T00:00Z"),
    ("B", "sector", "Energy", "2014-01-01", "2014-01-02T00:00Z"),
    ("A", "sector", "Communication", "2018-09-28", "2018-09-28T20:00Z"),
]


def test_names_are_numbered_as_they_appear_so_that_later_ones_renumber_nothing():
    table = facts(*SECTORS)
    assert table.categories("sector") == ("Energy", "Technology", "Communication")
    np.testing.assert_array_equal(table.asof("sector", "A", at("2014-02-01T00:00Z", "2019-01-01T00:00Z")), [1.0, 2.0])
    early = table.known_by(at("2018-01-01T00:00Z")[0])
    assert early.categories("sector") == ("Energy", "Technology")
    assert facts().categories("eps") == ()


def test_known_by_leaves_what_was_public_and_every_field():
    early = facts(*ROWS).known_by(at("2014-04-23T20:30:00Z")[0])
    assert len(early) == 2
    assert early.symbols == ("AAPL",)
    none = early.known_by(0)
    assert none.fields == ("eps",)
    assert none.per_share == ("eps",)
    np.testing.assert_array_equal(none.asof("eps", "AAPL", at("2015-01-01T00:00Z")), [np.nan])


def test_what_is_there_and_what_is_not():
    table = facts(*ROWS, *SECTORS)
    assert table.fields == ("eps", "sector")
    assert table.symbols == ("A", "AAPL", "B", "MSFT")
    with pytest.raises(UnknownName, match="no fact named 'esp'; did you mean 'eps'"):
        table.asof("esp", "AAPL", at("2014-01-01T00:00Z"))
    with pytest.raises(UnknownName, match="no fact named 'x'"):
        table.categories("x")
    for wrong in (np.array([1.5]), np.array([[1]])):
        with pytest.raises(ConfigurationError, match="'known_ns' must be int64 nanoseconds"):
            table.asof("eps", "AAPL", wrong)


def test_the_hash_is_of_the_facts_and_not_of_their_form(tmp_path):
    rows = [*ROWS, *SECTORS]
    table = facts(*rows)
    texts = [tuple(map(str, row)) for row in rows]
    frame(texts, pl).write_csv(tmp_path / "facts.csv")
    frame(texts, pl).write_parquet(tmp_path / "facts.parquet")
    same = [
        facts(*reversed(rows)),
        Facts.from_frame(frame(texts, pl)),
        Facts.load(tmp_path / "facts.csv"),
        Facts.load(str(tmp_path / "facts.parquet")),
    ]
    assert {other.content_hash for other in same} == {table.content_hash}
    for i, value in enumerate(("MSFT", "cash", 1.0, "2013-12-30", "2014-01-28T21:30:00Z")):
        changed = (*ROWS[0][:i], value, *ROWS[0][i + 1 :])
        assert facts(changed, *rows[1:], per_share=["eps"]).content_hash != table.content_hash, NAMES[i]
    assert facts(*rows, per_share=()).content_hash != table.content_hash
    renamed = facts(*ROWS, *[(*row[:2], row[2] + "!", *row[3:]) for row in SECTORS])
    assert renamed.content_hash != table.content_hash


def test_stamps_and_dates_of_any_type_are_read(tmp_path):
    texts = frame(ROWS)
    typed = texts.assign(
        published=pd.to_datetime(texts["published"]).dt.tz_convert("America/New_York"),
        period_end=pd.to_datetime(texts["period_end"]),
    )
    polars = pl.from_pandas(typed).with_columns(pl.col("period_end").cast(pl.Date))
    for table in (Facts.from_frame(typed), Facts.from_frame(polars), Facts.from_frame(typed.rename(columns=str.upper))):
        assert table.content_hash == facts().content_hash
    typed.to_parquet(tmp_path / "typed.parquet")
    assert Facts.load(tmp_path / "typed.parquet").content_hash == facts().content_hash


GOOD = ROWS[0]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("published", "2014-01-27T21:30:00", "published: stamps' must carry a time zone.*tz_localize"),
        ("published", "2014-01-27", "row 0: published' must be an instant, not a date, was '2014-01-27'. If only the day"),
        ("published", dt.date(2014, 1, 27), "must be an instant, not a date"),
        ("published", 20140127, "must be an instant, not a date"),
        ("published", "soon", "published: stamp' must be a date or a time"),
        ("published", "2013-12-30T23:59:59Z", "not be before the end of the period, was '2013-12-30T23:59:59.*2013-12-31'"),
        ("period_end", "2013-12-31T12:00:00Z", "row 0: period_end' must be a date"),
        ("period_end", "Q4", "period_end: stamp' must be a date"),
        ("value", np.nan, "row 0: value' must be given"),
        ("value", np.inf, "row 0: value' must be finite"),
        ("value", "inf", "row 0: value' must be finite"),
        ("value", "  ", "row 0: value' must be given"),
        ("value", True, "value' must be numbers or names"),
        ("field", "EPS diluted", r"row 0: field' must match \^\[a-z\].*fact.<field>"),
        ("field", None, "row 0: field' must be given"),
        ("symbol", "BRK B", "row 0: 'symbol' must match"),
    ],
)
def test_what_the_contract_refuses(column, value, message):
    row = tuple(value if name == column else old for name, old in zip(NAMES, GOOD, strict=True))
    with pytest.raises(ContractError, match=message):
        facts(row)


def test_the_first_bad_row_is_named_by_its_line_in_a_file(tmp_path):
    path = tmp_path / "facts.csv"
    path.write_text(",".join(NAMES) + "\nA,eps,1,2014-03-31,2014-05-01T00:00:00Z\nA,eps,,2014-06-30,2014-08-01T00:00:00Z\n")
    with pytest.raises(ContractError, match=r"facts\.csv, line 3: value' must be given"):
        Facts.load(path)


def test_a_row_that_is_there_twice_is_refused_even_with_another_value():
    with pytest.raises(ContractError, match=r"AAPL eps of 2013-12-31 published 2014-01-27T21:30.*a revision has a later"):
        facts(GOOD, (*GOOD[:2], 15.0, *GOOD[3:]))


def test_a_name_among_numbers_is_refused():
    with pytest.raises(ContractError, match="row 1: value' must be a number, as others of its field are, was 'high'"):
        facts(GOOD, (*GOOD[:2], "high", *GOOD[3:4], "2014-01-28T00:00Z"))


def test_wrong_tables_and_files_are_refused(tmp_path):
    with pytest.raises(ContractError, match="'facts' must be a pandas or polars DataFrame, was 'list'"):
        Facts.from_frame(ROWS)
    with pytest.raises(ContractError, match="frame: columns' must have published"):
        Facts.from_frame(frame(ROWS).drop(columns="published"))
    with pytest.raises(DataNotFound, match="there is no file named"):
        Facts.load(tmp_path / "none.csv")
    for name in ("facts.txt", "facts.parquet"):
        (tmp_path / name).write_text("nothing")
    with pytest.raises(DataError, match=r"must end in one of \.csv"):
        Facts.load(tmp_path / "facts.txt")
    with pytest.raises(DataError, match="cannot be read"):
        Facts.load(tmp_path / "facts.parquet")


def test_an_empty_table_knows_nothing(tmp_path):
    (tmp_path / "facts.csv").write_text(",".join(NAMES) + "\n")
    empty = Facts.load(tmp_path / "facts.csv")
    assert (len(empty), empty.fields, empty.symbols) == (0, (), ())
    assert len(empty.content_hash) == 64
