"""CSV files line by line: a line that is bad, or torn, costs no other line (domain rule 4.4)."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairlead.contracts.files import storage_error
from fairlead.core.errors import ContractError, DataError, DataNotFound


@dataclass(frozen=True, slots=True)
class CsvLines:
    """The text of a file.

    Attributes
    ----------
    header : tuple of str
    lines : tuple of (int, str)
        Complete lines with their number in the file; blank ones are left out.
    torn : str or None
        A last line without its line end: what a crash leaves behind.
    """

    header: tuple[str, ...]
    lines: tuple[tuple[int, str], ...]
    torn: str | None

    def row(self, line: str) -> dict[str, str]:
        """Return a line as a mapping of the header's names.

        Raises
        ------
        ContractError
            If it is no CSV or has not as many cells as the header.
        """
        try:
            cells = next(csv.reader([line], strict=True), [])
        except csv.Error as exc:
            raise ContractError.of("row", "be one line of CSV", line) from exc
        if len(cells) != len(self.header):
            raise ContractError.of("row", f"have {len(self.header)} cells, as the header has", len(cells))
        return dict(zip(self.header, cells, strict=True))


def read_lines(path: Path) -> CsvLines:
    """Return the lines of a CSV file.

    Raises
    ------
    DataNotFound
        If there is no such file.
    DataError
        If it is no text.
    ContractError
        If it has no header.
    """
    try:
        data, end, rest = path.read_bytes().rpartition(b"\n")
        complete = (data + end).decode("utf-8-sig")
    except FileNotFoundError as exc:
        raise DataNotFound(f"there is no file {path}. Check the path.") from exc
    except OSError as exc:
        raise storage_error("read", path, exc) from exc
    except UnicodeDecodeError as exc:
        raise DataError(
            f"cannot read {path}: it is not UTF-8 text ({exc.reason}, byte {exc.start}). Export it as UTF-8."
        ) from exc
    torn = rest.decode(errors="replace")  # it may end within a character
    lines = [(number, line.removesuffix("\r")) for number, line in enumerate(complete.split("\n")[:-1], start=1)]
    if not lines or not lines[0][1].strip():
        raise ContractError.of(f"{path}", "begin with a complete line of column names", (complete + torn)[:80])
    header = tuple(name.strip() for name in next(csv.reader([lines[0][1]])))
    return CsvLines(header, tuple(item for item in lines[1:] if item[1]), torn or None)


def canonical_names(
    header: Sequence[str], aliases: Mapping[str, str], known: Collection[str], required: Collection[str], origin: object
) -> tuple[str, ...]:
    """Return the header with aliases replaced.

    Raises
    ------
    ContractError
        If a column is there twice, under an alias perhaps, or one of `required` is not there.
    """
    names = tuple(aliases.get(name, name) for name in header)
    twice = sorted({name for name in names if name in known and names.count(name) > 1})
    if twice:
        raise ContractError.of(
            f"columns of {origin}", f"hold '{twice[0]}' once", [n for n in header if aliases.get(n, n) == twice[0]]
        )
    missing = [name for name in required if name not in names]
    if missing:
        strange = [name for name in header if aliases.get(name, name) not in known]
        near = {name: difflib.get_close_matches(name, strange, n=1) for name in missing}
        guesses = "; ".join(f"{found[0]!r} may be meant for '{name}'" for name, found in near.items() if found)
        guess = f" {guesses[0].upper()}{guesses[1:]}." if guesses else ""
        raise ContractError(f"{origin} lacks the columns {', '.join(missing)}.{guess}")
    return names
