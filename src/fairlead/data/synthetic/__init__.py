"""A seeded synthetic market on a real exchange calendar: bars and quotes that are labelled synthetic everywhere."""

from fairlead.data.synthetic.bars import generate_bar_batches, generate_bars
from fairlead.data.synthetic.quotes import QUOTE_SCHEMA, generate_quotes, quote_events
from fairlead.data.synthetic.settings import JumpSettings, QuoteSettings, RegimeSettings, SyntheticSettings, describe

__all__ = [
    "QUOTE_SCHEMA",
    "JumpSettings",
    "QuoteSettings",
    "RegimeSettings",
    "SyntheticSettings",
    "describe",
    "generate_bar_batches",
    "generate_bars",
    "generate_quotes",
    "quote_events",
]
