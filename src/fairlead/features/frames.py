"""Features of a pandas or polars frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairlead.contracts.frames.reading import library_of
from fairlead.core.arrays import FloatArray
from fairlead.core.errors import ContractError
from fairlead.features.frame_columns import read_columns
from fairlead.features.plan import make_plan
from fairlead.features.program import Program


def compute(name: str, frame: Any, *, calendar: str = "XNYS", **params: Any) -> Any:
    """Return a feature of one symbol's bars.

    Parameters
    ----------
    name : str
        A shipped feature, an entry point of ``fairlead.features``, or ``package.module:NAME``.
    frame : pandas.DataFrame or polars.DataFrame
        Bars, or quotes, the oldest first. Column names may have any letter case; only those that the feature reads must be
        there. A feature of sessions reads the stamps: a pandas DatetimeIndex, or a column such as ``ts``, with a time zone.
    calendar : str
        Exchange whose sessions intraday stamps lie in. Stamps that are all at midnight of their zone are daily bars, and their
        dates the sessions.
    **params
        The feature's parameters; a look-back length is called ``n``.

    Returns
    -------
    Series or DataFrame
        Of the library of `frame`: a series called `name`, or one column per output where the feature has several. pandas keeps
        the index; polars keeps the order of rows. NaN where there is no value: at the start, where an input is missing, and
        where the definition has none. A frame that is too short gives NaN throughout.

    Raises
    ------
    UnknownName
        If the feature, a parameter or the calendar is not known.
    ConfigurationError
        If a parameter is out of range.
    ContractError
        If the feature compares symbols; if `frame` is no such frame, lacks a column, holds text for numbers, several symbols,
        or rows that are not in order; for a feature of sessions, if stamps are missing, have no time zone, or lie outside the
        sessions of `calendar`.
    DataError
        If the calendar is not known for these dates.
    """
    plan = make_plan({name: (name, params)})
    if plan.compares_symbols:
        rule = "be one of a symbol by itself, as a frame holds one"
        raise ContractError.of("name", rule, name, "Use fairlead.features.compute_symbols, with all symbols.")
    columns = read_columns(frame, plan.columns, calendar)
    table = np.empty((plan.width, len(frame)))
    for slot, column in enumerate(plan.columns):
        table[slot] = columns[column]
    program = Program(plan)
    program.run(program.new_state(1), table[None])
    node = plan.asked[name]
    outputs = [output.name for output in node.feature.outputs]
    return _as_frame(frame, name, dict(zip(outputs, table[node.first :], strict=False)))


def _as_frame(frame: Any, name: str, values: dict[str, FloatArray]) -> Any:
    if library_of(frame) == "pandas":
        import pandas as pd  # noqa: PLC0415  only for a caller who has imported it

        if len(values) == 1:
            return pd.Series(next(iter(values.values())).copy(), index=frame.index, name=name)
        return pd.DataFrame({key: array.copy() for key, array in values.items()}, index=frame.index)
    import polars as pl  # noqa: PLC0415  only for a caller who has imported it

    if len(values) == 1:
        return pl.Series(name, next(iter(values.values())))
    return pl.DataFrame(values)
