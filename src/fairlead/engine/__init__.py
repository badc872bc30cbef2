"""The loop that every mode shares: clocks, the order of stages, strategies in their own boundaries, the record of a run."""
