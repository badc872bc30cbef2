"""Splits of history into training and test: walk-forward and K-fold, with purge and embargo (López de Prado 2018, chapter 7).

They speak the protocol of scikit-learn (`split(X, y=None, groups=None)`, `get_n_splits`) and need nothing of it, so they can be
given to its searches as ``cv``. A row is a session, or whatever else the caller counts.

*Purge.* A label that is formed over the `purge` rows after its own reaches into the test window if it stands that near before
it; such rows are removed from training. *Embargo.* Rows right after a test window still carry what happened in it; the first
`embargo` of them are removed from training.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fairlead.core.arrays import DayArray
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import day_to_date

IndexArray: TypeAlias = npt.NDArray[np.intp]

TRAIN_SESSIONS: Final = 504
TEST_SESSIONS: Final = 63


@dataclass(frozen=True, slots=True)
class Fold:
    """One training window and the test window after it, as sessions; both ends included.

    Parameters
    ----------
    number : int
        From 1.
    train_start, train_end, test_start, test_end : date
    train_sessions, test_sessions : int
        How many sessions each window has.
    """

    number: int
    train_start: dt.date
    train_end: dt.date
    test_start: dt.date
    test_end: dt.date
    train_sessions: int
    test_sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """Train on a window, test on the one after it, move on by the test window: each row after the first window is tested once.

    Parameters
    ----------
    train : int
        Rows before each test window, those that are purged included; of an anchored split, before the first.
    test : int
        Rows of a test window. The last may be shorter, so that nothing is left out.
    anchored : bool
        Training always begins with the first row, instead of moving along.
    purge : int
        Length of a label in rows: the last `purge` rows before the test window are removed from training.
    embargo : int
        The first `embargo` rows after a test window that ended before a training window begins are removed from the training.
        No test window lies before an anchored training window, so there it removes nothing.

    Raises
    ------
    ConfigurationError
        If a number is out of range, or purge and embargo leave no training.

    Examples
    --------
    >>> [(list(a), list(b)) for a, b in WalkForward(train=4, test=2, purge=1).split(range(8))]
    [([0, 1, 2], [4, 5]), ([2, 3, 4], [6, 7])]
    """

    train: int = TRAIN_SESSIONS
    test: int = TEST_SESSIONS
    anchored: bool = False
    purge: int = 0
    embargo: int = 0

    def __post_init__(self) -> None:
        for name, least in (("train", 1), ("test", 1), ("purge", 0), ("embargo", 0)):
            _check_count(name, getattr(self, name), least)
        lost = self.purge + (0 if self.anchored else self.embargo)
        if lost >= self.train:
            rule = f"be greater than purge and embargo together ({lost})"
            raise ConfigurationError.of("train", rule, self.train, "Train on more sessions, or remove fewer.")

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[IndexArray, IndexArray]]:  # noqa: ARG002, N803  scikit-learn's protocol
        """Yield the row numbers of training and test, fold by fold in order of time.

        Parameters
        ----------
        X : sized
            Only its length is read.
        y, groups : ignored

        Raises
        ------
        ConfigurationError
            If there are not enough rows for one fold.
        """
        for train, test in self._windows(len(X)):
            yield np.arange(train.start, train.stop), np.arange(test.start, test.stop)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002, N803  as in `split`
        """Return how many folds `split` yields for `X`, which must be given: it depends on the length.

        Raises
        ------
        ConfigurationError
            If `X` is None or too short.
        """
        if X is None:
            raise ConfigurationError.of("X", "be given, since the number of folds depends on its length", X)
        return len(self._windows(len(X)))

    def folds(self, sessions: DayArray | Sequence[int]) -> tuple[Fold, ...]:
        """Return the folds of a history as dates.

        Parameters
        ----------
        sessions : int32 array of shape (s,)
            Session dates in days since the epoch, strictly increasing.

        Raises
        ------
        ConfigurationError
            If there are too few, or they are not strictly increasing.
        """
        days = np.asarray(sessions)
        if np.any(np.diff(days) <= 0):
            raise ConfigurationError("'sessions' must be strictly increasing. Give each session once, in order.")

        def date(row: int) -> dt.date:
            return day_to_date(int(days[row]))

        return tuple(
            Fold(i, date(a.start), date(a.stop - 1), date(b.start), date(b.stop - 1), len(a), len(b))
            for i, (a, b) in enumerate(self._windows(len(days)), start=1)
        )

    def _windows(self, rows: int) -> list[tuple[range, range]]:
        if rows <= self.train:
            rule = f"be more than the {self.train} of the first training window"
            raise ConfigurationError.of("sessions", rule, rows, "Train on fewer, or choose more history.")
        windows = []
        for start in range(self.train, rows, self.test):
            first = 0 if self.anchored else start - self.train
            windows.append(
                (range(first + self._embargoed(first), start - self.purge), range(start, min(start + self.test, rows)))
            )
        return windows

    def _embargoed(self, first: int) -> int:
        """Return how many rows from `first` on lie in the embargo after the test window that ended last."""
        since_first_test = first - self.train
        if since_first_test < self.test:
            return 0
        # Test windows follow one another: the one that ended last did so where the one that `first` lies in began.
        return max(0, self.embargo - since_first_test % self.test)


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgedKFold:
    """Each of `n_splits` contiguous blocks is the test once; the rest is training, less what touches the test.

    Training lies before and after the test: it judges a model, which has no clock, and never a strategy that trades.

    Parameters
    ----------
    n_splits : int
        At least 2. The first blocks have one row more if they cannot be equal.
    purge : int
        Length of a label in rows: the label of row i is formed over rows i to i + purge. Rows whose label, or whose place among
        the labels of the test, overlaps it are removed.
    embargo : int
        So many further rows after the test, and after the end of its labels, are removed.

    Examples
    --------
    >>> [(list(a), list(b)) for a, b in PurgedKFold(n_splits=3, purge=1, embargo=1).split(range(9))][1]
    ([0, 1], [3, 4, 5, 8])
    """

    n_splits: int = 5
    purge: int = 0
    embargo: int = 0

    def __post_init__(self) -> None:
        for name, least in (("n_splits", 2), ("purge", 0), ("embargo", 0)):
            _check_count(name, getattr(self, name), least)

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[IndexArray, IndexArray]]:  # noqa: ARG002, N803  scikit-learn's protocol
        """Yield the row numbers of training and test, block by block; only the length of `X` is read.

        Raises
        ------
        ConfigurationError
            If there are fewer rows than blocks, or nothing is left to train on.
        """
        rows = np.arange(len(X))
        if len(rows) < self.n_splits:
            raise ConfigurationError.of("rows", f"be at least n_splits ({self.n_splits})", len(rows))
        for test in np.array_split(rows, self.n_splits):
            first, last = int(test[0]), int(test[-1])
            train = rows[(rows + self.purge < first) | (rows > last + self.purge + self.embargo)]
            if len(train) == 0:
                rule = "leave rows to train on"
                raise ConfigurationError.of("purge and embargo", rule, (self.purge, self.embargo), "Remove fewer.")
            yield train, test

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002, N803  as in `split`
        """Return `n_splits`."""
        return self.n_splits


def _check_count(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigurationError.of(name, f"be a whole number of at least {least}", value)
