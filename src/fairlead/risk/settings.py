"""The ``risk`` section of a session: guards and validator, armed as soon as it is there."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from fairlead.contracts.settings import Settings
from fairlead.risk.guards.settings import GuardSettings
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
    """

    guards: Annotated[GuardSettings, BeforeValidator(_or_defaults)] = GuardSettings()
    validator: Annotated[ValidatorSettings, BeforeValidator(_or_defaults)] = ValidatorSettings()
