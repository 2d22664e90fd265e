"""The page's figures: Vega-Lite specifications with their headings, and the library that draws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import vl_convert
from markupsafe import Markup

from analysis import charts
from analysis.charts.chart_parts import Chart
from analysis.configurations import cells, of_cell
from analysis.confirm import on_fresh_seeds
from analysis.importances import comparable
from analysis.pareto import candidates
from analysis.report.study import Study
from analysis.scaling import swept
from analysis.sensitivity import differing_in_alpha


def of_the_cell(study: Study, cell: str, objectives: Sequence[str]) -> list[dict[str, Any]]:
    """Return the figures of one cell, in reading order."""
    frame = of_cell(study.frame, cell)
    drawn: dict[str, Chart | None] = {"linked": charts.linked_chart(frame, objectives)}
    drawn["attainment"] = charts.attainment_chart(frame, objectives)
    if study.histograms is not None:
        drawn["histograms"] = charts.histograms_chart(study.histograms, frame, objectives)
    if comparable(frame, objectives):
        drawn["importance"] = charts.importance_chart(frame, objectives)
    alone = len(differing_in_alpha(frame))
    drawn["alpha"] = charts.ablation_chart(frame) if alone else charts.alpha_chart(frame)
    drawn["split"] = charts.split_chart(frame)
    if study.epochs is not None:
        drawn["epochs"] = charts.epochs_chart(study.epochs, frame, objectives)
    return _figures(drawn)


def of_all_cells(study: Study, objectives: Sequence[str]) -> list[dict[str, Any]]:
    """Return the figures of the whole study: its cells side by side."""
    drawn: dict[str, Chart | None] = {}
    if not candidates(study.frame, objectives).empty:
        if len(cells(study.frame)) > 1:
            drawn["fronts"] = charts.front_chart(study.frame, objectives)
        drawn["hypervolume"] = charts.hypervolume_chart(study.frame, objectives)
    if all(len(on_fresh_seeds(study.frame, name)) for name in objectives):
        drawn["confirm"] = charts.confirm_chart(study.frame, objectives)
    if swept(study.frame):
        drawn["scaling"] = charts.scaling_chart(study.frame)
    return _figures(drawn)


def _figures(drawn: dict[str, Chart | None]) -> list[dict[str, Any]]:
    return [figure(name, chart) for name, chart in drawn.items() if chart is not None]


def figure(name: str, chart: Chart) -> dict[str, Any]:
    """Return name, heading, note and specification. The page sets heading and width: its heading
    breaks into lines, which a chart's cannot."""
    spec = chart.to_dict(validate=False)  # altair has looked at its parts; again takes a second
    title = spec.pop("title")
    spec.pop("$schema")
    spec["datasets"] = {key: json.loads(text) for key, text in spec["datasets"].items()}
    note = title["subtitle"]
    note = note if isinstance(note, str) else "; ".join(note)
    return {"name": name, "title": title["text"], "note": note, "spec": _json(spec)}


def _json(value: Any) -> Markup:
    """Return JSON that is safe in a script element: no `<` is left to close or open anything."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))


@cache
def bundle() -> Markup:
    """Return Vega, Vega-Lite and Vega-Embed as one script that offers `vegaEmbed`."""
    code = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return Markup(code.replace("</script", "<\\/script"))
