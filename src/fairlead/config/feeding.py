"""From the data section of a paper session to its feed: what is known of it, and how what it brings waits for the loop."""

from __future__ import annotations

from fairlead.config.announced import announced_actions
from fairlead.config.loading import LoadedConfig
from fairlead.core.errors import ConfigurationError, UnknownName
from fairlead.data.live import AggregationSettings, EventQueue, LiveDataSettings, Queued
from fairlead.data.live.source import FeedFacts, FeedSource


def live_source(loaded: LoadedConfig, data: LiveDataSettings) -> tuple[FeedFacts, FeedSource]:
    """Return what is known of a live feed, and a source that has its facts and no data.

    Raises
    ------
    ConfigurationError
        If bars cannot be made as the settings ask; the text names file and line.
    """
    symbols = tuple(sorted(set(data.symbols)))
    facts = FeedFacts(
        name=data.feed,
        symbols=symbols,
        bar_size=data.bar_size,
        calendar=data.calendar,
        actions=announced_actions(loaded, data, symbols),
        aggregate=data.aggregate,
    )
    if data.aggregate is not None:
        _check_aggregate(loaded, data.aggregate)
    try:
        return facts, FeedSource(facts, EventQueue())
    except UnknownName as exc:
        raise loaded.problem(("data", "calendar"), exc) from exc
    except ConfigurationError as exc:
        raise loaded.problem(("data", "bar_size"), exc) from exc


def _check_aggregate(loaded: LoadedConfig, asked: AggregationSettings) -> None:
    where = ("data", "aggregate")
    if asked.late == "amend":
        rule = "be 'drop' in a session: a bar that was decided on stays what it was"
        remedy = "Use grace_s, to wait for what comes late."
        raise loaded.problem(where, ConfigurationError.of("late", rule, asked.late, remedy), fields=("late",))
    if asked.source == "quotes" and asked.volume == "none":
        rule = "be 'displayed' for bars of quotes in a session, where nothing fills in a bar without volume"
        raise loaded.problem(where, ConfigurationError.of("volume", rule, asked.volume), fields=("volume",))


def queue_of(data: object) -> EventQueue[Queued]:
    """Return the queue between a session's feed and its loop."""
    if not isinstance(data, LiveDataSettings):
        return EventQueue(conflate=False)
    # A quote that gave way would be missing in the bar that is made of them.
    is_made_of_quotes = data.aggregate is not None and data.aggregate.source == "quotes"
    return EventQueue(data.queue_size, conflate=data.conflate_quotes and not is_made_of_quotes)
