"""Attainment: how good a trade-off which share of the seeds reaches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.attainment import attainment
from analysis.charts.chart_parts import Chart, axis, dashed_by, finish, metric_tips, records
from analysis.pareto import OBJECTIVES, candidates
from sgu.results.schema import METRICS

SHARE = "share of the seeds"


def attainment_chart(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> Chart | None:
    """The trade-offs that a quarter, half and three quarters of the seeds reach, of one cell.

    None unless there are two objectives and every configuration has two or more seeds.
    """
    rows = candidates(frame, objectives)
    if len(objectives) != 2 or rows.empty or rows["seeds"].min() < 2:
        return None
    found = attainment(frame, objectives)
    found[SHARE] = found["level"].map("{:.0f} %".format)
    shares = list(found.sort_values("level")[SHARE].unique())
    x, y = (axis(name, channel) for name, channel in zip(objectives, "xy", strict=True))
    step: Any = "step-after" if METRICS[objectives[0]].goal == "min" else "step-before"
    tips = [f"{SHARE}:N", *metric_tips(objectives)]
    base = alt.Chart(records(found, [SHARE, *objectives]))
    line = base.mark_line(interpolate=step, strokeWidth=1.8).encode(
        x=x, y=y, tooltip=tips, **dashed_by(SHARE, shares)
    )
    corner = base.mark_circle(size=28, opacity=0.9).encode(
        x=x, y=y, color=line.encoding.color, tooltip=tips
    )
    return finish(
        alt.layer(line, corner).properties(width=640, height=300),
        "What a share of the seeds reaches",
        f"each line bounds what at least that share of {found['seeds'].max()} seeds attains",
    )
