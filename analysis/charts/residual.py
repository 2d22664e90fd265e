"""The decision in one picture: residual memory against what it costs."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.charts import chart_parts as parts
from analysis.configurations import complete
from analysis.pareto import eligible
from analysis.residual import judgements
from analysis.summary import is_no_game, power
from sgu.results.schema import REFERENCES
from sgu.results.verdicts import MARGIN

VERDICTS = ("like retrained", "undecided", "remembers", "over-forgotten")
VERDICT_LOOK = {
    "color": ("#009E73", "#8a7d00", parts.VERMILION, parts.PURPLE),
    "shape": ("circle", "diamond", "triangle-up", "triangle-down"),
}
MEMORY = alt.Axis(
    title="residual memory (%; 0 is like retraining, 100 like the original)",
    labelExpr="format(100 * datum.value, '~g')",
    tickCount=7,
)


def residual_chart(
    frame: pd.DataFrame, chosen: tuple[str, str] | None = None, metric: str = "val_acc"
) -> parts.Chart | None:
    """Draw the residual memory of each trial of one data set, with its interval, against a metric
    (val_acc, or its price in seconds), beside the retrained models at 0 and the original at 100 %;
    the margin is shaded. None if no trial has a verdict.

    chosen: cell and trial_id of the trial to mark.
    """
    judged = judgements(frame)
    rows = parts.judged(eligible(frame, [metric]), judged).dropna(subset=["residual", "verdict"])
    if rows.empty:
        return None
    x = parts.axis(metric, "x")
    y = _y("residual")
    cell, trial = chosen or ("", "")
    mark = rows[(rows["cell"] == cell) & (rows["trial_id"] == trial)]
    layers = [*_ground(), *_references(frame, x, y), *_trials(rows, x, y), *_chosen(mark, x, y)]
    figure = alt.layer(*layers).resolve_scale(color="independent", shape="independent")
    note = f"shaded: the margin, ±{100 * MARGIN:.0f} %; bars: 95 % intervals"
    lines = [note, " ".join(power(judged.values()))]
    return parts.finish(figure.properties(width=640, height=330), "What is left of forget", lines)


def _y(column: str) -> alt.Y:
    return alt.Y(f"{column}:Q", axis=MEMORY)


def _ground() -> list[alt.Chart]:
    """Draw the margin as a shade, and a line at 0."""
    ends = pd.DataFrame([{"zero": 0.0, "low": -MARGIN, "high": MARGIN}])
    base = parts.chart(ends, list(ends.columns))
    shade = base.mark_rect(color="#009E73", opacity=0.12, tooltip=False)
    zero = base.mark_rule(color=parts.BLUE, strokeDash=[2, 3], tooltip=False)
    return [shade.encode(y=_y("low"), y2="high:Q"), zero.encode(y=_y("zero"))]


def _trials(rows: pd.DataFrame, x: Any, y: Any) -> list[alt.Chart]:
    """Draw each trial with its interval; its verdict is its colour, and its shape unless several
    methods were searched, which then have one each."""
    several = rows.loc[~is_no_game(rows), "method"].nunique() > 1
    key = parts.legend("verdict", columns=1 if several else 2)
    look = parts.told_apart("verdict", VERDICTS, VERDICT_LOOK, key)
    if several:
        methods = sorted(rows["method"].unique())
        shapes = {"shape": parts.METHOD_SHAPES}
        look |= parts.told_apart("method", methods, shapes, parts.legend("method", columns=1))
    names = [parts.name_of(x)]
    base = parts.trials(rows, names, ["residual", "residual_low", "residual_high"])
    bars = base.mark_rule(opacity=0.45, strokeWidth=1.5)
    points = base.mark_point(filled=True, size=75, opacity=0.95, stroke="white", strokeWidth=0.8)
    ends = {"y": parts.re_aimed(y, "residual_low"), "y2": "residual_high:Q"}
    colour = parts.told_apart("verdict", VERDICTS, VERDICT_LOOK)["color"]
    return [bars.encode(x=x, color=colour, **ends), points.encode(x=x, y=y, **look)]


def _references(frame: pd.DataFrame, x: Any, y: Any) -> list[alt.Chart]:
    """Draw each retrained model at 0 and the original at 1, where the scale has them."""
    name = parts.name_of(x)
    rows = complete(frame)
    rows = rows[rows["method"].isin(REFERENCES)].dropna(subset=[name])
    rows = rows.assign(residual=(rows["method"] == "original").astype(float))
    means = rows.groupby("method", as_index=False)[[name, "residual"]].mean()
    look = parts.told_apart("method", parts.CONTROLS, parts.CONTROL_LOOK)
    runs = parts.chart(rows, ["method", "trial_id", name, "residual"])
    text: dict[str, Any] = {
        "dy": -13, "dx": -6, "align": "right", "fontSize": 11, "fontWeight": 600,
    }  # fmt: skip
    base = parts.chart(means, ["method", name, "residual"])
    halo = base.mark_text(**text, stroke="white", strokeWidth=4, strokeJoin="round")
    marks = [
        runs.mark_point(size=70, filled=True, opacity=0.8).encode(**look, tooltip=["trial_id:N"]),
        halo.encode(text="method:N"),
        base.mark_text(**text).encode(text="method:N", color=look["color"]),
    ]
    return [mark.encode(x=x, y=y) for mark in marks]


def _chosen(rows: pd.DataFrame, x: Any, y: Any) -> list[alt.Chart]:
    """Draw a ring around the choice, and its name."""
    label = rows.assign(label="choice: " + rows["trial_id"].astype(str))
    base = parts.chart(label, ["label", "residual", parts.name_of(x)]).encode(x=x, y=y)
    ring = base.mark_point(size=320, stroke=parts.INK, strokeWidth=2, fill="transparent", opacity=1)
    text: dict[str, Any] = {"dy": 22, "fontSize": 12, "fontWeight": 700}
    halo = base.mark_text(**text, stroke="white", strokeWidth=4, strokeJoin="round")
    name = base.mark_text(**text, color=parts.INK)
    return [ring, halo.encode(text="label:N"), name.encode(text="label:N")] if len(rows) else []
