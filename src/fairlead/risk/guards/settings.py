"""Limits of the guards; the defaults are those of the table in `docs/guides/risk-guards.md` (domain rule 7.1)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from fairlead.contracts.settings import Settings
from fairlead.core.instruments import check_symbol
from fairlead.risk.percent import no_switch, percent

GuardId: TypeAlias = Literal["G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G9", "G10", "G11", "G12", "G13"]

MOST_MONEY: Final = 10**12

_AS_NUMBER: Final = PlainSerializer(float, return_type=float, when_used="json")
Limit = Annotated[Decimal, BeforeValidator(no_switch), _AS_NUMBER]
"""Exact where it is stated, a plain number where it is shown."""
Money = Annotated[Limit, Field(gt=0, le=MOST_MONEY)]
PositionPct = Annotated[Limit, AfterValidator(percent("1", "1000"))]
PricePct = Annotated[Limit, AfterValidator(percent("0.1", "100"))]
Symbol = Annotated[str, AfterValidator(check_symbol)]


class GuardSettings(Settings):
    """Limits of the guards. Money and exposure are those of the whole account, in its currency.

    Parameters
    ----------
    max_gross_exposure : Decimal
        G1, in currency: all that is held, all that may come of working orders, and the order.
    max_symbol_qty : Decimal
        G2, in units of one symbol.
    max_pos_pct : Decimal
        G3, in percent of equity in one symbol.
    max_daily_loss, max_drawdown : Decimal
        G4 and G5, in currency: below the equity at the start of the session, and below the peak.
    max_slippage_pct : Decimal
        G6, in percent of the last price.
    slip_buffer_bps : Decimal
        What a market order is taken to pay beyond the last price (G1), or beyond it where nothing is quoted (G6).
    max_data_age_s, max_spread_bps, max_move_pct : Decimal
        G7: age of the last quote or trade, width of the quote, and the move over five minutes.
    trading_hours_only : bool
        G8.
    max_open_positions : int
        G9, in symbols.
    max_consecutive_losses : int
        G10: so many positions closed at a loss in a row end the session's trading.
    max_orders_per_min, max_orders_per_min_total : int
        G11: of one strategy in one symbol, and of all.
    blacklist : tuple of str
        G12: symbols that are not to be traded.
    cooldown_s : Decimal
        G13: of one strategy in one symbol, between two orders, and none while one works; 0 for no such guard.
    disabled : tuple of str
        Guards that are not to be asked, such as ``G8``.
    """

    max_gross_exposure: Money = Decimal(50_000)
    max_symbol_qty: Annotated[Limit, Field(gt=0, le=MOST_MONEY)] = Decimal(100)
    max_pos_pct: PositionPct = Decimal(20)
    max_daily_loss: Money = Decimal(1_000)
    max_drawdown: Money = Decimal(1_500)
    max_slippage_pct: PricePct = Decimal(5)
    slip_buffer_bps: Annotated[Limit, Field(ge=0, le=1_000)] = Decimal(10)
    max_data_age_s: Annotated[Limit, Field(gt=0, le=86_400)] = Decimal(60)
    max_spread_bps: Annotated[Limit, Field(ge=1, le=10_000)] = Decimal(500)
    max_move_pct: PricePct = Decimal(5)
    trading_hours_only: bool = True
    max_open_positions: Annotated[int, Field(ge=1, le=100_000)] = 10
    max_consecutive_losses: Annotated[int, Field(ge=1, le=100_000)] = 5
    max_orders_per_min: Annotated[int, Field(ge=1, le=100_000)] = 5
    max_orders_per_min_total: Annotated[int, Field(ge=1, le=1_000_000)] = 300
    blacklist: tuple[Symbol, ...] = ()
    cooldown_s: Annotated[Limit, Field(ge=0, le=86_400)] = Decimal(0)
    disabled: tuple[GuardId, ...] = ()
