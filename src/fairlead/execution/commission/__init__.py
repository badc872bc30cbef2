"""Commission: what the broker, and those behind it, take for an execution (domain rules 6.9, 6.13)."""

from fairlead.execution.commission.model import CommissionContext, CommissionModel
from fairlead.execution.commission.plain import BpsCommission, NoCommission, PerOrderCommission, PerShareCommission
from fairlead.execution.commission.presets import CommissionPreset, commission_preset, known_presets
from fairlead.execution.commission.settings import COMMISSION_MODELS, CommissionSettings
from fairlead.execution.commission.tiered import Fee, MonthVolume, Tier, TieredCommission

__all__ = [
    "COMMISSION_MODELS",
    "BpsCommission",
    "CommissionContext",
    "CommissionModel",
    "CommissionPreset",
    "CommissionSettings",
    "Fee",
    "MonthVolume",
    "NoCommission",
    "PerOrderCommission",
    "PerShareCommission",
    "Tier",
    "TieredCommission",
    "commission_preset",
    "known_presets",
]
