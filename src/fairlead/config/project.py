"""A starter project: what `fairlead init` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fairlead.config.templates import template_names, template_text
from fairlead.contracts.files import atomic_directory, atomic_write_text
from fairlead.core.errors import ConfigurationError
from fairlead.sdk.scaffold import new_strategy_source, new_strategy_test_source, strategy_stem

STRATEGY: Final = "my_strategy"

_CONFIG: Final = """\
# Your own strategy on the prices that come with Fairlead. Every key is explained in environments/backtest.yaml.
mode: backtest
name: My first strategy
clock: {type: historical, start_date: 2005-01-03, end_date: 2013-03-01, speed: max}
data: {type: historical, source: bundled, symbols: [AAPL]}
strategies:
  - name: my_strategy
    strategy: strategies/my_strategy.py
    capital: 100_000
"""
_IGNORE: Final = "artifacts/\n__pycache__/\n"


def write_project(folder: Path) -> list[Path]:
    """Write the starter project into `folder` and return its files, sorted.

    Raises
    ------
    ConfigurationError
        If `folder` exists and is not empty.
    StorageError
        If the disk refuses; nothing is left half-written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError.of("folder", "be new or empty", str(folder), "Choose another, or empty it first.")
    texts = {f"configs/{name}.yaml": template_text(name) for name in template_names()}
    texts[f"configs/{STRATEGY}.yaml"] = _CONFIG
    texts |= _sources(STRATEGY)
    texts[".gitignore"] = _IGNORE
    if folder.exists():
        folder.rmdir()
    with atomic_directory(folder) as staging:
        for name, text in texts.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    return sorted(folder / name for name in texts)


def write_strategy(folder: Path, name: str) -> list[Path]:
    """Write a new strategy and its test into the project at `folder`; return the two files, the strategy first.

    Raises
    ------
    ConfigurationError
        If `name` makes no class, or one of the files exists.
    StorageError
        If the disk refuses; nothing is left half-written.
    """
    texts = {folder / place: text for place, text in _sources(name).items()}
    for path in texts:
        if path.exists():
            raise ConfigurationError.of("name", "be new", name, f"{path} exists; choose another name.")
    written: list[Path] = []
    try:
        for path, text in texts.items():
            atomic_write_text(path, text)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def _sources(name: str) -> dict[str, str]:
    stem = strategy_stem(name)
    return {
        f"strategies/{stem}.py": new_strategy_source(name),
        f"tests/test_{stem}.py": new_strategy_test_source(name),
    }
