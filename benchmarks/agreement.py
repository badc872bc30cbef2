"""Whether two engines came to the same: nothing is timed against anything before they did.

An outcome is what `peers/protocol.py` tells. Of a run it is the fills, as bar, column, signed quantity and price, and the final
equity; of a sweep the number of fills of each parameter set and its final equity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from reference import TOLERANCE


class Outcome(NamedTuple):
    """What an engine came to.

    Parameters
    ----------
    fills : list
        Of a run: one entry a fill, in any order. Of a sweep: a number a parameter set, None where it was not counted.
    equity : float or list of float
        Final equity in currency, of the run or of each parameter set.
    """

    fills: Sequence[Any]
    equity: Any


def disagreement(found: Outcome, wanted: Outcome) -> str:
    """Return how one outcome differs from another, with numbers; empty if it does not.

    Quantities are compared exactly, prices and equity to a relative 1e-9: engines sum in another order, and some work a price
    out again from what was paid.
    """
    if isinstance(wanted.equity, list):
        return "; ".join(part for part in (_counts(found, wanted), _equities(found.equity, wanted.equity)) if part)
    return "; ".join(part for part in (_fills(found.fills, wanted.fills), _equity(found.equity, wanted.equity)) if part)


def _is_close(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= TOLERANCE * abs(wanted)


def _fills(found: Sequence[Any], wanted: Sequence[Any]) -> str:
    ours, theirs = (sorted(tuple(fill) for fill in fills) for fills in (wanted, found))
    other = next((pair for pair in zip(theirs, ours, strict=False) if not _same_fill(*pair)), None)
    told = [f"{len(theirs):,} fills, not {len(ours):,}"] if len(theirs) != len(ours) else []
    if other:
        told.append("the first other fill is {}, not {}".format(*(_say(fill) for fill in other)))
    return ", ".join(told)


def _same_fill(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return one[:3] == other[:3] and _is_close(one[3], other[3])


def _say(fill: tuple[Any, ...]) -> str:
    bar, column, quantity, price = fill
    return f"{quantity:+g} of column {column} at bar {bar} for {price!r}"


def _equity(found: float, wanted: float) -> str:
    if _is_close(found, wanted):
        return ""
    return f"final equity is {found:,.4f}, not {wanted:,.4f} ({found - wanted:+,.4f}, {(found - wanted) / wanted:+.2e})"


def _counts(found: Outcome, wanted: Outcome) -> str:
    if len(found.fills) != len(wanted.fills):
        return f"{len(found.fills)} parameter sets, not {len(wanted.fills)}"
    known = [(one, other) for one, other in zip(found.fills, wanted.fills, strict=True) if one is not None]
    wrong = [pair for pair in known if pair[0] != pair[1]]
    if not wrong:
        return ""
    return f"{len(wrong)} of {len(known)} numbers of fills differ, the first is {wrong[0][0]}, not {wrong[0][1]}"


def _equities(found: Sequence[float], wanted: Sequence[float]) -> str:
    pairs = list(zip(found, wanted, strict=False))
    wrong = [pair for pair in pairs if not _is_close(*pair)]
    if not wrong:
        return ""
    most = max((abs(one - other) for one, other in wrong))
    return f"{len(wrong)} of {len(pairs)} final equities differ, by up to {most:,.4f}"
