"""The base of every settings class: frozen, and unknown keys refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings of one component.

    A settings class stands beside the component it configures and states ranges in its types. `fairlead.config` composes
    them into a file's shape and translates validation errors into lines of that file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)
