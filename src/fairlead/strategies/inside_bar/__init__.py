"""InsideBar: the intraday pattern as a strategy, and as a scan over frames, with one state machine for both."""

from fairlead.strategies.inside_bar.machine import InsideBarMachine, Reason, Reject, Setup
from fairlead.strategies.inside_bar.scanning import BarArrays, ScanResult, scan, scan_live
from fairlead.strategies.inside_bar.strategy import InsideBar

__all__ = [
    "BarArrays",
    "InsideBar",
    "InsideBarMachine",
    "Reason",
    "Reject",
    "ScanResult",
    "Setup",
    "scan",
    "scan_live",
]
