"""The first lines of a new strategy, and of its test."""

from __future__ import annotations

import keyword
from typing import Final

from fairlead.core.errors import ConfigurationError
from fairlead.core.identity import slug

_TAKEN: Final = frozenset({"Context", "OrderIntent", "Strategy"})

_STRATEGY: Final = '''\
"""{title}: long above the moving average, in cash below it."""

from fairlead.sdk import Context, OrderIntent, Strategy, parameter


class {cls}(Strategy):
    """Hold the symbol while it closes above its moving average."""
{name_line}
    symbol: str = parameter("AAPL", doc="What to trade.")
    window: int = parameter(20, ge=2, le=500, doc="Bars in the average.")

    def generate_orders(self, context: Context) -> list[OrderIntent]:
        closes = context.historical_data.closes(self.symbol, self.window)
        wants = len(closes) == self.window and closes[-1] > closes.mean()
        holds = context.portfolio.quantity(self.symbol) > 0
        return [] if wants == holds else [OrderIntent.target_weight(self.symbol, 0.95 if wants else 0.0)]
'''

_TEST: Final = '''\
"""The decisions of {cls}, one bar at a time."""

from pathlib import Path

from fairlead.sdk import OrderIntent, StrategyHarness, find_strategy, lint_strategy

SOURCE = Path(__file__).parents[1] / "strategies" / "{slug}.py"
{cls} = find_strategy(f"{{SOURCE}}:{cls}")


def test_buys_above_the_average_and_sells_below_it():
    harness = StrategyHarness({cls}(window=3), symbols=("AAPL",))
    harness.start()
    assert harness.bar("AAPL", close=100) == []
    assert harness.bar("AAPL", close=101) == []
    assert harness.bar("AAPL", close=105) == [OrderIntent.target_weight("AAPL", 0.95)]
    harness.fill(OrderIntent.target_weight("AAPL", 0.95), price=105, quantity=900)
    assert harness.bar("AAPL", close=106) == []
    assert harness.bar("AAPL", close=90) == [OrderIntent.target_weight("AAPL", 0.0)]
    harness.stop()


def test_keeps_the_rules_of_a_strategy():
    assert lint_strategy({cls}) == []
'''


def new_strategy_source(name: str) -> str:
    """Return the source of a working strategy called `name`: a file to start from.

    Raises
    ------
    ConfigurationError
        If no class can be called so.
    """
    stem, cls = _names(name)
    # The class name alone cannot say where `sma_3x` has its underscore.
    derived = slug("".join(f" {c}" if c.isupper() else c for c in cls))
    name_line = "" if derived == stem else f'\n    name = "{stem}"'
    return _STRATEGY.format(title=stem.replace("_", " ").capitalize(), cls=cls, name_line=name_line)


def new_strategy_test_source(name: str) -> str:
    """Return the source of its test: a file for the folder ``tests`` beside the strategy's folder ``strategies``.

    Raises
    ------
    ConfigurationError
        If no class can be called so.
    """
    stem, cls = _names(name)
    return _TEST.format(cls=cls, slug=stem)


def strategy_stem(name: str) -> str:
    """Return the name of the file that a strategy called `name` belongs in, without ``.py``: ``MyCross`` gives ``my_cross``.

    Raises
    ------
    ConfigurationError
        If no class can be called so.
    """
    return _names(name)[0]


def _names(name: str) -> tuple[str, str]:
    stem = slug("".join(f" {c}" if c.isupper() else c for c in name) if name.isidentifier() and not name.isupper() else name)
    cls = "".join(word.capitalize() for word in stem.split("_"))
    has_word = any(c.isalnum() for c in name)
    if not (has_word and stem.isascii() and cls.isidentifier() and not keyword.iskeyword(cls) and cls not in _TAKEN):
        raise ConfigurationError.of(
            "strategy name", "start with a letter and leave a free class name", name, "Try 'my_strategy'."
        )
    return stem, cls
