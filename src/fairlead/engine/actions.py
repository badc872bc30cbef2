"""When a corporate action takes effect, and on which terms: what the loop asks before it changes orders and ledgers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from fairlead.core.bars import BarBlock, opening_price
from fairlead.core.errors import ConfigurationError, DataError
from fairlead.core.events import ActionKind, CorporateAction
from fairlead.core.time import day_to_date
from fairlead.engine.runner import StrategyRunner

_NO_MARK: Final = float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class OwedShares:
    """Shares of a spun-off child that has no price yet, and so cannot be held yet.

    Parameters
    ----------
    quantity : float
        Signed units of the child.
    """

    runner: StrategyRunner
    action: CorporateAction
    quantity: float

    @property
    def symbol(self) -> str:
        """What is waited for: the child."""
        return self.action.other


Entry: TypeAlias = CorporateAction | OwedShares
"""What is due."""


class Terms(NamedTuple):
    """What one unit of a symbol becomes.

    Attributes
    ----------
    ratio : float
        Units of the other symbol.
    cash : float
        In currency, where the symbol ends.
    fraction : float
        The part of the cost that goes to the other symbol.
    is_priced : bool
        Whether the other symbol can be valued, and so held.
    """

    ratio: float = 0.0
    cash: float = 0.0
    fraction: float = 0.0
    is_priced: bool = True


def part(due: Sequence[Entry], block: BarBlock, row: int) -> tuple[list[Entry], list[Entry]]:
    """Return what takes effect at a row and what waits, each in the order of `due`.

    Until the symbol trades again its mark is the price before the action, and so must the holding be. A new name, an acquirer
    and a child have to have a price before they can be held. What ends for cash ends at once, and takes along what still waits
    for it: a holder gets the last dividend.
    """
    ending = {
        entry.symbol: entry
        for entry in due
        if isinstance(entry, CorporateAction) and entry.ends_symbol and _met(entry, block, row)
    }
    ready: list[Entry] = []
    waiting: list[Entry] = []
    for entry in due:
        if _met(entry, block, row) or _is_taken_along(entry, ending, block, row):
            ready.append(entry)
        else:
            waiting += _after(entry, ending)
    return _in_order(ready), waiting


def _after(entry: Entry, ending: Mapping[str, CorporateAction]) -> list[Entry]:
    """Return what goes on waiting when symbols end: for the new name of a child, or no more for one that never had a price."""
    action = entry.action if isinstance(entry, OwedShares) else entry
    end = ending.get(action.other)
    if end is None:
        return [entry]
    if end.kind is not ActionKind.RENAME:
        return [] if action.kind is ActionKind.SPIN_OFF else [entry]
    follows = replace(action, other=end.other)
    return [replace(entry, action=follows) if isinstance(entry, OwedShares) else follows]


def _in_order(ready: list[Entry]) -> list[Entry]:
    """Put what hands out a symbol before what happens to it, so that the order of the columns decides nothing."""
    ordered: list[Entry] = []
    rest = ready
    while rest:
        handed_out = {entry.other for entry in rest if isinstance(entry, CorporateAction) and entry.other}
        if not handed_out:
            return ordered + rest
        free = [entry for entry in rest if entry.symbol not in handed_out] or rest
        ordered += free
        rest = [entry for entry in rest if all(entry is not done for done in free)]
    return ordered


def _met(entry: Entry, block: BarBlock, row: int) -> bool:
    awaited = entry.symbol
    if isinstance(entry, CorporateAction) and entry.ends_symbol:
        if not entry.other:
            return True
        awaited = entry.other
    return not np.isnan(block.close[row, block.columns[awaited]])


def _is_taken_along(entry: Entry, ending: Mapping[str, CorporateAction], block: BarBlock, row: int) -> bool:
    if not ending or not isinstance(entry, CorporateAction):
        return False
    if not entry.other:
        return entry.symbol in ending
    is_priced = not np.isnan(block.mark[row, block.columns[entry.other]])
    end = ending.get(entry.other)
    other_ends = end is not None and end.kind is not ActionKind.RENAME
    if entry.kind is ActionKind.SPIN_OFF:
        return entry.symbol in ending or (other_ends and is_priced)
    return is_priced and (entry.symbol in ending or other_ends)


def check_actions(actions: Iterable[CorporateAction], symbols: Sequence[str]) -> None:
    """Refuse a run whose holdings could turn into shares that it has no prices of.

    Raises
    ------
    ConfigurationError
        Naming the first action that hands out a symbol outside the run.
    """
    for action in actions:
        if action.other and action.other not in symbols:
            remedy = f"Add {action.other} to the symbols."
            if action.kind is not ActionKind.RENAME:
                remedy += " If it has no prices, state what its shares were worth in cash instead."
            where = f"{action.symbol} {action.kind} on {day_to_date(action.ex_session)}"
            raise ConfigurationError.of(where, "hand out shares of a symbol of the run", action.other, remedy)


def check_other(action: CorporateAction, gone: Mapping[str, str]) -> None:
    """Refuse an action that hands out what is no more.

    Raises
    ------
    DataError
        If the other symbol was merged, renamed or delisted before.
    """
    if action.other in gone:
        raise DataError.of(
            f"{action.symbol} {action.kind} on {day_to_date(action.ex_session)}",
            "hand out shares that can be held",
            f"{action.other}, {gone[action.other]} before",
            "Correct the actions of the two symbols; a ticker that was given to another company needs a symbol of its own.",
        )


def terms_of(action: CorporateAction, block: BarBlock, row: int, applied: Sequence[CorporateAction]) -> Terms:
    """Return the terms of an action at the row in which it takes effect, from its own numbers and opening prices.

    Parameters
    ----------
    applied : sequence of CorporateAction
        What took effect so far, in that order: a split of a symbol that had no bar since makes its last price an old one.

    Raises
    ------
    DataError
        If a new name has traded before.
    """
    kind = action.kind
    if kind is ActionKind.SPIN_OFF:
        return _spin_off(action, block, row)
    if kind is ActionKind.RENAME:
        _check_new_name(action, block, row)
        return Terms(1.0, 0.0, 1.0)
    if kind is ActionKind.MERGER:
        cash = action.cash or 0.0
        worth = action.value * _price(action.other, block, row) if action.value else 0.0
        return Terms(action.value, cash, worth / (worth + cash))
    if kind is ActionKind.DELISTING:
        return Terms(cash=_last_price(action, block, row, applied) if action.cash is None else action.cash)
    return Terms()


def _spin_off(action: CorporateAction, block: BarBlock, row: int) -> Terms:
    child = block.columns[action.other]
    if np.isnan(block.mark[row, child]):
        return Terms(action.value, is_priced=False)
    if action.basis is not None:
        return Terms(action.value, 0.0, action.basis)
    worth = action.value * _price(action.other, block, row)
    return Terms(action.value, 0.0, worth / (worth + _price(action.symbol, block, row)))


def _price(symbol: str, block: BarBlock, row: int) -> float:
    column = block.columns[symbol]
    before = block.mark[row - 1] if row > 0 else block.mark[row]
    return opening_price(column, block.open[row], before)


def _last_price(action: CorporateAction, block: BarBlock, row: int, applied: Sequence[CorporateAction]) -> float:
    column = block.columns[action.symbol]
    last = row - 1
    while last >= 0 and np.isnan(block.close[last, column]):
        last -= 1
    if last < 0:
        return float(block.mark[max(row - 1, 0), column])
    factor = 1.0
    for earlier in applied:
        if earlier.symbol == action.symbol and earlier.ex_session > int(block.session[last]):
            factor *= earlier.share_factor
    return float(block.close[last, column]) / factor


def _check_new_name(action: CorporateAction, block: BarBlock, row: int) -> None:
    before = block.mark[row - 1, block.columns[action.other]] if row > 0 else _NO_MARK
    if before == before:
        day = day_to_date(action.ex_session)
        raise DataError.of(
            f"{action.other}, the new name of {action.symbol} from {day} on",
            "have no earlier bar",
            float(before),
            "Date the rename with its first bar; if another company had the name before, give that one another symbol.",
        )
