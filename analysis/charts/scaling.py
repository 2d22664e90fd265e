"""Charts of seconds and quality against the size of the data, the audit and the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.charts import chart_parts as parts
from analysis.configurations import complete
from analysis.scaling import size_title, sweeps


def scaling_chart(
    frame: pd.DataFrame, metrics: Sequence[str] = ("seconds", "test_acc")
) -> parts.Chart | None:
    """Draw each metric against each size that a sweep varied, for each method and retraining.

    Raises:
        ValueError: the frame holds no sweep of sizes.
    """
    by_size = {size: rows[rows["method"] != "original"] for size, rows in sweeps(frame).items()}
    runs = complete(frame[frame["method"] != "original"], "scaling")
    methods = sorted(runs["method"].unique(), key=lambda name: (name == "retrain", name))
    panels = [
        _panel(rows, size, name, methods)
        for size, rows in by_size.items()
        for name in metrics
        if rows[name].notna().any()
    ]
    note = f"a mark a run (n = {len(runs)}), lines through their means; seconds are logarithmic"
    return parts.panelled(panels, 2, "Seconds and quality against size", note)


def _panel(rows: pd.DataFrame, size: str, metric: str, methods: Sequence[str]) -> parts.Chart:
    base = parts.chart(rows, ["method", "trial_id", "seed", size, metric])
    values = sorted(rows[size].unique().tolist())
    shown = alt.Axis(
        title=size_title(size), values=values, format="~s", grid=False, labelOverlap=True
    )
    x = alt.X(f"{size}:Q", axis=shown)
    place: dict[str, Any] = {"x": x.scale(type="log", nice=False, padding=14)}
    if metric == "seconds":
        shown = alt.Axis(title=parts.titled(metric), tickCount=5, **parts.number_format(metric))
        place["y"] = alt.Y(f"{metric}:Q", axis=shown).scale(type="log", nice=False, padding=14)
    else:
        place["y"] = parts.axis(metric, "y")
    look = parts.dashed_by("method", methods)
    tips = [alt.Tooltip("method:N"), alt.Tooltip("seed:Q"), alt.Tooltip(f"{size}:Q")]
    mean = place["y"].copy()
    mean.aggregate = "mean"
    return alt.layer(
        base.mark_line(strokeWidth=1.8).encode(x=place["x"], y=mean, **look),
        base.mark_point(filled=True, size=45, opacity=0.8).encode(
            **place, color=look["color"], tooltip=[*tips, *parts.metric_tips([metric])]
        ),
    ).properties(width=340, height=190, title=parts.panel_title(size_title(size)))
