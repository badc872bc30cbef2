"""A socket server that speaks the protocol of Trader Workstation and IB Gateway, over an account in memory.

A client of the real thing connects to it on loopback and cannot tell the difference, as far as the messages go that a trading
program uses. It can be told to misbehave in the ways in which the real one does.
"""

from fairlead.practice.tws.running import RunningTws
from fairlead.practice.tws.server import TwsServer
from fairlead.practice.tws.settings import TwsSettings

__all__ = ["RunningTws", "TwsServer", "TwsSettings"]
