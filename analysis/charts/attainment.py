"""Attainment: the trade-offs that a given share of the seeds reaches."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from analysis.attainment import attainment
from analysis.charts import chart_parts as parts
from analysis.pareto import OBJECTIVES, candidates

SHARE = "share of the seeds"


def attainment_chart(
    frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES
) -> parts.Chart | None:
    """Draw the trade-offs that a quarter, half and three quarters of the seeds reach in one cell.

    None unless there are two objectives and every configuration has two or more seeds.
    """
    rows = candidates(frame, objectives)
    if len(objectives) != 2 or rows.empty or rows["seeds"].min() < 2:
        return None
    surfaces = attainment(frame, objectives)
    surfaces[SHARE] = surfaces["level"].map("{:.0f} %".format)
    shares = list(surfaces.sort_values("level")[SHARE].unique())
    x, y = (parts.axis(name, channel) for name, channel in zip(objectives, "xy", strict=True))
    tips = [f"{SHARE}:N", *parts.metric_tips(objectives)]
    base = alt.Chart(parts.records(surfaces, [SHARE, *objectives]))
    line = base.mark_line(interpolate=parts.step_from(objectives[0]), strokeWidth=1.8).encode(
        x=x, y=y, tooltip=tips, **parts.dashed_by(SHARE, shares)
    )
    corner = base.mark_circle(size=28, opacity=0.9).encode(
        x=x, y=y, color=line.encoding.color, tooltip=tips
    )
    return parts.finish(
        alt.layer(line, corner).properties(width=640, height=300),
        "What a share of the seeds reaches",
        f"each line bounds what at least that share of {surfaces['seeds'].max()} seeds attains",
    )
