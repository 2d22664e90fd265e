"""What happened over time: what a search had reached, and the training of each trial."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from analysis.anytime import anytime
from analysis.charts.chart_parts import (
    Chart,
    coloured_by_alpha,
    dashed_by,
    in_the_game,
    labelled,
    number_format,
    panel_title,
    panelled,
    records,
)
from analysis.formats import better, unit
from analysis.pareto import OBJECTIVES
from analysis.summary import CONFIGURATION
from analysis.volumes import hypervolumes
from sgu.results.schema import METRICS

CURVES = {"train_loss": "training loss", "utility": "auditor's utility"}


def hypervolume_chart(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> Chart:
    """The hypervolume that the search of each cell had reached, against trials and against
    seconds; at a curve's end, the interval over seeds of what was reached.

    Raises:
        ValueError: as `pareto_front`.
    """
    ends = labelled(hypervolumes(frame, objectives, by=["study", "cell"]))
    panels = [
        _reached(labelled(anytime(frame, objectives, against)), ends, against)
        for against in ("trials", "seconds")
    ]
    seeds = ends["seeds"].min()
    over = f"bars: 90 % interval over seeds (n = {seeds} or more)" if seeds > 1 else "one seed"
    return panelled(
        panels,
        2,
        "What the search had reached",
        f"hypervolume from the fixed reference, higher is better; {over}",
    )


def _reached(curves: pd.DataFrame, ends: pd.DataFrame, against: str) -> Chart:
    """Of the cells that have an end: one without a candidate has reached nothing."""
    names = sorted(ends["cell"])
    curves = curves[curves["cell"].isin(names)]
    unit_ = "trials" if against == "trials" else "seconds of all trials (s)"
    x = alt.X(f"{against}:Q", axis=alt.Axis(title=unit_, format="~s", grid=False))
    y = alt.Y("hypervolume:Q", title="hypervolume").scale(zero=False)
    look = dashed_by("cell", names)
    line = alt.Chart(records(curves, ["cell", against, "hypervolume"])).mark_line(
        interpolate="step-after", strokeWidth=1.8
    )
    tips = [alt.Tooltip("cell:N"), alt.Tooltip(f"{against}:Q", format=".4~g")]
    tips.append(alt.Tooltip("hypervolume:Q", format=".4f"))
    layers = [line.encode(x=x, y=y, tooltip=tips, **look)]
    last = ends.dropna().merge(curves.groupby("cell", as_index=False)[against].max(), on="cell")
    if len(last):
        last[against] += 0.015 * last[against].max() * (1 + last.index)  # not one on the other
        bar = alt.Chart(records(last, ["cell", against, "low", "high", "hypervolume"]))
        place = {"x": x, "y": alt.Y("low:Q"), "y2": "high:Q"}
        layers.append(
            bar.mark_rule(strokeWidth=2).encode(**place, color=look["color"], tooltip=tips)
        )
    return alt.layer(*layers).properties(width=340, height=200)


def epochs_chart(
    epochs: pd.DataFrame,
    frame: pd.DataFrame,
    objectives: Sequence[str] = OBJECTIVES,
    *,
    columns: int = 2,
) -> Chart | None:
    """Training of each candidate: the objectives, training loss and auditor's utility by epoch;
    means over seeds. None where no candidate has a curve."""
    configured = in_the_game(frame)[["study", "cell", "trial_id", *CONFIGURATION]]
    wanted = [name for name in (*objectives, *CURVES) if name in epochs]
    search = epochs[epochs["phase"] == "search"]
    means = search.groupby(["study", "cell", "trial_id", "epoch"], as_index=False)[wanted].mean()
    rows = means.merge(configured, on=["study", "cell", "trial_id"])
    data = records(rows, ["study", "cell", "trial_id", "epoch", *CONFIGURATION, *wanted])
    panels = [_epochs_panel(data, name) for name in wanted if rows[name].notna().any()]
    return panelled(
        panels,
        columns,
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
        detail=["study:N", "cell:N", "trial_id:N"],
        tooltip=["cell:N", "trial_id:N", "alpha:Q", "epoch:Q"],
    ).properties(width=340, height=160, title=panel_title(heading))
