"""The one normaliser of column names: whatever a vendor calls them, after it everything is strict (domain rule 1.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from fairlead.contracts.frames.reading import library_of
from fairlead.core.errors import ContractError

PRICE_FIELDS: Final = ("open", "high", "low", "close")
BAR_FIELDS: Final = (*PRICE_FIELDS, "volume")

# Per field, what vendors call it, folded to small letters and digits; where a table has several of them, the first one wins.
_ALIASES: Final = {
    "ts": (
        *("ts", "timestamp", "datetime", "dateandtime", "datetimeutc", "timestamputc", "tsevent", "opentime", "bartime"),
        *("windowstart", "beginsat", "date", "day", "tradedate", "time", "t", "index", "indexlevel0", "unnamed0", ""),
    ),
    "symbol": ("symbol", "ticker", "sym", "instrument", "act", "tic", "s", "name"),
    "open": ("open", "o", "openprice", "priceopen", "first"),
    "high": ("high", "h", "highprice", "pricehigh", "max"),
    "low": ("low", "l", "lowprice", "pricelow", "min"),
    "close": ("close", "c", "closeprice", "priceclose", "closelast", "last", "settle"),
    "volume": ("volume", "v", "vol", "vol1", "totalvolume", "tickvolume", "tickvol", "qty"),
    "adj_close": ("adjclose", "adjustedclose", "closeadj", "adjustedcloseprice"),
}
_LEADING_NUMBER: Final = re.compile(r"^\d+(?=[a-z])")


def map_columns(names: Sequence[str], *, where: str, required: Iterable[str] = BAR_FIELDS) -> dict[str, str]:
    """Return which of `names` holds which field.

    Parameters
    ----------
    names : sequence of str
        A table's column names, in any case and spelling (``Open``, ``o``, ``Adj Close``, ``<VOL>``, ``1. open``).
    where : str
        What the table is called, for the message.
    required : iterable of str
        Fields that must be found.

    Returns
    -------
    dict of str to str
        Field (``ts``, ``symbol``, ``open``, ``high``, ``low``, ``close``, ``volume``, ``adj_close``) -> column name; columns
        that mean nothing here are left out.

    Raises
    ------
    ContractError
        If a required field is missing, or if two columns are the same name in two spellings.
    """
    found: dict[str, str] = {}
    for field, aliases in _ALIASES.items():
        for alias in aliases:
            matches = [name for name in names if _fold(name) == alias]
            if len(matches) > 1:
                raise ContractError(
                    f"{where}: columns {' and '.join(map(repr, matches))} both mean {field!r}. Remove or rename all but one."
                )
            if matches:
                found[field] = matches[0]
                break
    missing = [field for field in required if field not in found]
    if missing:
        raise ContractError(
            f"{where}: no column for {', '.join(missing)}; the columns are {', '.join(map(repr, names)) or 'none'}. "
            "Rename yours, or name a file that has all of open, high, low, close and volume."
        )
    return found


def normalise_frame(df: Any) -> Any:
    """Return a pandas or polars frame whose bar columns are called OPEN, HIGH, LOW, CLOSE and VOLUME.

    A polars frame's stamps are called ``ts``. Other columns keep their names.

    Raises
    ------
    ContractError
        If one of the five is missing, or if `df` is no such frame.
    """
    library = library_of(df)
    names = [str(name) for name in df.columns] if library else []
    if library == "pandas":
        fields = map_columns(_flat_names(df), where="frame")
        wanted = {column: field.upper() for field, column in fields.items() if field in BAR_FIELDS}
        return df.set_axis([wanted.get(name, name) for name in names], axis=1)
    if library == "polars":
        fields = map_columns(names, where="frame", required=("ts", *BAR_FIELDS))
        return df.rename({fields["ts"]: "ts"} | {fields[field]: field.upper() for field in BAR_FIELDS})
    raise ContractError.of("frame", "be a pandas or polars DataFrame", type(df).__name__)


def _flat_names(df: Any) -> list[str]:
    if getattr(df.columns, "nlevels", 1) > 1:
        raise ContractError.of(
            "frame.columns", "have one level", list(df.columns[:2]), "Pick one symbol: df.xs('AAPL', axis=1, level=1)."
        )
    return [str(name) for name in df.columns]


def _fold(name: str) -> str:
    return _LEADING_NUMBER.sub("", "".join(c for c in name.lower() if c.isalnum()))
