"""Sizing, the only place in the project where a quantity is computed from money, and the checks before an order leaves."""

from fairlead.risk.position import PositionSize, PositionSizer, SizingConfig, SizingMode, SizingRule

__all__ = ["PositionSize", "PositionSizer", "SizingConfig", "SizingMode", "SizingRule"]
