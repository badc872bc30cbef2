"""Exploration: pictures and quick looks for a person at a desk. Nothing that trades imports it."""
