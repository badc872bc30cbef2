"""Alpaca's market data, as settings."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError

PAPER_URL: Final = "https://paper-api.alpaca.markets"
DATA_URL: Final = "https://data.alpaca.markets"
STREAM_URL: Final = "wss://stream.data.alpaca.markets"
Channel = Literal["bars", "quotes", "trades"]
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def check_address(value: str) -> str:
    """Return `value` if keys may be sent there, without what alpaca-py adds itself.

    Raises
    ------
    ConfigurationError
        If it is no address, or keys would travel in the open.
    """
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError.of("base_url", f"be an address such as {PAPER_URL}", value)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError.of("base_url", "begin with https, except on this machine", value)
    return value.rstrip("/").removesuffix("/v2")


Address = Annotated[str, AfterValidator(check_address)]


class AlpacaData(Settings):
    """Where Alpaca's market data is asked for, and which.

    Parameters
    ----------
    source : {'iex', 'sip'}
        The trades of one exchange, or of all; the second must be paid for.
    base_url : str
        Of trading, where symbols are looked up: that which the keys are for.
    data_url : str
    timeout_s : float
        Seconds that a question may take.
    """

    source: Literal["iex", "sip"] = "iex"
    base_url: Address = PAPER_URL
    data_url: Address = DATA_URL
    timeout_s: float = Field(default=30.0, gt=0, le=300)
