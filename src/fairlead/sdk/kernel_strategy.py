"""`KernelStrategy`: a strategy that is one function of numbers, compiled, the same in an event loop and in a sweep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Final

import numpy as np

from fairlead.core.arrays import FloatArray
from fairlead.core.bars import BarSlice
from fairlead.core.errors import ConfigurationError
from fairlead.core.intents import OrderIntent
from fairlead.sdk.context import Context
from fairlead.sdk.decisions import POSITION, Decision
from fairlead.sdk.scan import BOOK_ROWS, FIELDS, Arguments, Scan, arguments_of, compiled_scan
from fairlead.sdk.strategy import Intents, Strategy

_ENGINES_OWN: Final = ("on_start", "on_market_event", "generate_orders", "save_state", "load_state", "event_type")
_LARGEST: Final = 2**53
"""The whole numbers up to here are float64 numbers."""
_HOOKS: Final = ("on_order_update", "on_corporate_action", "on_stop")


class KernelStrategy(Strategy):
    """Base of strategies whose decision is one compiled function.

    A subclass declares parameters and features as any strategy does, and writes `decide`, a static method. Its arguments are
    found by their names: ``open_``, ``high``, ``low``, ``close``, ``volume`` of the bar; ``position`` (signed units held),
    ``average_price`` (0.0 when flat), ``cash`` and ``equity``; the label of a feature, or ``label_output`` if it has several
    outputs; the name of a parameter that is a number or a flag; and ``state``, numbers of its own for each symbol, zeros
    before the first bar.

    It is called once for each symbol's bar, and not before all features that it names have a value. It returns `HOLD`,
    `target_position` or `target_weight`. It may call functions of its own file, `math` and numpy.

    Attributes
    ----------
    state_size : int
        Numbers in `state`.

    Examples
    --------
    >>> from fairlead.sdk import HOLD, KernelStrategy, parameter, target_position
    >>> class Cross(KernelStrategy):
    ...     shares: float = parameter(100.0, gt=0)
    ...     def required_features(self):
    ...         return {"fast": ("sma", {"n": 20}), "slow": ("sma", {"n": 50})}
    ...     @staticmethod
    ...     def decide(fast, slow, shares):
    ...         return target_position(shares if fast > slow else 0.0)
    """

    event_type: ClassVar[type[BarSlice]] = BarSlice
    state_size: ClassVar[int] = 0
    decide: ClassVar[Callable[..., Decision]]
    """What is wanted after a bar: `HOLD`, `target_position(...)` or `target_weight(...)`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in (*_ENGINES_OWN, *_HOOKS):
            if getattr(cls, name) is not getattr(KernelStrategy, name):
                remedy = "Write `decide`, or derive from Strategy."
                raise ConfigurationError.of(f"{cls.__name__}.{name}", "not be written for a kernel strategy", name, remedy)

    @classmethod
    def kernel(cls) -> Any:
        """Return `decide` as a plain function.

        Raises
        ------
        ConfigurationError
            If the class has none of its own.
        """
        if not hasattr(cls, "decide"):
            raise ConfigurationError.of(f"{cls.__name__}.decide", "be written", "nothing", "It is the strategy's decision.")
        return cls.decide

    def arguments(self) -> Arguments:
        """Return where each argument of `decide` comes from.

        Raises
        ------
        UnknownName, ConfigurationError
            If a name stands for nothing, or for a parameter that is no number.
        """
        return _arguments(type(self), tuple(self.required_features()))  # type: ignore[arg-type]  # mypy takes `hash` of a class for that of its instances

    def numbers(self) -> FloatArray:
        """Return the parameters that `decide` reads, shape (parameters,).

        Raises
        ------
        ConfigurationError
            If one is a whole number that a float64 does not hold.
        """
        given = {name: getattr(self, name) for name in self.arguments().parameters}
        for name, value in given.items():
            if isinstance(value, int) and abs(value) > _LARGEST:
                raise ConfigurationError.of(f"{type(self).__name__}.{name}", f"be within {_LARGEST:,} of 0", value)
        return np.array([float(value) for value in given.values()])

    def scan(self) -> Scan:
        """Return `decide` compiled into its loop over bars."""
        return compiled_scan(type(self).__name__, self.kernel(), self.arguments())

    def on_start(self, context: Context) -> None:
        """Compile, and begin with a state of zeros."""
        count = len(context.symbols)
        self._scan, self._arguments, self._numbers = self.scan(), self.arguments(), self.numbers()
        self._states = np.zeros((count, self.state_size))
        self._columns = {symbol: i for i, symbol in enumerate(context.symbols)}
        self._market, self._book = np.full((1, count, len(FIELDS) + 1), np.nan), np.zeros((BOOK_ROWS, count))
        self._values = np.empty((len(self._arguments.features), 1, count))
        self._chosen = np.arange(len(self._arguments.features))
        self._decisions, self._found = np.empty((count, 4)), np.empty(count + 1, np.int64)

    def on_market_event(self, event: BarSlice, context: Context) -> None:  # noqa: ARG002  the hook's signature
        """Take in the bars of an instant."""
        for i, name in enumerate(FIELDS):
            self._market[0, :, i] = getattr(event, name)

    def generate_orders(self, context: Context) -> Intents:
        """Ask `decide`, symbol by symbol."""
        book, portfolio = self._book, context.portfolio
        book[:2] = 0.0
        for symbol, position in portfolio.positions.items():
            book[:2, self._columns[symbol]] = position.quantity, position.average_price
        for i, (label, output) in enumerate(self._arguments.features):
            self._values[i, 0] = context.features.row(label, output)
        net = portfolio.net_exposure if self._arguments.reads_equity else 0.0
        self._scan(
            *(0, 1, self._market, self._values, self._chosen, self._numbers, self._states, portfolio.cash, net, book),
            *(_NO_SEQUENCE, 0, 0.0, self._decisions, self._found),
        )
        return [self._intent(context.symbols, i) for i in range(int(self._found[-1]))]

    def _intent(self, symbols: Sequence[str], place: int) -> OrderIntent:
        symbol = symbols[int(self._found[place])]
        kind, amount, stop, target = self._decisions[place].tolist()
        made = OrderIntent.target_position if kind == POSITION else OrderIntent.target_weight
        intent = made(symbol, amount)
        if stop != stop and target != target:
            return intent
        return intent.with_exits(stop_loss=None if stop != stop else stop, take_profit=None if target != target else target)

    def save_state(self) -> dict[str, Any]:
        """Return the numbers that `decide` keeps."""
        return {"states": self._states.tolist()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._states = np.array(state["states"], np.float64).reshape(self._states.shape)


@cache
def _arguments(cls: type[KernelStrategy], labels: tuple[str, ...]) -> Arguments:
    return arguments_of(cls.__name__, cls.kernel(), cls.parameters, labels)


_NO_SEQUENCE: Final = np.empty(0, np.int64)
