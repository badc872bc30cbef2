"""Which features, with which parameters, on which bars: what the verbs of `fairlead features` ask for alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fairlead.cli.console import existing_file

if TYPE_CHECKING:
    from fairlead.data.source import DataSource
    from fairlead.features.supply import FeatureSupply

_REMEDIES: Final = {
    "Set features.benchmark to a symbol of the run.": "Name one of the symbols: --benchmark SYMBOL.",
    "Set features.facts to a file of them.": "Give a file of them: --facts FILE.",
    "benchmark symbol of this run": "benchmark among the symbols",
}

SYNTHETIC_NOTE: Final = "SYNTHETIC DATA"

NamesArgument = Annotated[
    list[str],
    typer.Argument(help="Names separated by commas, or package.module:NAME.", metavar="NAME[,NAME...]", show_default=False),
]
PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", help="Draw them into a PNG file.", metavar="FILE.png", show_default=False, readable=False),
]
ParamOption = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        help="n=20: a parameter of all that have it. rsi.n=14: of one. May be repeated.",
        metavar="NAME=VALUE",
        show_default=False,
    ),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset", "-d", help="A dataset of the workspace. Default: the prices that ship.", metavar="NAME", show_default=False
    ),
]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Bars in a CSV or Parquet file, or a folder of them.", metavar="FILE", show_default=False, readable=False
    ),
]
BarSizeOption = Annotated[
    str | None, typer.Option("--bar-size", "-b", help="If the data leaves it open.", metavar="SIZE", show_default=False)
]
TimezoneOption = Annotated[
    str | None,
    typer.Option("--timezone", "-t", help="Zone of stamps in files that carry none.", metavar="ZONE", show_default=False),
]
SymbolsOption = Annotated[
    str | None, typer.Option("--symbols", "-s", help="Separated by commas. Default: all.", metavar="A,B", show_default=False)
]
BenchmarkOption = Annotated[
    str | None,
    typer.Option("--benchmark", help="The symbol that features read as benchmark.", metavar="SYMBOL", show_default=False),
]
FactsOption = Annotated[
    Path | None,
    typer.Option(
        "--facts",
        help="File of published facts, for features that read them.",
        metavar="FILE",
        show_default=False,
        readable=False,
    ),
]
ReplaceFlag = Annotated[bool, typer.Option("--replace", help="Overwrite files that exist.", metavar="")]


def feature_names(given: Sequence[str]) -> list[str]:
    """Return the names in arguments like ``rsi,macd``, each once.

    Raises
    ------
    ConfigurationError
        If there is none.
    """
    from fairlead.core.errors import ConfigurationError

    names = list(dict.fromkeys(name.strip() for text in given for name in text.split(",") if name.strip()))
    if not names:
        raise ConfigurationError("name a feature, such as rsi. See: fairlead features ls.")
    return names


def params_by_feature(names: Sequence[str], given: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """Return the parameters of each feature out of ``n=20`` and ``rsi.n=14``.

    Raises
    ------
    UnknownName
        If a feature is not known, or none of those that are meant has the parameter.
    ConfigurationError
        If a text is no assignment, or a value is out of range.
    """
    from fairlead.core.errors import ConfigurationError, UnknownName
    from fairlead.features.registry import find_feature

    found = {name: find_feature(name) for name in names}
    params: dict[str, dict[str, Any]] = {name: {} for name in names}
    for text in given or ():
        place, equals, value = (part.strip() for part in text.partition("="))
        if not (place and equals and value):
            raise ConfigurationError.of("--param", "be an assignment like n=20", text)
        owner, _, key = place.rpartition(".")
        if owner and owner not in found:
            raise UnknownName.among("feature in this command", owner, found)
        meant = [name for name in ([owner] if owner else names) if key in found[name].parameters]
        if not meant:
            whose = f"feature {owner or names[0]!r}" if owner or len(names) == 1 else "these features"
            known = {name for feature in ([owner] if owner else names) for name in found[feature].parameters}
            raise UnknownName.among(f"parameter of {whose}", key, known)
        for name in meant:
            params[name][key] = _number("--param " + place, value)
    for name, feature in found.items():
        feature.resolve(params[name])
    return params


def open_bars(
    workspace: Path,
    *,
    dataset: str | None,
    file: Path | None,
    bar_size: str | None,
    timezone: str | None,
    symbols: str | None,
    start: dt.date | None = None,
    end: dt.date | None = None,
) -> DataSource:
    """Return the bars that the options name.

    Raises
    ------
    ConfigurationError, UnknownName, DataNotFound, ContractError, DataError
        As `fairlead.data.opening.open_source`.
    """
    from fairlead.core.errors import ConfigurationError
    from fairlead.data.opening import open_source
    from fairlead.data.settings import DataSettings

    if dataset is not None and file is not None:
        raise ConfigurationError("give --dataset or --data, not both.")
    if file is not None and not file.exists():
        existing_file(file, "data file", "Give a CSV or Parquet file, or a folder of them.")
    settings = DataSettings(
        source="parquet" if file is not None else "bundled" if dataset is None else "store",
        path=None if file is None else str(file),
        dataset=dataset,
        symbols=tuple(name.strip() for name in (symbols or "").split(",") if name.strip()),
        bar_size=bar_size,
        timezone=timezone,
    )
    return open_source(settings, start=start, end=end, workspace=workspace)


def supply_of(workspace: Path, benchmark: str | None, facts: Path | None) -> FeatureSupply:
    """Return what features may read beside the bars, with the values that the workspace keeps.

    Raises
    ------
    DataNotFound, DataError, ContractError
        If the facts cannot be read.
    """
    from fairlead.features.settings import FeatureSettings
    from fairlead.features.supply import FeatureSupply

    if facts is not None:
        existing_file(facts, "file of facts", "Give a CSV or Parquet file.")
    return FeatureSupply.of(FeatureSettings(benchmark=benchmark, facts=facts), workspace)


def new_file(option: str, path: Path | None, endings: Sequence[str], *, replace: bool) -> None:
    """Refuse, before any work, a file that cannot be written as it is asked for.

    Raises
    ------
    ConfigurationError
        If its ending is another one, it is a folder, or it exists and may not be replaced.
    """
    from fairlead.core.errors import ConfigurationError

    if path is None:
        return
    if path.suffix not in endings:
        raise ConfigurationError.of(option, f"end in {' or '.join(endings)}", str(path))
    if path.is_dir():
        raise ConfigurationError.of(option, "be a file", str(path), "It is a folder; name a file in it.")
    if path.exists() and not replace:
        raise ConfigurationError.of(option, "be a new file", str(path), "Choose another name, or overwrite it: --replace.")


@contextmanager
def in_options() -> Iterator[None]:
    """Say what a feature lacks in the words of the command line."""
    from fairlead.core.errors import ConfigurationError

    try:
        yield
    except ConfigurationError as exc:
        text = str(exc)
        for setting, option in _REMEDIES.items():
            text = text.replace(setting, option)
        raise type(exc)(text) from exc


def _number(what: str, text: str) -> float:
    from fairlead.core.errors import ConfigurationError

    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ConfigurationError.of(what, "be a number, true or false", text)
