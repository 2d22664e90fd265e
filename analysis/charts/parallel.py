"""Parallel coordinates: each configuration a line through its settings and what came of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analysis.charts.chart_parts import (
    MUTED,
    Chart,
    coloured_by_alpha,
    finish,
    in_the_game,
    records,
    tooltip,
)
from analysis.formats import arrow, metric_text, plain_text, unit
from analysis.pareto import OBJECTIVES
from analysis.settings import names_of, searched
from analysis.summary import CONFIGURATION, shown_metrics

GATE = "gate"
LINE = 12  # points from one line of a label to the next
PASSES = (
    f"!{GATE}.position || indexof({GATE}.axis, datum.axis) < 0 || "
    f"inrange(datum.position, {GATE}.position)"
)


def parallel_chart(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> Chart:
    """A line a configuration, through what was searched and then the objectives and seconds; an
    interval drawn on axes keeps the lines that pass through it."""
    return finish(
        lines(frame, objectives),
        "Settings and outcomes, one line a configuration",
        f"n = {len(in_the_game(frame))}; draw on an axis to keep the lines that pass there",
    )


def lines(frame: pd.DataFrame, objectives: Sequence[str], *conditions: Any) -> Chart:
    """The chart, no heading. conditions: where one of them does not hold, a line is grey."""
    rows = in_the_game(frame)
    axes = _axes(rows, [*dict.fromkeys([*objectives, "seconds"])])
    names = [each["axis"] for each in axes]
    places = pd.DataFrame({each["axis"]: each.pop("places") for each in axes}, index=rows.index)
    depth = max(name.count("|") for name in names) + 1
    data = records(
        rows.join(places),
        [
            "cell",
            "trial_id",
            "method",
            "seeds",
            *CONFIGURATION,
            *shown_metrics(objectives),
            *names,
        ],
    )
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
        alt.Chart(data)
        .transform_fold(names, as_=["axis", "position"])
        .transform_calculate(passes=PASSES)
        .transform_joinaggregate(held="min(passes)", groupby=["cell", "trial_id"])
        .mark_line(strokeWidth=1.3, opacity=0.7)
        .encode(
            x=x,
            y=y,
            detail=["cell:N", "trial_id:N"],
            color=coloured_by_alpha(*conditions, alt.datum.held > 0, legend=False),
            tooltip=tooltip(objectives),
        )
        .add_params(gate)
    )
    ends = alt.Chart(records(pd.DataFrame(axes), ["axis", "least", "most"]))
    text: dict[str, Any] = {"fontSize": 10, "color": MUTED, "tooltip": False}
    top = ends.mark_text(**text, dy=-9).encode(x=x, y=alt.value(0), text="most:N")
    bottom = ends.mark_text(**text, dy=11).encode(x=x, y=alt.value("height"), text="least:N")
    return alt.layer(drawn, top, bottom).properties(width=640, height=240)


def _axes(rows: pd.DataFrame, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Name, end labels and each row's place, 0 to 1, on every axis."""
    settings = searched(rows)
    found = [
        {"axis": f"{name.replace('_', '|')}|", **_axis(settings[name])}
        for name in names_of(settings)
    ]
    for name in metrics:
        values = rows[name].astype(float)
        place = (values - values.min()) / (np.ptp(values.dropna()) or 1.0)
        found.append(
            {
                "axis": f"{name.replace('_', '|')}|{unit(name)} {arrow(name)}",
                "least": metric_text(name, values.min()),
                "most": metric_text(name, values.max()),
                "places": place,
            }
        )
    return found


def _axis(values: pd.Series) -> dict[str, Any]:
    """Of a setting: numbers by value (logarithmic where all are above 0), words in their order."""
    if not pd.api.types.is_numeric_dtype(values):
        words = sorted(values.dropna().astype(str).unique())
        ranks = values.astype(str).map({word: rank for rank, word in enumerate(words)})
        place = ranks / max(1, len(words) - 1)
        return {"least": words[0], "most": words[-1], "places": place}
    numbers = values.astype(float)
    placed = numbers.map(math.log) if (numbers.dropna() > 0).all() else numbers
    place = (placed - placed.min()) / (placed.max() - placed.min())
    least, most = plain_text(float(numbers.min())), plain_text(float(numbers.max()))
    return {"least": least, "most": most, "places": place}
