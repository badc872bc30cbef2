"""Which sessions the compiled loop can run, and why it cannot run the others."""

from __future__ import annotations

from typing import Final

from fairlead.engine.compiled.history import KINDS, commission_numbers, slippage_numbers
from fairlead.engine.session import SessionPlan
from fairlead.sdk.kernel_strategy import KernelStrategy

MOST_BYTES: Final = 2 * 2**30
"""History that is larger than this is streamed by the event loop."""
_BYTES_PER_BAR: Final = 6 * 8


def unfit(plan: SessionPlan) -> str:
    """Return why the event loop has to run a plan; empty if the compiled loop gives the same.

    Parameters
    ----------
    plan : SessionPlan
    """
    settings = plan.execution
    strategies = [allocation.strategy for allocation in plan.allocations]
    if len(strategies) != 1 or not isinstance(strategies[0], KernelStrategy):
        return "it runs kernel strategies, one at a time"
    if settings.fidelity != "bars":
        return f"orders meet {settings.fidelity}, not bars"
    if slippage_numbers(plan) is None:
        return f"slippage model {settings.slippage.model!r} needs more than a bar"
    if commission_numbers(plan) is None:
        return f"commission model {settings.commission.model!r} needs more than an order"
    if settings.account.is_watched or settings.financing.charges:
        return "the account is watched, or financing is charged"
    if settings.financing.not_borrowable or settings.financing.borrowable_units:
        return "not everything can be borrowed"
    for action in plan.source.actions:
        if action.kind not in KINDS:
            return f"{action.symbol} has a corporate action of kind {action.kind}"
    if plan.source.expected_rows * len(plan.source.symbols) * _BYTES_PER_BAR > MOST_BYTES:
        return "the history is larger than 2 GiB"
    return "every event is to be recorded" if plan.record or plan.profile else ""
