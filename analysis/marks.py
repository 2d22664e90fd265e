"""The pieces figures are made of: points, controls, axes, tooltips and the one look they share.

Colour is alpha on a logarithmic viridis scale (its pale end cut off); what is not a candidate
(references, alpha 0) has its own Okabe-Ito colour, shape and label, so nothing is told by colour
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.formats import better, unit
from analysis.schema import METRICS, REFERENCES
from analysis.summary import CONFIGURATION, controls, is_no_game, shown_metrics

INK, MUTED, GREY = "#1b1b1b", "#6b6b6b", "#c9c9c9"
CONTROLS = (*REFERENCES, "alpha 0")
CONTROL_COLOURS = dict(zip(CONTROLS, ("#D55E00", "#0072B2", "#CC79A7"), strict=True))
CONTROL_SHAPES = dict(zip(CONTROLS, ("triangle-up", "diamond", "square"), strict=True))
SWEPT = ("alpha", "reg", "solve_every")


def in_the_game(frame: pd.DataFrame) -> pd.DataFrame:
    """Complete trials that are no control."""
    rows = frame[(frame["status"] == "complete") & ~frame["method"].isin(REFERENCES)]
    return rows[~is_no_game(rows)]


def records(rows: pd.DataFrame, columns: Sequence[str]) -> alt.InlineData:
    """`columns` of `rows`, each once, with null where there is no value.

    Inline data that two panels share stands once in a specification, and of any length.
    """
    chosen = rows[list(dict.fromkeys(columns))].astype(object)
    values: list[Any] = chosen.where(chosen.notna(), None).to_dict("records")
    return alt.InlineData(values=values)


def trial_data(rows: pd.DataFrame, metrics: Sequence[str]) -> alt.InlineData:
    """What a point of a trial needs for its place, colour and tooltip."""
    return records(rows, ["trial_id", "method", "seed", *CONFIGURATION, *shown_metrics(metrics)])


def trial_points(rows: pd.DataFrame, x: str, y: str, metrics: Sequence[str]) -> alt.Chart:
    """A dot a trial."""
    mark = alt.Chart(trial_data(rows, [x, y, *metrics])).mark_circle(size=55, opacity=0.75)
    return mark.encode(
        x=axis(x, "x"), y=axis(y, "y"), color=coloured_by_alpha(), tooltip=tooltip(metrics)
    )


def front_rings(front: pd.DataFrame, x: str, y: str, metrics: Sequence[str]) -> alt.Chart:
    """Rings around the front's rows: the point below keeps its colour."""
    mark = alt.Chart(trial_data(front, [x, y, *metrics])).mark_point(
        size=120, stroke=INK, strokeWidth=1.5, fill="transparent", opacity=1
    )
    return mark.encode(x=axis(x, "x"), y=axis(y, "y"), tooltip=tooltip(metrics))


def front_line(front: pd.DataFrame, x: str, y: str) -> alt.Chart:
    """The best reachable second objective for each bound on the first."""
    step: Any = "step-after" if METRICS[x].goal == "min" else "step-before"
    line = alt.Chart(trial_data(front, [x, y])).mark_line(
        interpolate=step, color=INK, strokeWidth=1, opacity=0.6
    )
    return line.encode(x=axis(x, "x"), y=axis(y, "y"), order=alt.Order(f"{x}:Q"))


def control_points(frame: pd.DataFrame, x: str, y: str) -> list[alt.Chart]:
    """Each run of a control, small, and the mean over a control's runs, large and labelled."""
    runs = frame[(frame["status"] == "complete")].dropna(subset=[x, y])
    runs = runs[runs["method"].isin(REFERENCES) | is_no_game(runs)]
    means = controls(frame, [x, y]).dropna(subset=[x, y])
    spread = alt.Chart(records(runs.assign(kind=_kind(runs["method"])), ["kind", x, y]))
    base = alt.Chart(records(means.assign(kind=_kind(means["name"])), ["name", "kind", x, y]))
    small = spread.mark_point(size=22, filled=True, opacity=0.45, tooltip=False)
    large = base.mark_point(size=130, filled=True, opacity=1, stroke="white", strokeWidth=1)
    tips = [alt.Tooltip("name:N", title="control, mean over runs"), *_metric_tips([x, y])]
    halo: dict[str, Any] = {"stroke": "white", "strokeWidth": 4, "strokeJoin": "round"}
    place = {"x": axis(x, "x"), "y": axis(y, "y")}
    text: dict[str, Any] = {
        "align": "left", "dx": 10, "dy": -8, "fontSize": 11, "fontWeight": 600,
    }  # fmt: skip
    look: dict[str, Any] = {**place, **_control_look()}
    return [
        small.encode(**look),
        large.encode(**look, tooltip=tips),
        base.mark_text(**text, **halo).encode(**place, text="name:N"),
        base.mark_text(**text).encode(**place, text="name:N", color=look["color"]),
    ]


