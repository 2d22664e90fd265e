"""Parallel coordinates: each configuration is a line through its settings and its metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analysis.charts import chart_parts as parts
from analysis.configurations import searched
from analysis.formats import arrow, metric_text, plain_text, unit
from analysis.pareto import OBJECTIVES

GATE = "gate"
LINE = 12  # points from one line of a label to the next
PASSES = (
    f"!{GATE}.position || indexof({GATE}.axis, datum.axis) < 0 || "
    f"inrange(datum.position, {GATE}.position)"
)


def parallel_chart(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> parts.Chart:
    """Draw a line a configuration, through the searched settings, the objectives and the seconds;
    an interval drawn on an axis keeps the lines that pass through it."""
    return parts.finish(
        lines(frame, objectives),
        "Settings and outcomes, one line a configuration",
        f"n = {len(parts.in_the_game(frame))}; draw on an axis to keep the lines that pass there",
    )


def lines(frame: pd.DataFrame, objectives: Sequence[str], *conditions: Any) -> parts.Chart:
    """Draw the chart without a heading; a line is grey if one of `conditions` does not hold."""
    rows = parts.in_the_game(frame)
    axes = _axes(rows, [*dict.fromkeys([*objectives, "seconds"])])
    names = [axis["axis"] for axis in axes]
    places = pd.DataFrame({axis["axis"]: axis.pop("places") for axis in axes}, index=rows.index)
    depth = max(name.count("|") for name in names) + 1
    x = alt.X(
        "axis:N",
        sort=names,
        axis=alt.Axis(
            title=None, orient="top", labelAngle=0, labelExpr="split(datum.label, '|')",
            domain=False, ticks=False, grid=True, gridColor="#bbbbbb",
            labelPadding=8 + LINE * depth, labelLineHeight=LINE,
        ),
    )  # fmt: skip
    y = alt.Y("position:Q", axis=None).scale(domain=[0, 1])
    gate = alt.selection_interval(name=GATE)
    drawn = (
        parts.trials(rows.join(places), objectives, names)
        .transform_fold(names, as_=["axis", "position"])
        .transform_calculate(passes=PASSES)
        .transform_joinaggregate(held="min(passes)", groupby=["cell", "trial_id"])
        .mark_line(strokeWidth=1.3, opacity=0.7)
        .encode(
            x=x,
            y=y,
            detail=["cell:N", "trial_id:N"],
            color=parts.coloured_by_alpha(*conditions, alt.datum.held > 0, legend=False),
        )
        .add_params(gate)
    )
    ends = parts.chart(pd.DataFrame(axes), ["axis", "least", "most"])
    text: dict[str, Any] = {"fontSize": 10, "color": parts.MUTED, "tooltip": False}
    top = ends.mark_text(**text, dy=-9).encode(x=x, y=alt.value(0), text="most:N")
    bottom = ends.mark_text(**text, dy=11).encode(x=x, y=alt.value("height"), text="least:N")
    return alt.layer(drawn, top, bottom).properties(width=640, height=240)


def _axes(rows: pd.DataFrame, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return the name, the labels of both ends and each row's place, 0 to 1, of every axis."""
    settings = searched(rows)
    axes = [
        {"axis": f"{name.replace('_', '|')}|", **_setting_axis(settings[name])}
        for name in settings.columns
    ]
    return axes + [_metric_axis(name, rows[name].astype(float)) for name in metrics]


def _metric_axis(name: str, values: pd.Series) -> dict[str, Any]:
    return {
        "axis": f"{name.replace('_', '|')}|{unit(name)} {arrow(name)}",
        "least": metric_text(name, values.min()),
        "most": metric_text(name, values.max()),
        "places": (values - values.min()) / (np.ptp(values.dropna()) or 1.0),
    }


def _setting_axis(values: pd.Series) -> dict[str, Any]:
    """Place numbers by value (logarithmic if all are above 0), and words in their order."""
    if not pd.api.types.is_numeric_dtype(values):
        words = sorted(values.dropna().astype(str).unique())
        ranks = values.astype(str).map({word: rank for rank, word in enumerate(words)})
        place = ranks / max(1, len(words) - 1)
        return {"least": words[0], "most": words[-1], "places": place}
    numbers = values.astype(float)
    placed = numbers.map(math.log) if (numbers.dropna() > 0).all() else numbers
    place = (placed - placed.min()) / (np.ptp(placed.dropna()) or 1.0)
    least, most = plain_text(float(numbers.min())), plain_text(float(numbers.max()))
    return {"least": least, "most": most, "places": place}
