"""Current feature values: `context.features`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.core.bars import Cursor
from fairlead.core.errors import UnknownName

FeatureRequest: TypeAlias = "str | tuple[str, Mapping[str, Any]]"
"""A feature's name, or its name and parameters."""


class FeatureView:
    """The features that a strategy has declared, as they stand at the current instant.

    Parameters
    ----------
    cursor : Cursor
        Where the run stands.
    outputs : mapping of str to sequence of str
        Label -> names of its outputs.
    """

    __slots__ = ("_arrays", "_cursor", "_fast", "_outputs", "_start")

    def __init__(self, cursor: Cursor, outputs: Mapping[str, Sequence[str]] | None = None) -> None:
        self._cursor = cursor
        self._outputs = dict(outputs or {})
        self._arrays: dict[tuple[str, str], FloatArray] = {}
        self._fast: dict[tuple[str, str], memoryview] = {}
        self._start = 0
        nothing = np.full((1, len(cursor.block.symbols)), np.nan)
        self.enter({label: [nothing] * len(names) for label, names in self._outputs.items()}, 0)

    def enter(self, values: Mapping[str, Sequence[FloatArray]], start: int) -> None:
        """Take in the values of a block; called by whoever drives the strategy.

        Parameters
        ----------
        values : mapping of str to sequence of float64 arrays of shape (rows, symbols)
            Label -> one array per output.
        start : int
            The row of the block to which their first rows belong.
        """
        arrays = {
            (label, name): array
            for label, names in self._outputs.items()
            for name, array in zip(names, values[label], strict=True)
        }
        arrays |= {(label, ""): values[label][0] for label in self._outputs}
        self._arrays, self._start = arrays, start
        # A number out of a memoryview costs a third of one out of an array.
        self._fast = {key: memoryview(array) for key, array in arrays.items()}  # type: ignore[arg-type]  # an array is a buffer

    def get(self, name: str, symbol: str, output: str = "") -> float:
        """Return the current value of a declared feature.

        Parameters
        ----------
        name : str
            As declared in `Strategy.required_features`.
        symbol : str
        output : str
            Which output; the first one if not given.

        Returns
        -------
        float
            In units of today where it is a price or a volume. NaN while the feature is not warm, and where the symbol has no
            bar at this instant.

        Raises
        ------
        UnknownName
            If the feature was not declared, or has no such output.
        DataNotFound
            If the run has no such symbol.
        """
        cursor = self._cursor
        values = self._fast.get((name, output))
        if values is None:
            raise self._unknown(name, output)
        value: float = values[cursor.row - self._start, cursor.block.column(symbol)]
        return value

    def row(self, name: str, output: str = "") -> FloatArray:
        """Return the current values of all symbols, shape (k,) in the order of `context.symbols`; see `get`."""
        values = self._arrays.get((name, output))
        if values is None:
            raise self._unknown(name, output)
        row: FloatArray = values[self._cursor.row - self._start].copy()
        return row

    def _unknown(self, name: str, output: str) -> UnknownName:
        if name in self._outputs:
            return UnknownName.among(f"output of feature {name!r}", output, self._outputs[name])
        remedy = "Declare it in `features` or return it from `required_features()`: what is not declared is not computed."
        return UnknownName.among("declared feature", name, self._outputs, remedy)
