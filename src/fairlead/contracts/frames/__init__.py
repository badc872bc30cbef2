"""The contracts of price frames: what a daily or intraday frame must be, and every way in which one is not (domain 2.1-2.3)."""

from fairlead.contracts.frames.specs import DailyFrameSpec, IntradayFrameSpec, assert_valid_daily, assert_valid_intraday
from fairlead.contracts.frames.violation import Violation

__all__ = ["DailyFrameSpec", "IntradayFrameSpec", "Violation", "assert_valid_daily", "assert_valid_intraday"]
