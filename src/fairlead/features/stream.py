"""Live: all symbols of a slice brought up to date at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.core.errors import ConfigurationError, ContractError
from fairlead.features.plan import Request, make_plan
from fairlead.features.program import Program


class Stream:
    """The current values of features, for all symbols.

    Parameters
    ----------
    requests : mapping of str to str or (str, mapping)
        Label -> a feature's name, or its name and parameters.
    symbols : int
        How many there are.

    Attributes
    ----------
    plan : Plan
    state : float64 array of shape (symbols, state)
        All that the features remember; write into it to go on from a copy.

    Raises
    ------
    UnknownName, ConfigurationError
        If a request is wrong.
    """

    def __init__(self, requests: Mapping[str, Request], symbols: int) -> None:
        if symbols < 1:
            raise ConfigurationError.of("symbols", "be at least 1", symbols)
        self.plan = make_plan(requests)
        self._program = Program(self.plan)
        self._values = np.full((symbols, self.plan.width, 1), np.nan)  # per symbol a table of one bar
        self.state = self._program.new_state(symbols)
        self._torn = False

    @property
    def warm_up(self) -> int:
        """Slices without a value of some feature, if no bar is missing."""
        return max((node.warm_up for node in self.plan.nodes), default=0)

    def update(self, columns: Mapping[str, FloatArray]) -> None:
        """Take in one slice.

        Parameters
        ----------
        columns : mapping of str to float64 array of shape (symbols,)
            At least those in `plan.columns`; NaN for a symbol without a bar, whose features are NaN until its next one.

        Raises
        ------
        ContractError
            If a column is missing or of another length: nothing is taken in then. If a kernel has raised before: some features
            had then taken in their slice and others had not, and no value after it could be trusted.
        """
        self._check_whole()
        for name in self.plan.columns:
            shape = np.shape(columns[name]) if name in columns else None
            if shape != (len(self._values),):
                raise ContractError.of(f"columns[{name!r}]", f"have the shape ({len(self._values)},)", shape)
        for slot, name in enumerate(self.plan.columns):
            self._values[:, slot, 0] = columns[name]
        self._torn = True
        self._program.run(self.state, self._values)
        self._torn = False

    def values(self, label: str) -> FloatArray:
        """Return the current values, shape (symbols, outputs): a read-only view, overwritten by the next slice.

        Raises
        ------
        ConfigurationError
            If `label` was not asked for.
        ContractError
            If a kernel has raised.
        """
        self._check_whole()
        node = self.plan.asked.get(label)
        if node is None:
            raise ConfigurationError.of("label", f"be one of {sorted(self.plan.asked)}", label, "Ask for it in `requests`.")
        view = self._values[:, node.first : node.first + len(node.feature.outputs), 0]
        view.flags.writeable = False
        return view

    def _check_whole(self) -> None:
        if self._torn:
            raise ContractError(
                "a kernel of this stream raised in the middle of a slice, which some features took in and others did not. "
                "Make a new stream and warm it up."
            )
