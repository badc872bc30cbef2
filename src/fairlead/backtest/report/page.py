"""Fills the page's template with a run's tables and charts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib import resources
from typing import Final

from fairlead.backtest.report import sections
from fairlead.backtest.report.execution import execution_section
from fairlead.backtest.report.figures import build_figures
from fairlead.backtest.report.pricechart import price_charts
from fairlead.backtest.result import Result
from fairlead.contracts.files import canonical_json
from fairlead.core.errors import ContractError

_PLACE: Final = re.compile(r"\{\{(\w+)\}\}")


def render(result: Result) -> str:
    """Return the report of `result` as one HTML page that loads nothing from anywhere."""
    info = result.info
    prices = price_charts(result)
    charts = {"figures": build_figures(result), "prices": prices, "intraday": info.bar_size != "1d"}
    shown = ", ".join(info.symbols[:8]) + (f" and {len(info.symbols) - 8} more" if len(info.symbols) > 8 else "")
    warnings = sections.notices(result)
    return fill(
        _template(),
        {
            "title": escape(info.title),
            "mode": escape(info.mode),
            "dataset": escape(info.dataset),
            "symbols": escape(shown),
            "start": escape(info.start),
            "end": escape(info.end),
            "bar_size": escape(info.bar_size),
            "calendar": escape(info.calendar),
            "fidelity": escape(info.fidelity),
            "run_id": escape(info.run_id),
            "banner": '<div class="banner" role="note"><b>Synthetic data.</b> The prices were generated; '
            "nothing on this page is evidence about a market.</div>"
            if info.synthetic
            else "",
            "warnings": f'<ul class="notices">{warnings}</ul>' if warnings else "",
            "tiles": sections.tiles(result),
            "monthly": sections.monthly_table(result),
            "metrics": sections.metric_tables(result),
            "execution": execution_section(result),
            "trades": sections.trade_tables(result),
            "strategies": sections.strategy_table(result),
            "settings": sections.settings_tables(result),
            "provenance": sections.provenance(result),
            "price_note": escape(prices["note"]),
            "data": script_safe(canonical_json(charts)),
            "plotly": _chart_library(),
        },
    )


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return `template` with every ``{{name}}`` replaced once; what a value contains is not looked at again.

    Raises
    ------
    ContractError
        If the template and `values` do not name the same places.
    """
    places = set(_PLACE.findall(template))
    if places != set(values):
        raise ContractError.of("report template", f"have exactly the places {', '.join(sorted(values))}", sorted(places))
    return _PLACE.sub(lambda match: values[match[1]], template)


def script_safe(text: str) -> str:
    """Return JSON that cannot end the script element it stands in, nor break older script parsers."""
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return safe.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def _template() -> str:
    return resources.files(__package__).joinpath("template.html").read_text(encoding="utf-8")


@cache
def _chart_library() -> str:
    from plotly.offline import get_plotlyjs  # noqa: PLC0415  5 MB of text, read once and only for a report

    return str(get_plotlyjs()).replace("</script", "<\\/script")
