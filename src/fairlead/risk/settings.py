"""The ``risk`` section of a session: guards and validator, armed as soon as it is there."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from fairlead.contracts.settings import Settings
from fairlead.risk.guards.settings import GuardSettings
from fairlead.risk.monitors.haltsteps import HaltSettings
from fairlead.risk.monitors.settings import KillSwitchSettings
from fairlead.risk.validator import ValidatorSettings


def _or_defaults(value: Any) -> Any:
    # "guards:" with nothing after it asks for the defaults, as leaving the key out does.
    return {} if value is None else value


class RiskSettings(Settings):
    """What is checked just before an order leaves.

    Parameters
    ----------
    guards : GuardSettings
    validator : ValidatorSettings
    kill_switches : KillSwitchSettings
        Of sessions in real time: see `fairlead.risk.monitors`.
    halt : HaltSettings
        The clock of what follows when one trips.
    """

    guards: Annotated[GuardSettings, BeforeValidator(_or_defaults)] = GuardSettings()
    validator: Annotated[ValidatorSettings, BeforeValidator(_or_defaults)] = ValidatorSettings()
    kill_switches: Annotated[KillSwitchSettings, BeforeValidator(_or_defaults)] = KillSwitchSettings()
    halt: Annotated[HaltSettings, BeforeValidator(_or_defaults)] = HaltSettings()
