"""What a server is like, where it does not misbehave."""

from __future__ import annotations

from dataclasses import dataclass

from fairlead.core.errors import ConfigurationError

LOWEST_VERSION, HIGHEST_VERSION = 157, 178


@dataclass(frozen=True, slots=True, kw_only=True)
class TwsSettings:
    """How a server speaks, and what it allows.

    Parameters
    ----------
    host, port : str, int
        Where to listen: a loopback address, as the real one never leaves the machine either; port 0 takes a free one.
    version : int
        The newest of the protocol that it speaks, 157 to 178; a client that speaks less is answered in its own.
    zone : str
        In which times of executions and bars are written.
    messages_per_s : int
        What a client may send; 0 for no limit.
    tickers : int
        Market-data lines at once.
    paces_history : bool
        Whether history is refused to who asks for too much of it.
    holds_stops : bool
        Whether a stop that has not been triggered is PreSubmitted, as one that is simulated at the broker is.
    repeats : int
        How often each status of an order is told; the real one tells some of them twice.
    """

    host: str = "127.0.0.1"
    port: int = 0
    version: int = HIGHEST_VERSION
    zone: str = "US/Eastern"
    messages_per_s: int = 50
    tickers: int = 100
    paces_history: bool = True
    holds_stops: bool = True
    repeats: int = 2

    def __post_init__(self) -> None:
        if not LOWEST_VERSION <= self.version <= HIGHEST_VERSION:
            raise ConfigurationError.of("version", f"be {LOWEST_VERSION} to {HIGHEST_VERSION}", self.version)
        if self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ConfigurationError.of("host", "be an address of this machine alone", self.host, "Use 127.0.0.1.")
        for name in ("messages_per_s", "tickers"):
            if getattr(self, name) < 0:
                raise ConfigurationError.of(name, "not be negative", getattr(self, name))
        if self.repeats < 1:
            raise ConfigurationError.of("repeats", "be 1 or more", self.repeats)
