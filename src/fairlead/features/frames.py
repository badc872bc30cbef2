"""Features of a pandas or polars frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairlead.contracts.frames.reading import library_of
from fairlead.core.arrays import FloatArray
from fairlead.core.errors import ContractError
from fairlead.data.columns import map_columns
from fairlead.features.plan import make_plan
from fairlead.features.program import Program


def compute(name: str, frame: Any, **params: Any) -> Any:
    """Return a feature of one symbol's bars.

    Parameters
    ----------
    name : str
        A shipped feature, an entry point of ``fairlead.features``, or ``package.module:NAME``.
    frame : pandas.DataFrame or polars.DataFrame
        Bars, the oldest first. Column names may have any letter case; only those that the feature reads must be there.
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
        If the feature or a parameter is not known.
    ConfigurationError
        If a parameter is out of range.
    ContractError
        If `frame` is no such frame, lacks a column, holds text for numbers, several symbols, or rows that are not in order.
    """
    plan = make_plan({name: (name, params)})
    library = library_of(frame)
    if not library:
        raise ContractError.of("frame", "be a pandas or polars DataFrame", type(frame).__name__)
    if getattr(frame.columns, "nlevels", 1) > 1:
        raise ContractError.of("frame.columns", "have one level", list(frame.columns[:2]), "Pick one symbol.")
    fields = map_columns([str(column) for column in frame.columns], where="frame", required=plan.columns)
    _check_rows(frame, library, fields)
    table = np.empty((plan.width, len(frame)))
    for slot, column in enumerate(plan.columns):
        table[slot] = _numbers(frame[fields[column]], library, fields[column])
    program = Program(plan)
    program.run(program.new_state(1), table[None])
    node = plan.asked[name]
    outputs = [output.name for output in node.feature.outputs]
    return _as_frame(frame, library, name, dict(zip(outputs, table[node.first :], strict=False)))


def _check_rows(frame: Any, library: str, fields: dict[str, str]) -> None:
    if "symbol" in fields:
        symbols = frame[fields["symbol"]]
        if (symbols.nunique() if library == "pandas" else symbols.n_unique()) > 1:
            raise ContractError.of(
                "frame", "hold one symbol", list(symbols.unique()[:3]), "Select one, or use fairlead.features.compute_symbols."
            )
    if library == "polars":
        ordered = "ts" not in fields or frame[fields["ts"]].is_sorted()
    else:
        stamps = frame.index if type(frame.index).__name__ == "DatetimeIndex" else frame.get(fields.get("ts"))
        ordered = stamps is None or stamps.is_monotonic_increasing
    if not ordered:
        raise ContractError.of("frame", "have its rows in order of time", "rows that go back", "Sort it, the oldest bar first.")


def _numbers(column: Any, library: str, name: str) -> FloatArray:
    numeric = getattr(column.dtype, "kind", "O") in "iuf" if library == "pandas" else column.dtype.is_numeric()
    if not numeric:
        raise ContractError.of(f"frame[{name!r}]", "hold numbers", str(column.dtype), "Convert it to float64.")
    if library == "pandas":
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.asarray(column.cast(float).fill_null(float("nan")).to_numpy())


def _as_frame(frame: Any, library: str, name: str, values: dict[str, FloatArray]) -> Any:
    if library == "pandas":
        import pandas as pd  # noqa: PLC0415  only for a caller who has imported it

        if len(values) == 1:
            return pd.Series(next(iter(values.values())).copy(), index=frame.index, name=name)
        return pd.DataFrame({key: array.copy() for key, array in values.items()}, index=frame.index)
    import polars as pl  # noqa: PLC0415  only for a caller who has imported it

    if len(values) == 1:
        return pl.Series(name, next(iter(values.values())))
    return pl.DataFrame(values)
