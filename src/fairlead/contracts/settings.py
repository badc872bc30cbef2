"""The base of every settings class: frozen, and unknown keys refused."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fairlead.core.errors import ConfigurationError

SettingsT = TypeVar("SettingsT", bound="Settings")


class Settings(BaseModel):
    """Settings of one component.

    A settings class stands beside the component it configures and states ranges in its types. `fairlead.config` composes
    them into a file's shape and translates validation errors into lines of that file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def build_settings(cls: type[SettingsT], values: Any, name: str) -> SettingsT:
    """Return `values` as settings of type `cls`; those that are such already pass through.

    Parameters
    ----------
    values : mapping or `cls`
    name : str
        What to call them in an error.

    Raises
    ------
    ConfigurationError
        Naming every value that is unknown or out of range.
    """
    try:
        return cls.model_validate(values)
    except ValidationError as exc:
        raise ConfigurationError(f"{name}: {'; '.join(problem_texts(exc))}.") from exc


def problem_texts(exc: ValidationError) -> list[str]:
    """Return one short text per mistake: where, what is wrong, and what was found."""
    texts = []
    for error in exc.errors():
        message = error["msg"].removeprefix("Value error, ").rstrip(".")
        if error["loc"] and error["type"] != "value_error":
            message = f"'{'.'.join(map(str, error['loc']))}': {message}, was {error['input']!r}"
        texts.append(message)
    return texts
