"""Why an order does not leave: the one type that every check before an order returns."""

from __future__ import annotations

from typing import NamedTuple


class Rejection(NamedTuple):
    """Why an order was refused.

    Attributes
    ----------
    reason : str
        In snake case.
    measured, limit : float
        What broke which limit; NaN where there is no number.
    guard : str
        The id and the name of the guard or of the row of the validator that refused, such as ``G4 MaxDailyLoss``; empty for the
        limits that a strategy declares.
    """

    reason: str
    measured: float = float("nan")
    limit: float = float("nan")
    guard: str = ""

    @property
    def guard_id(self) -> str:
        """The id alone, such as ``G4``; empty if no guard refused."""
        return self.guard.partition(" ")[0]

    def __str__(self) -> str:
        if self.guard:
            is_number = self.measured == self.measured and self.limit == self.limit
            numbers = f" {self.measured:.6g}, limit {self.limit:.6g}" if is_number else ""
            return f"{self.guard}: {self.reason}{numbers}"
        return self.reason if self.limit != self.limit else f"{self.reason}: {self.measured:.6g} > {self.limit:.6g}"
