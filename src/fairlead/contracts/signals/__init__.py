"""Signals and candidate lists: what one stage of research hands to the next (domain rules 3.1, 3.2)."""

from fairlead.contracts.signals.candidates import Candidate, CandidateList
from fairlead.contracts.signals.files import read_signals, signals_from_frame, write_signals
from fairlead.contracts.signals.row import SIGNAL_COLUMNS, Signal, check_signals, refuse_lookahead, signal_id

__all__ = [
    "SIGNAL_COLUMNS",
    "Candidate",
    "CandidateList",
    "Signal",
    "check_signals",
    "read_signals",
    "refuse_lookahead",
    "signal_id",
    "signals_from_frame",
    "write_signals",
]
