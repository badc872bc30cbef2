"""Interactive Brokers as a broker, as settings."""

from __future__ import annotations

import datetime as dt
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from fairlead.contracts.settings import Settings
from fairlead.core.errors import ConfigurationError
from fairlead.core.time import NS_PER_DAY, to_datetime, to_ns
from fairlead.data.vendors.ibkr.endpoint import EndpointSettings

_DAYS: range = range(-1, 3)


class ResetSettings(Settings):
    """When the broker restarts its servers, every night: the way breaks and comes back, so nothing is risked anew.

    Parameters
    ----------
    begins, ends : time
        Of the day in `timezone`; an end before the beginning is that of the next day.
    timezone : str
    """

    begins: dt.time = dt.time(23, 45)
    ends: dt.time = dt.time(1, 45)
    timezone: str = "America/New_York"

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as exc:
            raise ConfigurationError.of("timezone", "be one such as America/New_York", value) from exc
        return value

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.begins == self.ends:
            raise ConfigurationError.of("ends", "differ from begins", self.ends.isoformat(), "Leave the window out: null.")
        return self

    def next_ns(self, now_ns: int) -> tuple[int, int]:
        """Return beginning and end, nanoseconds, of the window that is, or of the next."""
        zone = ZoneInfo(self.timezone)
        today = to_datetime(now_ns).astimezone(zone).date()
        overnight = self.ends < self.begins
        for day in (today + dt.timedelta(days=offset) for offset in _DAYS):
            begins = dt.datetime.combine(day, self.begins, zone)
            ends = dt.datetime.combine(day + dt.timedelta(days=overnight), self.ends, zone)
            if to_ns(ends) > now_ns:
                return to_ns(begins), to_ns(ends)
        return now_ns + NS_PER_DAY, now_ns + 2 * NS_PER_DAY  # pragma: no cover  a window begins every day


class IbkrSettings(EndpointSettings):
    """A gateway of Interactive Brokers, and how orders are sent to it.

    Parameters
    ----------
    acknowledge_s : float
        Seconds within which an order that was sent must be heard of; after that it is looked up.
    commission_s : float
        Seconds that an execution waits for its commission before it is told without.
    client_id_s : float
        Seconds for which our client id is asked for again if it is in use, before another is taken: a gateway may hold on to
        a connection that was lost, and what was sent under one id cannot be taken back under another.
    emergency_client_id : int
        Kept free for who has to flatten the account while this connection stands.
    calendar : str
        The exchange's: what is left of a DAY order after the close has expired, for which the protocol has no word.
    can_short : bool
        Whether the account may sell short: the gateway does not tell.
    reset : ResetSettings, optional
        None: no notice of it.
    """

    acknowledge_s: float = Field(default=5.0, gt=0, le=300)
    commission_s: float = Field(default=2.0, ge=0, le=60)
    client_id_s: float = Field(default=10.0, ge=0, le=300)
    emergency_client_id: int = Field(default=32, ge=1, le=32)
    calendar: str = Field(default="XNYS", min_length=1)
    can_short: bool = True
    reset: ResetSettings | None = ResetSettings()

    @model_validator(mode="after")
    def _keeps_one_free(self) -> Self:
        if self.client_id == self.emergency_client_id:
            remedy = "That one is kept for emergencies."
            raise ConfigurationError.of(
                "client_id", f"differ from emergency_client_id ({self.client_id})", self.client_id, remedy
            )
        return self

    def client_ids(self) -> tuple[int, ...]:
        """Return the client ids to try, its own first."""
        others = [(self.client_id + step - 1) % 32 + 1 for step in range(1, 32)]
        return (self.client_id, *(other for other in others if other != self.emergency_client_id))
