"""One compiled run as a session: `run_session` for plans that the compiled loop can run."""

from __future__ import annotations

from fairlead.core.errors import ConfigurationError
from fairlead.engine.compiled.fitness import unfit
from fairlead.engine.compiled.playback import record_of
from fairlead.engine.compiled.runs import CompiledRuns
from fairlead.engine.record import RunRecord
from fairlead.engine.session import SessionPlan, run_session
from fairlead.sdk.kernel_strategy import KernelStrategy


def run_compiled(plan: SessionPlan) -> RunRecord:
    """Run a session of one kernel strategy in the compiled loop, and return the record that `run_session` returns.

    A strategy that wants what is refused in words, an infinite position say, is run by the event loop, which says them.

    Raises
    ------
    ConfigurationError
        If the compiled loop cannot run the plan; the text says why.
    """
    reason = unfit(plan)
    strategy = plan.allocations[0].strategy if plan.allocations else None
    if reason or not isinstance(strategy, KernelStrategy):
        raise ConfigurationError(f"the compiled loop cannot run this session: {reason}. Use run_session.")
    runs = CompiledRuns(plan)
    _, run = next(runs.run([strategy], tape=True))
    return record_of(runs.history, strategy, run) if run.is_sure else run_session(plan)
