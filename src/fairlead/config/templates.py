"""The configuration templates: the folder ``configs`` of the repository, which the wheel carries inside this package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fairlead.core.errors import FairleadError, UnknownName

FACTORY_TEMPLATE: Final = "factory_insidebar.yaml"
_PACKAGED: Final = Path(__file__).with_name("template_files")
# In a checkout, and so in an editable installation, there is one copy and it stands at the root.
_CHECKOUT: Final = Path(__file__).parents[3] / "configs"


def template_names() -> tuple[str, ...]:
    """Return the names of all templates, sorted: ``environments/backtest``, ``strategies/rsi``, ..."""
    folder = _folder()
    return tuple(sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.yaml")))


def template_path(name: str) -> Path:
    """Return where the template `name` is.

    Raises
    ------
    UnknownName
        If there is no such template.
    """
    names = template_names()
    if name not in names:
        raise UnknownName.among("template", name, names)
    return _folder() / f"{name}.yaml"


def template_text(name: str) -> str:
    """Return the text of the template `name`; raises as `template_path`."""
    return template_path(name).read_text(encoding="utf-8")


def factory_template_text() -> str:
    """Return the text of the template of a signal factory's line, which is no session and so not among the others."""
    return (_folder() / FACTORY_TEMPLATE).read_text(encoding="utf-8")


def _folder() -> Path:
    for folder in (_PACKAGED, _CHECKOUT):
        if folder.is_dir():
            return folder
    raise FairleadError(f"the configuration templates are missing from {_PACKAGED}. Install fairlead again.")
