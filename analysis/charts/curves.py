"""What happened over time: the training of each trial by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from analysis.charts.marks import (
    coloured_by_alpha,
    finish,
    in_the_game,
    number_format,
    panel_title,
    records,
)
from analysis.formats import better, unit
from analysis.pareto import OBJECTIVES
from analysis.schema import METRICS
from analysis.summary import CONFIGURATION

CURVES = {"train_loss": "training loss", "utility": "auditor's utility"}


def epochs_chart(
    epochs: pd.DataFrame,
    frame: pd.DataFrame,
    objectives: Sequence[str] = OBJECTIVES,
    *,
    columns: int = 2,
) -> alt.ConcatChart:
    """Training of each candidate: the objectives, training loss and auditor's utility by epoch;
    means over seeds."""
    configured = in_the_game(frame)[["study", "cell", "trial_id", *CONFIGURATION]]
    wanted = [name for name in (*objectives, *CURVES) if name in epochs]
    search = epochs[epochs["phase"] == "search"]
    means = search.groupby(["study", "cell", "trial_id", "epoch"], as_index=False)[wanted].mean()
    rows = means.merge(configured, on=["study", "cell", "trial_id"])
    data = records(rows, ["trial_id", "epoch", *CONFIGURATION, *wanted])
    panels = [_epochs_panel(data, name) for name in wanted if rows[name].notna().any()]
    return finish(
        alt.concat(*panels, columns=columns, spacing=26),
        "Training, one line a trial",
        "objectives at each epoch's end, the others as means over it",
    )


def _epochs_panel(data: alt.InlineData, name: str) -> alt.Chart:
    known = name in METRICS
    heading = METRICS[name].title if known else CURVES[name]
    scale = f"{unit(name)}, {better(name)}" if known else None
    shown = alt.Axis(title=scale, **number_format(name))
    lines = alt.Chart(data).mark_line(strokeWidth=1.25, opacity=0.6)
    return lines.encode(
        x=alt.X("epoch:Q", axis=alt.Axis(title="epoch", tickMinStep=1, format="d", grid=False)),
        y=alt.Y(f"{name}:Q", axis=shown).scale(zero=False),
        color=coloured_by_alpha(),
        detail="trial_id:N",
        tooltip=[alt.Tooltip("trial_id:N"), alt.Tooltip("alpha:Q"), alt.Tooltip("epoch:Q")],
    ).properties(width=340, height=160, title=panel_title(heading))