def control_rules(frame: pd.DataFrame, objective: str) -> list[alt.Chart]:
    """The means of the retrained models (dotted) and of alpha 0 (dashed) across a panel."""
    rows = controls(frame, [objective]).dropna(subset=[objective])
    kinds = _kind(rows["name"])
    rules = []
    for kind, dash in (("retrain", [2, 3]), ("alpha 0", [6, 4])):
        rule = alt.Chart(records(rows[kinds == kind], [objective])).mark_rule(
            strokeDash=dash, color=CONTROL_COLOURS[kind], strokeWidth=1.5
        )
        rules.append(rule.encode(y=axis(objective, "y", short=True)))
    return rules


def axis(name: str, channel: str, *, short: bool = False) -> Any:
    """Position of a metric; a short title leaves the metric's name to the panel's heading."""
    kind = alt.X if channel == "x" else alt.Y
    title = f"{unit(name)}, {better(name)}" if short else titled(name)
    ticks = {} if short else {"tickCount": 8}
    shown = alt.Axis(title=title, **number_format(name), **ticks)  # type: ignore[arg-type]
    return kind(f"{name}:Q", axis=shown).scale(zero=False, nice=False, padding=16)


def titled(name: str) -> str:
    """A metric with its unit and direction."""
    return f"{METRICS[name].title} ({unit(name)}, {better(name)})"


def number_format(name: str) -> dict[str, Any]:
    """Axis labels carry no per cent sign: the title has it."""
    if name in METRICS and unit(name) == "%":
        return {"labelExpr": "format(100 * datum.value, '~g')"}
    return {"format": "~g"}


def coloured_by_alpha(where: str = "true") -> Any:
    """Alpha where there is one and `where` (a Vega expression) holds, else grey."""
    key = alt.Legend(
        title="alpha (log scale)", orient="bottom", direction="horizontal", format="~g",
        gradientLength=200, gradientThickness=9, tickCount=4, titleOrient="left",
    )  # fmt: skip
    scheme = alt.SchemeParams(name="viridis", extent=[0, 0.88])
    scale = alt.Scale(type="log", scheme=scheme, reverse=True, nice=False)
    alpha = alt.Color("alpha:Q", legend=key, scale=scale)
    shown = alt.when(f"datum.alpha > 0 && ({where})").then(alpha)
    return shown.otherwise(alt.value(GREY))


def tooltip(metrics: Sequence[str]) -> list[alt.Tooltip]:
    """A trial's configuration, then its metrics."""
    configured = [alt.Tooltip("trial_id:N"), alt.Tooltip("method:N")]
    configured += [alt.Tooltip(f"{name}:Q", format="~g") for name in (*SWEPT, "seed")]
    return [*configured, alt.Tooltip("update:N"), *_metric_tips(shown_metrics(metrics))]


def finish(chart: Any, title: str, subtitle: str) -> Any:
    """The heading and the look of every figure."""
    heading = alt.TitleParams(title, subtitle=subtitle, anchor="start", frame="group", offset=14)
    return (
        chart.properties(title=heading, background="white")
        .configure(font="Helvetica, Arial, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            gridColor="#eeeeee", domainColor="#bbbbbb", tickColor="#bbbbbb",
            labelColor=MUTED, titleColor=INK, titleFontWeight="normal", titlePadding=8,
        )
        .configure_title(fontSize=15, subtitleColor=MUTED, subtitleFontSize=12, color=INK)
        .configure_legend(labelColor=MUTED, titleColor=INK, titleFontWeight="normal")
    )  # fmt: skip


def panel_title(text: str) -> alt.TitleParams:
    """Heading of one small panel."""
    return alt.TitleParams(text, fontSize=11, fontWeight="bold", anchor="start", offset=8)


def _kind(names: pd.Series) -> pd.Series:
    return names.where(names.isin(REFERENCES), CONTROLS[-1])


def _control_look() -> dict[str, Any]:
    colours, shapes = list(CONTROL_COLOURS.values()), list(CONTROL_SHAPES.values())
    colour = alt.Color("kind:N", legend=None).scale(domain=CONTROLS, range=colours)
    shape = alt.Shape("kind:N", legend=None).scale(domain=CONTROLS, range=shapes)
    return {"color": colour, "shape": shape}


def _metric_tips(names: Sequence[str]) -> list[alt.Tooltip]:
    return [
        alt.Tooltip(f"{name}:Q", title=name, format=".2%" if unit(name) == "%" else ".4~g")
        for name in dict.fromkeys(names)
    ]
