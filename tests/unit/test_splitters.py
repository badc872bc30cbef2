"""Splitters: goldens by hand, and what must hold of any split."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.backtest.splitters import Fold, PurgedKFold, WalkForward
from fairlead.core.errors import ConfigurationError


def listed(splitter, rows):
    return [(train.tolist(), test.tolist()) for train, test in splitter.split(range(rows))]


# --------------------------------------------------------------------------------------------------------------- walk-forward


def test_a_rolling_window_moves_by_the_test():
    """Ten rows, four to train, three to test: the windows by hand."""
    assert listed(WalkForward(train=4, test=3), 10) == [
        ([0, 1, 2, 3], [4, 5, 6]),
        ([3, 4, 5, 6], [7, 8, 9]),
    ]


def test_an_anchored_window_grows():
    """Training begins with the first row in every fold."""
    assert listed(WalkForward(train=4, test=3, anchored=True), 10) == [
        ([0, 1, 2, 3], [4, 5, 6]),
        ([0, 1, 2, 3, 4, 5, 6], [7, 8, 9]),
    ]


def test_the_last_test_may_be_short():
    """The tail is tested, not dropped."""
    assert listed(WalkForward(train=4, test=3), 9)[-1] == ([3, 4, 5, 6], [7, 8])


def test_a_label_that_reaches_into_the_test_is_purged():
    """A label over two rows: rows 2 and 3 would be labelled with rows 4 and 5, which are tested."""
    assert listed(WalkForward(train=4, test=3, purge=2), 10) == [([0, 1], [4, 5, 6]), ([3, 4], [7, 8, 9])]


def test_no_training_begins_within_the_embargo_after_an_earlier_test():
    """Tests end at rows 5, 8, 11: the training that begins at row 6 waits two rows, and so does the one at row 9."""
    assert [train for train, _ in listed(WalkForward(train=3, test=3, embargo=2), 15)] == [[0, 1, 2], [3, 4, 5], [8], [11]]


def test_a_training_that_begins_inside_a_test_window_waits_for_the_rest_of_the_embargo():
    """Tests are rows 5 and 6, 7 and 8, ...; rows 7 to 9 are the embargo of the first: the training from row 8 begins at 10.

    The training from row 6 begins within the first test, so no test lies before it.
    """
    assert [train[0] for train, _ in listed(WalkForward(train=5, test=2, embargo=3), 15)] == [0, 2, 4, 6, 10]


def test_an_anchored_split_has_no_embargo():
    """No test lies before its training."""
    plain, held = WalkForward(train=4, test=3, anchored=True), WalkForward(train=4, test=3, anchored=True, embargo=3)
    assert listed(plain, 20) == listed(held, 20)


def test_folds_are_sessions_not_calendar_days():
    """The dates of a fold are those of its first and last session; a weekend between is no session."""
    monday = 19_723  # 2024-01-01
    sessions = [monday + 7 * week + day for week in range(2) for day in range(5)]
    assert WalkForward(train=4, test=3, purge=1).folds(np.array(sessions, np.int32)) == (
        Fold(1, dt.date(2024, 1, 1), dt.date(2024, 1, 3), dt.date(2024, 1, 5), dt.date(2024, 1, 9), 3, 3),
        Fold(2, dt.date(2024, 1, 4), dt.date(2024, 1, 8), dt.date(2024, 1, 10), dt.date(2024, 1, 12), 3, 3),
    )


@pytest.mark.parametrize("sessions", [[1, 2, 2, 3, 4, 5, 6], [1, 3, 2, 4, 5, 6, 7]])
def test_sessions_must_increase(sessions):
    """A session given twice would be tested twice."""
    with pytest.raises(ConfigurationError, match="strictly increasing"):
        WalkForward(train=4, test=2).folds(sessions)


@st.composite
def walks(draw):
    train = draw(st.integers(1, 30))
    purge = draw(st.integers(0, train - 1))
    embargo = draw(st.integers(0, train - 1 - purge))
    anchored = draw(st.booleans())
    splitter = WalkForward(train=train, test=draw(st.integers(1, 20)), anchored=anchored, purge=purge, embargo=embargo)
    return splitter, draw(st.integers(train + 1, 120))


@given(walks())
def test_what_holds_of_every_walk_forward(walk):
    """Tests cover the span once, in order; training lies before the test by more than a label, and outside every embargo."""
    splitter, rows = walk
    folds = list(splitter.split(range(rows)))
    assert len(folds) == splitter.get_n_splits(range(rows))
    assert np.concatenate([test for _, test in folds]).tolist() == list(range(splitter.train, rows))
    assert [len(test) for _, test in folds[:-1]] == [splitter.test] * (len(folds) - 1)
    over: list[int] = []
    for train, test in folds:
        assert len(train) > 0
        assert np.all(np.diff(train) == 1)
        assert train[-1] + splitter.purge + 1 == test[0]
        assert len(train) <= (test[0] if splitter.anchored else splitter.train)
        nominal = 0 if splitter.anchored else int(test[0]) - splitter.train
        held = {row for end in over if end < nominal for row in range(end + 1, end + splitter.embargo + 1)}
        assert train.tolist() == [row for row in range(nominal, int(test[0]) - splitter.purge) if row not in held]
        over.append(int(test[-1]))


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"train": 0}, "'train' must be a whole number of at least 1, was 0"),
        ({"test": 0}, "'test' must be a whole number of at least 1"),
        ({"test": 2.5}, "'test' must be a whole number"),
        ({"train": True}, "'train' must be a whole number"),
        ({"purge": -1}, "'purge' must be a whole number of at least 0"),
        ({"embargo": -1}, "'embargo' must be"),
        ({"train": 10, "purge": 10}, r"greater than purge and embargo together \(10\), was 10"),
        ({"train": 10, "purge": 5, "embargo": 5}, r"greater than purge and embargo together \(10\)"),
    ],
)
def test_impossible_windows_are_refused(settings, text):
    """What leaves no training, or is no count, is told at once."""
    with pytest.raises(ConfigurationError, match=text):
        WalkForward(**settings)


def test_an_anchored_window_may_have_any_embargo():
    """It removes nothing there, so it cannot use up the training."""
    assert WalkForward(train=5, test=1, anchored=True, embargo=9).get_n_splits(range(6)) == 1


def test_too_few_sessions_are_refused():
    """One more than the first training window is the least."""
    splitter = WalkForward(train=4, test=3)
    assert splitter.get_n_splits(range(5)) == 1
    with pytest.raises(ConfigurationError, match="'sessions' must be more than the 4 of the first training window, was 4"):
        list(splitter.split(range(4)))
    with pytest.raises(ConfigurationError, match="'X' must be given"):
        splitter.get_n_splits()


# --------------------------------------------------------------------------------------------------------------- purged K-fold


def test_k_fold_purges_on_both_sides_and_embargoes_after():
    """Nine rows in three: labels reach one row, and one more is held back after the test."""
    assert listed(PurgedKFold(n_splits=3, purge=1, embargo=1), 9) == [
        ([5, 6, 7, 8], [0, 1, 2]),
        ([0, 1, 8], [3, 4, 5]),
        ([0, 1, 2, 3, 4], [6, 7, 8]),
    ]


@given(st.integers(2, 8), st.integers(0, 5), st.integers(0, 5), st.integers(40, 90))
def test_what_holds_of_every_purged_k_fold(folds, purge, embargo, rows):
    """Each row is tested once; no label of training overlaps one of the test; the embargo is free; nothing else is removed."""
    splitter = PurgedKFold(n_splits=folds, purge=purge, embargo=embargo)
    found = list(splitter.split(np.zeros((rows, 2))))
    assert len(found) == splitter.get_n_splits() == folds
    assert np.concatenate([test for _, test in found]).tolist() == list(range(rows))
    for train, test in found:
        labels_of_test = {row + ahead for row in test.tolist() for ahead in range(purge + 1)}
        beyond = range(int(test[-1]) + purge + 1, int(test[-1]) + purge + embargo + 1)
        kept = [r for r in range(rows) if labels_of_test.isdisjoint(range(r, r + purge + 1)) and r not in beyond]
        assert train.tolist() == kept


def test_k_fold_refuses_what_cannot_be():
    """Too few rows, one block, or nothing left to train on."""
    with pytest.raises(ConfigurationError, match=r"'rows' must be at least n_splits \(5\), was 4"):
        list(PurgedKFold().split(range(4)))
    with pytest.raises(ConfigurationError, match="'n_splits' must be a whole number of at least 2"):
        PurgedKFold(n_splits=1)
    with pytest.raises(ConfigurationError, match="leave rows to train on"):
        list(PurgedKFold(n_splits=2, purge=9).split(range(10)))


def test_they_speak_the_protocol_of_scikit_learn():
    """split(X, y, groups) and get_n_splits(X, y, groups), positional and by name, with arrays of whole numbers."""
    X = np.zeros((12, 3))  # noqa: N806  scikit-learn's name
    for splitter in (WalkForward(train=4, test=4), PurgedKFold(n_splits=3)):
        found = list(splitter.split(X, None, None))
        assert len(found) == splitter.get_n_splits(X=X, y=None, groups=None)
        assert all(part.dtype.kind == "i" and X[part].shape[1] == 3 for pair in found for part in pair)
