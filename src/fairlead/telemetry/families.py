"""The families of domain rule 16.1: name, meaning, labels and buckets, in one place for code, dashboards and alerts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from fairlead.core.errors import ConfigurationError

# Each value of a label is a series that every scrape carries: what names one order, run or instant never ends.
_UNBOUNDED: Final = frozenset(
    {"order_id", "intent_id", "fill_id", "trade_id", "run_id", "trace_id", "signal_id", "ts", "timestamp", "message", "price"}
)
MAX_SERIES: Final = 1_000
ORDER_LATENCY_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 0.6, 1.0, 2.0, 5.0)
CYCLE_BUCKETS: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
# Down to 100 microseconds: a decision has 10 ms at the 95th percentile, a symbol's whole pipeline 200 ms (domain section 15).
_PROCESSING_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0)
_FETCH_BUCKETS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_SLIPPAGE_BUCKETS: Final = (-50.0, -20.0, -10.0, -5.0, -2.0, 0.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_FILL_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)


@dataclass(frozen=True, slots=True)
class Family:
    """A metric by its name; see `CounterFamily`, `GaugeFamily` and `HistogramFamily`.

    Parameters
    ----------
    name : str
        As in domain rule 16.1.
    help : str
        One sentence for the reader of a dashboard.
    labels : tuple of str
        What tells its series apart. Few values each: never an order, an instant or a run.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for label in self.labels:
            if label in _UNBOUNDED:
                remedy = "Log it instead; a metric counts what has few kinds."
                raise ConfigurationError.of(f"label of {self.name}", "have few values", label, remedy)


@dataclass(frozen=True, slots=True)
class CounterFamily(Family):
    """A number that only grows; its name ends in ``_total``."""

    def __post_init__(self) -> None:
        Family.__post_init__(self)
        if not self.name.endswith("_total"):
            raise ConfigurationError.of("name of a counter", "end in _total", self.name)


@dataclass(frozen=True, slots=True)
class GaugeFamily(Family):
    """A number that goes up and down."""


@dataclass(frozen=True, slots=True)
class HistogramFamily(Family):
    """Values counted by size.

    Parameters
    ----------
    buckets : tuple of float
        Upper bounds, rising; the one of infinity goes without saying.
    """

    buckets: tuple[float, ...] = ORDER_LATENCY_BUCKETS

    def __post_init__(self) -> None:
        Family.__post_init__(self)
        rising = all(a < b for a, b in zip(self.buckets, self.buckets[1:], strict=False))
        if not self.buckets or not rising or not all(map(math.isfinite, self.buckets)):
            raise ConfigurationError.of(f"buckets of {self.name}", "be finite and rise", self.buckets)


ORDERS_SENT: Final = CounterFamily("orders_sent_total", "Orders handed to the broker.", ("strategy", "side"))
FILLS: Final = CounterFamily("fills_total", "Fills received.")
REJECTS: Final = CounterFamily("rejects_total", "Orders that the broker rejected.", ("reason",))
CANCELS: Final = CounterFamily("cancels_total", "Orders cancelled.")
ORDER_DUPLICATES: Final = CounterFamily("order_duplicates_total", "Orders and callbacks that came a second time.")
ORDER_TIMEOUTS: Final = CounterFamily("order_timeouts_total", "Orders whose next stage did not come in time.", ("stage",))
GUARD_REJECTIONS: Final = CounterFamily("guard_rejections_total", "Intents that a guard refused.", ("guard",))
KILL_SWITCHES: Final = CounterFamily("kill_switch_triggered_total", "Times a kill switch was triggered.", ("type",))
DLQ_MESSAGES: Final = CounterFamily("dlq_messages_total", "Messages put aside as undeliverable.", ("topic",))
VALIDATION_ERRORS: Final = CounterFamily("validation_errors_total", "Events that broke their contract.", ("event_type",))
PACING_VIOLATIONS: Final = CounterFamily("pacing_violations_total", "Requests beyond the broker's rate.")
RECONNECTS: Final = CounterFamily("reconnects_total", "Connections made anew.")
RECONCILIATION_MISMATCHES: Final = CounterFamily(
    "reconciliation_mismatch_total", "Differences between our books and the broker's.", ("type",)
)
DECISIONS: Final = CounterFamily("decisions_total", "Decisions of the strategies.", ("decision",))
CYCLES: Final = CounterFamily("cycles_total", "Passes of the event loop.")
ERRORS: Final = CounterFamily("errors_total", "Errors by the component that had them.", ("component",))
TRADES: Final = CounterFamily("trades_total", "Round trips closed.")
DATA_GAPS: Final = CounterFamily("data_gaps_total", "Gaps found in market data.")

