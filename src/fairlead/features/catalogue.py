"""The catalogue of the features that ship, as a page of the documentation.

``python -m fairlead.features.catalogue`` writes ``docs/reference/features.md`` of the checkout.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from fairlead.contracts.files import atomic_write_text
from fairlead.features.definition import Feature
from fairlead.features.description import Description, describe, features_by_family

PAGE: Final = "docs/reference/features.md"
_INTRODUCTION: Final = """\
# Feature catalogue

Every feature that ships, family by family. This page is generated from the declarations in the code: do not edit it, run
`python -m fairlead.features.catalogue`.

P is the close; O, H, L, C and V are open, high, low, close and volume. Warm-up is the number of bars without a value before
the first one, with the default parameters. A unit says what a value is multiplied by when the unit of prices or volumes
changes, as at a split: `none` for a plain number, `price`, `volume`, or `other` where nothing can be said.
[Write a feature](../guides/write-a-feature.md) says how to add one, and `fairlead features show NAME` shows one with its code.
"""


def catalogue() -> str:
    """Return the page: per family a table, and per feature its definition. The same code gives the same text."""
    return "\n".join([_INTRODUCTION, *(_family(name, members) for name, members in features_by_family().items())])


def write_catalogue(root: Path) -> Path:
    """Write the page into the checkout at `root` and return where it is.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    path = root / PAGE
    atomic_write_text(path, catalogue())
    return path


def _family(name: str, members: Iterable[Feature]) -> str:
    found = [describe(feature.name) for feature in members]
    title = name.replace("cross_", "cross-").replace("_", " ").capitalize()
    lines = [f"## {title} features", "", _first_line(name), ""]
    lines += _table(
        ("feature", "what it is", "outputs", "warm-up"),
        ((f"[`{d.name}`](#{d.name})", d.summary, _outputs_in_short(d), d.warm_up) for d in found),
    )
    return "\n".join([*lines, "", *(_one(d) for d in found)])


def _one(d: Description) -> str:
    lines = [f"### {d.name}", "", d.doc, "", "```text", d.formula, "```", ""]
    if d.parameters:
        rows = ((f"`{p.name}`", p.default, p.allowed, p.doc) for p in d.parameters)
        lines += [*_table(("parameter", "default", "range", ""), rows), ""]
    lines += [*_table(("output", "range", "unit"), ((f"`{o.name}`", o.range or "any", o.unit) for o in d.outputs)), ""]
    inputs = ", ".join(f"`{item}`" for item in d.inputs)
    kind = " Compares the symbols of an instant." if d.cross_section else ""
    lines.append(f"Inputs {inputs}. Warm-up {d.warm_up}. Version {d.version}.{kind}")
    if d.reference:
        lines[-1] += f"\n\nReference: {d.reference}."
    return "\n".join([*lines, ""])


def _first_line(family: str) -> str:
    return (import_module(f"fairlead.features.{family}").__doc__ or "").partition("\n")[0]


def _outputs_in_short(d: Description) -> str:
    return "" if len(d.outputs) == 1 else ", ".join(f"`{output.name}`" for output in d.outputs)


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    head = list(head)
    yield _row(head)
    yield "|" + "---|" * len(head)
    for row in rows:
        yield _row(row)


def _row(cells: Iterable[object]) -> str:
    return "|" + "|".join(f" {str(cell).replace('|', '&#124;')} " if str(cell) else " " for cell in cells) + "|"


if __name__ == "__main__":
    checkout = Path(__file__).parents[3]
    if not (checkout / "mkdocs.yml").is_file():
        sys.exit("the catalogue is written into a checkout, and this is an installed package.")
    write_catalogue(checkout)
