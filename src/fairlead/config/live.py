"""What live sessions, and paper sessions at a broker, need beside the settings of each component."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from fairlead.contracts.settings import Settings
from fairlead.execution.brokers.opening import AccountKeys, BrokerKind, broker_kind
from fairlead.execution.brokers.settings import LinkSettings


class RealtimeClockSettings(Settings):
    """The clock of paper and live sessions: the real one.

    Parameters
    ----------
    hours : {'market', '24/7'}
        What `fairlead session status` and the log say of the market: when it opens and closes by the exchange's calendar, or
        nothing. Orders outside its hours are for guard G8 to refuse, and for data none is expected then.
    """

    type: Literal["realtime"]
    hours: Literal["market", "24/7"] = "market"


def _id_of(value: Any) -> Any:
    # Some account numbers are digits alone, and YAML reads those as a number.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class BrokerSettings(Settings):
    """Orders to a broker.

    Parameters
    ----------
    broker : str
        ``alpaca``, ``ibkr``, ``simulated``, an entry point of ``fairlead.brokers``, or ``package.module:Class``.
    account : str, optional
        The account's id; None for the only one that the keys open. Mode live needs it.
    api_key, api_secret : str, optional
        Where the keys are: ``${NAME}``, ``file:PATH`` or ``keyring:SERVICE/NAME``. A key in the file itself is refused.
    params : dict
        What else the broker takes, such as its address.
    link : LinkSettings
        How it is kept in touch with.
    """

    type: Literal["broker"]
    broker: str = Field(min_length=1)
    account: Annotated[str | None, BeforeValidator(_id_of)] = Field(default=None, min_length=1, max_length=64)
    api_key: str | None = None
    api_secret: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    link: LinkSettings = LinkSettings()

    @property
    def kind(self) -> BrokerKind:
        """The kind of broker, with its parameters.

        Raises
        ------
        UnknownName, ConfigurationError
            If there is none of that name, or it does not take the parameters.
        """
        return broker_kind(self.broker, self.params)

    @property
    def keys(self) -> AccountKeys:
        """What opens the account, once the configuration is unlocked."""
        return AccountKeys(self.account, self.api_key, self.api_secret)