STRATEGY_PNL: Final = GaugeFamily("strategy_pnl", "Profit of a strategy since its start, account currency.", ("strategy",))
PNL_CURRENT: Final = GaugeFamily("pnl_current", "Profit since the start, as a fraction of starting capital.")
DRAWDOWN_CURRENT: Final = GaugeFamily("drawdown_current", "Fall from the highest equity, as a fraction of it.")
PSR_CURRENT: Final = GaugeFamily("psr_current", "Probabilistic Sharpe ratio of the session; NaN while it is not available.")
DAILY_PNL: Final = GaugeFamily("daily_pnl", "Profit of the current session, account currency.")
PORTFOLIO_VALUE: Final = GaugeFamily("portfolio_value", "Equity, account currency.")
CASH_BALANCE: Final = GaugeFamily("cash_balance", "Cash, account currency.")
POSITIONS_COUNT: Final = GaugeFamily("positions_count", "Open positions.")
GROSS_EXPOSURE: Final = GaugeFamily("gross_exposure", "Sum of absolute position values, as a fraction of equity.")
NET_EXPOSURE: Final = GaugeFamily("net_exposure", "Sum of signed position values, as a fraction of equity.")
REGIME: Final = GaugeFamily("regime", "1 for the market regime that holds, 0 for the others.", ("state",))
KILL_SWITCH_STATE: Final = GaugeFamily("kill_switch_state", "0 armed, 1 warning, 2 triggered.", ("type",))
DATA_COMPLETENESS: Final = GaugeFamily("data_completeness", "Share of the expected bars that came.", ("symbol",))
QUOTE_AGE: Final = GaugeFamily("quote_age_seconds", "Age of the latest quote.", ("symbol",))
PACING_TOKENS: Final = GaugeFamily("pacing_tokens", "Requests that the broker's rate still allows.")
ORDER_INTENTS_PENDING: Final = GaugeFamily("order_intents_pending", "Intents journalled and not yet sent.")
BANDIT_WEIGHT: Final = GaugeFamily("bandit_weight", "Weight of an arm of the bandit.", ("arm",))
EFFECTIVE_BLEND: Final = GaugeFamily("effective_blend", "Share of the models in the blend of models and rules.")
FEATURE_DRIFT_PSI: Final = GaugeFamily(
    "feature_drift_psi",
    "Population stability index of a feature's values against the reference window; NaN where there are too few values.",
    ("feature",),
)
BUILD_INFO: Final = GaugeFamily("build_info", "1, labelled with the version that runs.", ("version", "python"))

ORDER_LATENCY: Final = HistogramFamily("order_latency_seconds", "Time of an order in each stage.", ("stage",))
CYCLE_DURATION: Final = HistogramFamily("cycle_duration_seconds", "Time of one pass of the loop.", (), CYCLE_BUCKETS)
STAGE_DURATION: Final = HistogramFamily(
    "stage_duration_seconds", "Time of one stage of a pass.", ("stage",), _PROCESSING_BUCKETS
)
DATA_FETCH_LATENCY: Final = HistogramFamily("data_fetch_latency_seconds", "Time of a request for data.", (), _FETCH_BUCKETS)
EVENT_PROCESSING: Final = HistogramFamily(
    "event_processing_seconds", "Time from an event's arrival to the end of its processing.", (), _PROCESSING_BUCKETS
)
SLIPPAGE: Final = HistogramFamily("slippage_bps", "Slippage of fills, basis points; a cost above zero.", (), _SLIPPAGE_BUCKETS)
FILL_DELAY: Final = HistogramFamily("fill_delay_seconds", "Time from an acknowledgement to the fill.", (), _FILL_BUCKETS)

FAMILIES: Final[tuple[Family, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Family))
