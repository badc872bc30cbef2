"""Alpaca as a broker, as settings."""

from __future__ import annotations

from pydantic import Field, SecretStr

from fairlead.contracts.settings import Settings
from fairlead.data.vendors.alpaca.settings import DATA_URL, PAPER_URL, Address


class AlpacaTerms(Settings):
    """How an account is reached.

    Parameters
    ----------
    base_url : str
        Of paper trading, unless it is given.
    data_url : str
        Of market data; only asked whether the keys cover it.
    timeout_s : float
        Seconds after which it is not known what became of a call.
    connect_s : float
        Seconds that it may take to reach the server.
    ping_s : float
        Seconds between pings on the stream; one without an answer for twice as long ends it.
    workers : int
        Most calls under way at once.
    calls_per_minute : int
        Alpaca allows 200 (domain rule 14.2).
    burst : int
    poll_s : float
        How often orders and executions are asked for although the stream tells them; 0 for never.
    """

    base_url: Address = PAPER_URL
    data_url: Address = DATA_URL
    timeout_s: float = Field(default=10.0, gt=0, le=300)
    connect_s: float = Field(default=5.0, gt=0, le=60)
    ping_s: float = Field(default=5.0, gt=0, le=300)
    workers: int = Field(default=4, ge=1, le=32)
    calls_per_minute: int = Field(default=180, ge=1, le=100_000)
    burst: int = Field(default=50, ge=1, le=1_000)
    poll_s: float = Field(default=5.0, ge=0, le=3600)

    @property
    def stream_url(self) -> str:
        """Where orders are told as they change."""
        return f"ws{self.base_url.removeprefix('http')}/stream"


class AlpacaSettings(AlpacaTerms):
    """How an account is reached, and what opens it.

    Parameters
    ----------
    api_key, api_secret : str
        Paper and live accounts have keys of their own.
    """

    api_key: SecretStr
    api_secret: SecretStr
