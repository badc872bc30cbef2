"""Features: one pure step each, driven over history in machine code and over live slices one at a time, with equal bits."""

from fairlead.features.batch import compute_symbols
from fairlead.features.definition import Feature, Output, Uses, feature, lookback, ring_size
from fairlead.features.frames import compute
from fairlead.features.registry import find_feature, known_features
from fairlead.features.stream import Stream

__all__ = [
    "Feature",
    "Output",
    "Stream",
    "Uses",
    "compute",
    "compute_symbols",
    "feature",
    "find_feature",
    "known_features",
    "lookback",
    "ring_size",
]
