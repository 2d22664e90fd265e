"""How seconds and quality grow with the size of the data, of the audit, and of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.charts.chart_parts import (
    Chart,
    axis,
    dashed_by,
    metric_tips,
    number_format,
    panel_title,
    panelled,
    records,
    titled,
)
from analysis.scaling import sweeps

SIZE_TITLES = {
    "train_examples": "train examples",
    "classes": "classes",
    "audit_examples": "audit examples",
    "forget_fraction": "share to forget",
    "workers": "trials at a time",
}


def scaling_chart(
    frame: pd.DataFrame, metrics: Sequence[str] = ("seconds", "test_acc"), *, columns: int = 2
) -> Chart | None:
    """Each metric against each size that a sweep varied, with what retraining takes and reaches.

    Raises:
        ValueError: the frame holds no sweep of sizes.
    """
    found = {size: own[own["method"] != "original"] for size, own in sweeps(frame).items()}
    runs = frame[(frame["phase"] == "scaling") & (frame["status"] == "complete")]
    runs = runs[runs["method"] != "original"]
    methods = sorted(runs["method"].unique(), key=lambda name: (name == "retrain", name))
    panels = [
        _panel(own, size, name, methods)
        for size, own in found.items()
        for name in metrics
        if own[name].notna().any()
    ]
    return panelled(
        panels,
        columns,
        "Seconds and quality against size",
        f"a mark a run (n = {len(runs)}), lines through their means; seconds are logarithmic",
    )


def _panel(rows: pd.DataFrame, size: str, metric: str, methods: Sequence[str]) -> Chart:
    base = alt.Chart(records(rows, ["method", "trial_id", "seed", size, metric]))
    values = sorted(rows[size].unique().tolist())
    shown = alt.Axis(
        title=SIZE_TITLES[size], values=values, format="~s", grid=False, labelOverlap=True
    )
    x = alt.X(f"{size}:Q", axis=shown)
    place: dict[str, Any] = {"x": x.scale(type="log", nice=False, padding=14)}
    if metric == "seconds":
        shown = alt.Axis(title=titled(metric), tickCount=5, **number_format(metric))
        place["y"] = alt.Y(f"{metric}:Q", axis=shown).scale(type="log", nice=False, padding=14)
    else:
        place["y"] = axis(metric, "y")
    look = dashed_by("method", methods)
    tips = [alt.Tooltip("method:N"), alt.Tooltip("seed:Q"), alt.Tooltip(f"{size}:Q")]
    mean = place["y"].copy()
    mean.aggregate = "mean"
    return alt.layer(
        base.mark_line(strokeWidth=1.8).encode(x=place["x"], y=mean, **look),
        base.mark_point(filled=True, size=45, opacity=0.8).encode(
            **place, color=look["color"], tooltip=[*tips, *metric_tips([metric])]
        ),
    ).properties(width=340, height=190, title=panel_title(SIZE_TITLES[size]))
