"""Which commission model a run uses."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

from pydantic import SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from fairlead.contracts.plugins import PartSettings
from fairlead.core.errors import ConfigurationError
from fairlead.execution.commission.model import CommissionModel
from fairlead.execution.commission.plain import BpsCommission, NoCommission, PerOrderCommission, PerShareCommission
from fairlead.execution.commission.presets import commission_preset, known_presets
from fairlead.execution.commission.tiered import TieredCommission

COMMISSION_MODELS: Final[Mapping[str, type[CommissionModel]]] = MappingProxyType(
    {
        "none": NoCommission,
        "bps": BpsCommission,
        "per_share": PerShareCommission,
        "per_order": PerOrderCommission,
        "tiered": TieredCommission,
    }
)


class CommissionSettings(PartSettings[CommissionModel]):
    """Which commission model, and its settings: one of `COMMISSION_MODELS`, a broker's preset, or a third party's.

    Parameters
    ----------
    preset : str, optional
        A broker's price list, instead of `model`. What `params` gives replaces its values; the values in use are filled in
        beside its name, so that a run can be repeated after the list has changed.
    """

    kind: ClassVar[str] = "commission model"
    group: ClassVar[str] = "fairlead.commission"
    base: ClassVar[type[Any]] = CommissionModel
    shipped: ClassVar[Mapping[str, type[Any]]] = COMMISSION_MODELS

    preset: str | None = None
    model: str = "bps"

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, values: Any) -> Any:
        name = values.get("preset") if isinstance(values, Mapping) else None
        if not isinstance(name, str) or name not in known_presets():
            return values
        preset = commission_preset(name)
        given, params = values.get("model", preset.model), values.get("params", {})
        if given != preset.model:
            raise ConfigurationError.of(
                "model", f"be left out beside preset {name!r}", given, "A preset brings its own; remove one of the two."
            )
        merged = {**preset.params, **params} if isinstance(params, Mapping) else params
        return {**values, "model": preset.model, "params": merged}

    @field_validator("preset")
    @classmethod
    def _is_preset(cls, value: str | None) -> str | None:
        if value is not None:
            commission_preset(value)
        return value

    @model_serializer(mode="wrap")
    def _without_absent_preset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if self.preset is None:
            del values["preset"]
        return values
