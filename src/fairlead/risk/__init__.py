"""Sizing, and the checks before an order leaves."""

from fairlead.risk.position import PositionSize, PositionSizer, SizingConfig, SizingMode

__all__ = ["PositionSize", "PositionSizer", "SizingConfig", "SizingMode"]
