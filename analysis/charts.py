"""Figures of a study: front, what holds on test, each parameter's effect, the training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from analysis.formats import better, unit
from analysis.marks import (
    CONTROL_COLOURS,
    SWEPT,
    axis,
    coloured_by_alpha,
    control_points,
    control_rules,
    finish,
    front_line,
    front_rings,
    in_the_game,
    number_format,
    panel_title,
    records,
    tooltip,
    trial_data,
    trial_points,
)
from analysis.pareto import OBJECTIVES, hypervolume, pareto_front
from analysis.schema import METRICS
from analysis.summary import CONFIGURATION, controls, counts_line

CURVES = {"train_loss": "training loss", "utility": "auditor's utility"}

Chart = alt.Chart | alt.LayerChart | alt.ConcatChart


def front_chart(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> alt.LayerChart:
    """Every complete trial in the plane of the first two objectives, the front, the controls.

    With more objectives the picture is a projection and no line joins the front.

    Raises:
        ValueError: as `pareto_front`.
    """
    x, y = objectives[:2]
    front = pareto_front(frame, objectives)
    line = [front_line(front, x, y)] if len(objectives) == 2 else []
    points = trial_points(in_the_game(frame), x, y, objectives)
    layers = [points, *line, *control_points(frame, x, y), front_rings(front, x, y, objectives)]
    title = f"{x} against {y}"
    title += "" if line else f", a projection of {len(objectives)} objectives"
    volume = f"{len(front)} on the front (rings), hypervolume {hypervolume(frame, objectives):.4g}"
    return _plane(layers, title, f"{counts_line(frame)}; {volume}")


def split_chart(frame: pd.DataFrame) -> alt.LayerChart:
    """Attack accuracy on val against accuracy on test, with the retrained models' as the target."""
    x, y = "val_mia_acc", "test_acc"
    target = controls(frame, [x, y]).query("name == 'retrain'")
    rule = alt.Chart(records(target, [x, y])).mark_rule(
        strokeDash=[2, 3], color=CONTROL_COLOURS["retrain"]
    )
    rules = [rule.encode(x=axis(x, "x")), rule.encode(y=axis(y, "y"))]
    points = trial_points(in_the_game(frame), x, y, [x, y])
    return _plane(
        [points, *rules, *control_points(frame, x, y)],
        "What the attack finds, what the model still knows",
        "dotted: the retrained models, the target on both axes; test is reported, never selects",
    )


def effect_chart(
    frame: pd.DataFrame,
    objectives: Sequence[str] = OBJECTIVES,
    *,
    where: str = "true",
    columns: int = 3,
) -> alt.ConcatChart:
    """Each objective against each swept parameter, one small panel a pair.

    Points for which `where`, a Vega expression, is false are drawn in grey.
    """
    rows = in_the_game(frame)
    swept = [name for name in SWEPT if (rows[name] > 0).any()]
    panels = [
        alt.layer(
            *control_rules(frame, objective),
            _effect_points(rows[rows[name] > 0], name, objective, objectives, where),
        ).properties(width=225, height=150, title=panel_title(METRICS[objective].title))
        for objective in objectives
        for name in swept
    ]
    return finish(
        alt.concat(*panels, columns=columns, spacing=26),
        "Effect of the game's parameters",
        "dashed: alpha 0; dotted: retrained (means over runs)",
    )


def epochs_chart(
    epochs: pd.DataFrame,
    frame: pd.DataFrame,
    objectives: Sequence[str] = OBJECTIVES,
    *,
    columns: int = 2,
) -> alt.ConcatChart:
    """Training of each candidate: the objectives, retain loss and auditor's utility by epoch."""
    configured = in_the_game(frame)[["study", "trial_id", *CONFIGURATION]]
    rows = epochs.merge(configured, on=["study", "trial_id"])
    wanted = [name for name in (*objectives, *CURVES) if name in rows]
    data = records(rows, ["trial_id", "epoch", *CONFIGURATION, *wanted])
    panels = [_epochs_panel(data, name) for name in wanted if rows[name].notna().any()]
    return finish(
        alt.concat(*panels, columns=columns, spacing=26),
        "Training, one line a trial",
        "objectives at each epoch's end, the others as means over it",
    )


def save(chart: Chart, path: str | Path) -> Path:
    """Writes `chart` as .png (two pixels a point), .svg or .html, offline; returns the path."""
    path = Path(path)
    if path.suffix not in (".png", ".svg", ".html"):
        raise ValueError(f"cannot write a chart to {path.name}: end it in .png, .svg or .html")
    options: dict[str, Any] = {"inline": True} if path.suffix == ".html" else {"scale_factor": 2}
    chart.save(str(path), **options)
    return path


def _plane(layers: Sequence[alt.Chart], title: str, subtitle: str) -> alt.LayerChart:
    chart = alt.layer(*layers).resolve_scale(color="independent", shape="independent")
    return finish(chart.properties(width=640, height=400), title, subtitle)


def _effect_points(
    rows: pd.DataFrame, parameter: str, objective: str, objectives: Sequence[str], where: str
) -> alt.Chart:
    values = sorted(rows[parameter].unique().tolist())
    ticks: dict[str, Any] = {"values": values} if len(values) <= 8 else {"tickCount": 4}
    shown = alt.Axis(title=parameter, format="~g", labelOverlap=True, grid=False, **ticks)
    x = alt.X(f"{parameter}:Q", axis=shown).scale(type="log", nice=False, padding=12)
    points = alt.Chart(trial_data(rows, objectives)).mark_circle(size=40, opacity=0.75)
    return points.encode(
        x=x,
        y=axis(objective, "y", short=True),
        color=coloured_by_alpha(where),
        tooltip=tooltip(objectives),
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
