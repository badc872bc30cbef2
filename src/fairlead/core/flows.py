"""Worth net of the money that came in and went out: what a book would be worth on the capital that it began with.

It is the method of time-weighted returns: just before money comes or goes the book is valued, and from there on it counts in
proportion. A cash flow is neither profit nor loss then, and a loss in percent is one of what is there when it is made.
"""

from __future__ import annotations

from typing import TypeVar

from fairlead.core.arrays import FloatArray

Worth = TypeVar("Worth", float, FloatArray)


class NetOfFlows:
    """Turns what a book is worth into what it would be worth had no money been paid in or taken out.

    Attributes
    ----------
    level, base, offset : float
        Net worth is `level` times what the book is worth above `offset`, divided by `base`. At first they are 1, 1 and 0, and
        nothing is rounded; then `level` is the net worth at the last flow, and `base` what the book was worth just after it.
    """

    __slots__ = ("base", "level", "offset")

    def __init__(self, level: float = 1.0, base: float = 1.0, offset: float = 0.0) -> None:
        self.level, self.base, self.offset = level, base, offset

    def of(self, worth: Worth) -> Worth:
        """Return the net worth of a book that is worth so much now, in currency."""
        return self.level * ((worth - self.offset) / self.base)

    def paid(self, before: float, after: float) -> None:
        """Take in a cash flow, which changes no net worth.

        Parameters
        ----------
        before, after : float
            What the book was worth just before it and just after it, in currency.
        """
        level = self.of(before)
        if level > 0.0 and after > 0.0:
            self.level, self.base, self.offset = level, after, 0.0
        else:
            # A book that has been emptied stays where it was until there is money in it again. One that has lost everything
            # grows by nothing that is paid in.
            self.offset += after - before
