"""The signal factory: from minutes to a run directory in stages, each of which hands the next a file with a contract."""

from fairlead.factory.plugin import Found, Reject, SessionView, SignalPlugin
from fairlead.factory.signal_part import SignalSettings

__all__ = ["Found", "Reject", "SessionView", "SignalPlugin", "SignalSettings"]
