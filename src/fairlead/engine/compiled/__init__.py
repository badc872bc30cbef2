"""Kernel strategies in a compiled loop over history: the event loop's rules, the event loop's results, many parameter sets."""

from fairlead.engine.compiled.fitness import unfit
from fairlead.engine.compiled.runs import CompiledRun, CompiledRuns
from fairlead.engine.compiled.session import run_compiled

__all__ = ["CompiledRun", "CompiledRuns", "run_compiled", "unfit"]
