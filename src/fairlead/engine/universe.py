"""The universe of a run: what `context.universe` says at the current instant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from fairlead.core.arrays import BoolArray
from fairlead.core.bars import BarBlock, Cursor
from fairlead.data.liquidity import Liquidity, LiquidityScreen
from fairlead.data.source import DataSource

if TYPE_CHECKING:
    from fairlead.data.universe import Universe


class UniverseSettings(Liquidity):
    """The ``universe`` section of a configuration; without it a run's universe is all its symbols.

    Parameters
    ----------
    path : str, optional
        File of names with entry and exit dates; see `Universe.load`. None: every symbol belongs.
    min_dollar_volume, sessions, min_price, min_history
        See `Liquidity`.
    """

    path: str | None = Field(default=None, min_length=1)


class RunUniverse:
    """Which of a run's symbols may be chosen, session by session.

    Parameters
    ----------
    symbols : tuple of str
        Of the run.
    cursor : Cursor
        Where it stands.
    listed : Universe, optional
        None: every symbol belongs.
    screen : LiquidityScreen, optional
    """

    def __init__(
        self, symbols: tuple[str, ...], cursor: Cursor, listed: Universe | None, screen: LiquidityScreen | None
    ) -> None:
        self._symbols = symbols
        self._cursor = cursor
        self._listed = listed
        self._screen = screen
        self._passing: Mapping[int, BoolArray] = {}
        self._members: tuple[int, tuple[str, ...]] | None = None

    @classmethod
    def of(
        cls, source: DataSource, first: BarBlock, cursor: Cursor, listed: Universe | None, rules: Liquidity | None
    ) -> RunUniverse:
        """Return the universe of a run that begins with `first`, its filter warmed up on all that came before."""
        screen = None
        if rules is not None and not rules.is_open:
            screen = LiquidityScreen(rules, len(source.symbols))
            whole = source.whole()
            if whole is not source:
                _warm(screen, whole, int(first.known_ns[first.start]))
        return cls(source.symbols, cursor, listed, screen)

    def enter(self, block: BarBlock) -> None:
        """Take in the delivered rows of the block that follows."""
        if self._screen is not None:
            self._passing = self._screen.advance(block, block.start, len(block))
            self._members = None

    def members(self) -> tuple[str, ...]:
        """Return the symbols that may be chosen now, in the order of the run's."""
        if self._listed is None and self._screen is None:
            return self._symbols
        block, row = self._cursor.block, self._cursor.row
        session = int(block.session[row])
        if self._members is None or self._members[0] != session:
            self._members = (session, self._find(session))
        return self._members[1]

    def _find(self, session: int) -> tuple[str, ...]:
        inside = np.ones(len(self._symbols), np.bool_)
        if self._listed is not None:
            inside = self._listed.mask(self._symbols, np.array([session], np.int32))[0]
        if self._screen is not None:
            # Before the first block what is over by then decides.
            passing = self._passing.get(session)
            inside = inside & (self._screen.passing() if passing is None else passing)
        return tuple(symbol for symbol, belongs in zip(self._symbols, inside.tolist(), strict=True) if belongs)


def _warm(screen: LiquidityScreen, whole: DataSource, until_ns: int) -> None:
    for block in whole.blocks(carry=0):
        stop = int(np.searchsorted(block.known_ns, until_ns))
        screen.advance(block, block.start, stop)
        if stop < len(block):
            return
