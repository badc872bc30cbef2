"""Seeing what runs: timers now; logs, metrics and health as the planes arrive."""
