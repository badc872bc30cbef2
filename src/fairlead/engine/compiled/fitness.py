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
    strange = next((action for action in plan.source.actions if action.kind not in KINDS), None)
    bytes_ = plan.source.expected_rows * len(plan.source.symbols) * _BYTES_PER_BAR
    reasons = {
        "it runs kernel strategies, one at a time": len(strategies) != 1 or not isinstance(strategies[0], KernelStrategy),
        f"orders meet {settings.fidelity}, not bars": settings.fidelity != "bars",
        f"slippage model {settings.slippage.model!r} needs more than a bar": slippage_numbers(plan) is None,
        f"commission model {settings.commission.model!r} needs more than an order": commission_numbers(plan) is None,
        "validator and guards are asked before every order": plan.is_guarded,
        "the account is watched": settings.account.is_watched,
        "holding is charged": settings.financing.charges,
        "not everything can be borrowed": settings.financing.not_borrowable or settings.financing.borrowable_units,
        f"{strange and strange.symbol} has an action that is neither split nor dividend": strange is not None,
        "the history is larger than 2 GiB": bytes_ > MOST_BYTES,
        "every event is to be recorded, or every stage timed": plan.record or plan.profile,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")
