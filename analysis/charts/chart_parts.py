"""The pieces that figures are made of: axes, colours, points, controls, tooltips and one look.

Colours are Okabe and Ito's, and viridis (its pale end cut off) for alpha. Whatever has a colour
also has a shape, a dash or a label, so that nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from analysis.band import null_band
from analysis.configurations import complete, configurations
from analysis.formats import better, memory_text, unit
from analysis.residual import Key, with_verdicts
from analysis.summary import controls, is_no_game, shown_metrics
from sgu.results.schema import GAME, METRICS, REFERENCES
from sgu.results.verdicts import Judgement

INK, MUTED, GREY = "#1b1b1b", "#5f5f5f", "#c9c9c9"
VERMILION, BLUE, PURPLE = "#D55E00", "#0072B2", "#CC79A7"
METHOD_COLOURS = ("#009E73", "#E69F00", "#56B4E9", PURPLE, "#8a7d00", INK, BLUE, VERMILION)
METHOD_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
METHOD_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 1], [1, 3])
CONTROLS = (*REFERENCES, "alpha 0")
CONTROL_LOOK = {
    "color": (VERMILION, BLUE, PURPLE),
    "shape": ("triangle-up", "diamond", "square"),
}

Chart = Any
"""A chart of Altair's, whose classes share no base that can be drawn."""
IDENTITY = ("cell", "trial_id", "method", "seeds")
JUDGED = ("verdict", "memory")


def in_the_game(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the complete configurations that are not controls."""
    rows = configurations(frame)
    rows = rows[(rows["status"] == "complete") & ~rows["method"].isin(REFERENCES)]
    return rows[~is_no_game(rows)]


def judged(rows: pd.DataFrame, judgements: Mapping[Key, Judgement]) -> pd.DataFrame:
    """Return configurations with the columns of their joint verdicts, and memory: the residual
    memory as text."""
    rows = with_verdicts(rows, judgements)
    return rows.assign(memory=[memory_text(row) for row in rows.to_dict("records")])


def chart(rows: pd.DataFrame, columns: Sequence[str]) -> alt.Chart:
    """Return a chart, without a mark yet, of `columns` of `rows`; a missing value is null.

    Inline data that two panels share stands once in a specification, and of any length. It is text
    until it is drawn: Altair copies a list of rows at every step of a chart's making (measured:
    the page of 200 trials took twice the time).
    """
    text = rows[list(dict.fromkeys(columns))].to_json(orient="records")
    form = alt.DataFormat(alt.JsonDataFormat(type="json"))
    return alt.Chart(alt.InlineData(values=text, format=form))


def trials(rows: pd.DataFrame, metrics: Sequence[str], more: Sequence[str] = ()) -> alt.Chart:
    """Return a chart, without a mark yet, of configurations with their tooltips."""
    known = [name for name in JUDGED if name in rows]
    columns = [*IDENTITY, *known, *GAME, *shown_metrics(metrics), *more]
    return chart(rows, columns).encode(tooltip=tooltip(metrics, known))


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows; with several studies, each cell is named with its study."""
    if rows["study"].nunique() < 2:
        return rows
    return rows.assign(cell=rows["study"] + ": " + rows["cell"])


def extent(frame: pd.DataFrame, name: str) -> list[float]:
    """Return the least and the greatest value of a metric in complete rows, with some room."""
    values = frame.loc[frame["status"] == "complete", name].dropna()
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or 0.02 * abs(high) or 1.0
    return [low - room, high + room]


def axis(name: str, channel: str, *, short: bool = False, domain: list[float] | None = None) -> Any:
    """Return the axis of a metric; with a short title, the panel's heading has to name it."""
    position = alt.X if channel == "x" else alt.Y
    title = f"{unit(name)}, {better(name)}" if short else titled(name)
    ticks = {"tickCount": 5} if short else {"tickCount": 8}
    shown = alt.Axis(title=title, **number_format(name), **ticks)  # type: ignore[arg-type]
    room: dict[str, Any] = {"domain": domain} if domain else {"padding": 16}
    return position(f"{name}:Q", axis=shown).scale(zero=False, nice=False, **room)


def name_of(place: Any) -> str:
    """Return the metric of an axis."""
    return str(place.shorthand).removesuffix(":Q")


def re_aimed(place: Any, column: str) -> Any:
    """Return the same axis for another column, such as the end of an interval."""
    other = place.copy()
    other.shorthand = f"{column}:Q"
    return other


def step_from(name: str) -> Any:
    """Return how a front's line steps along a metric without claiming what nothing reached."""
    return "step-after" if METRICS[name].goal == "min" else "step-before"


def titled(name: str) -> str:
    """Return a metric's title with its unit and direction."""
    return f"{METRICS[name].title} ({unit(name)}, {better(name)})"


def number_format(name: str) -> dict[str, Any]:
    """Return how an axis labels a metric: without a per cent sign, which its title has."""
    if name in METRICS and unit(name) == "%":
        return {"labelExpr": "format(100 * datum.value, '~g')"}
    return {"format": ",~f"}


def log_axis(values: pd.Series, name: str) -> Any:
    """Return the x axis of a swept parameter: logarithmic if all of its values are above 0."""
    numbers = sorted(values.unique().tolist())
    ticks: dict[str, Any] = {"values": numbers} if len(numbers) <= 8 else {"tickCount": 4}
    shown = alt.Axis(title=name, format="~g", labelOverlap=True, grid=False, **ticks)
    scale: dict[str, Any] = {"type": "log"} if numbers[0] > 0 else {"zero": False}
    return alt.X(f"{name}:Q", axis=shown).scale(nice=False, padding=12, **scale)


def coloured_by_alpha(*conditions: Any, legend: bool = True) -> Any:
    """Return the colour of alpha; grey without one, or if one of `conditions` does not hold."""
    key = alt.Legend(
        title="alpha (log scale)", orient="bottom", direction="horizontal", format="~g",
        gradientLength=200, gradientThickness=9, tickCount=4, titleOrient="left",
    )  # fmt: skip
    scheme = alt.SchemeParams(name="viridis", extent=[0, 0.88])
    scale = alt.Scale(type="log", scheme=scheme, reverse=True, nice=False)
    alpha = alt.Color("alpha:Q", legend=key if legend else None, scale=scale)
    return alt.when(*conditions, alt.datum.alpha > 0).then(alpha).otherwise(alt.value(GREY))


def by_method(methods: Sequence[str]) -> dict[str, Any]:
    """Return colour and shape of each method, with one legend for both."""
    look = {"color": METHOD_COLOURS, "shape": METHOD_SHAPES}
    return told_apart("method", methods, look, legend("method"))


def dashed_by(field: str, values: Sequence[str]) -> dict[str, Any]:
    """Return colour and dash of a line for each value of a field, with one legend for both."""
    look = {"color": METHOD_COLOURS, "strokeDash": METHOD_DASHES}
    key = legend(field, symbolType="stroke", symbolSize=300, symbolStrokeWidth=2)
    return told_apart(field, values, look, key)


def legend(title: str, **symbols: Any) -> alt.Legend:
    """Return a legend below a chart."""
    return alt.Legend(
        title=title, orient="bottom", direction="horizontal", symbolOpacity=1, **symbols
    )


def told_apart(
    field: str,
    values: Sequence[str],
    look: Mapping[str, Sequence[Any]],
    key: alt.Legend | None = None,
) -> dict[str, Any]:
    """Return each channel of `look` with one of its marks, in turn, for each value of a field."""
    channels = {"color": alt.Color, "shape": alt.Shape, "strokeDash": alt.StrokeDash}
    return {
        channel: channels[channel](f"{field}:N", legend=key).scale(
            domain=list(values), range=[marks[i % len(marks)] for i in range(len(values))]
        )
        for channel, marks in look.items()
    }


def tooltip(metrics: Sequence[str], known: Sequence[str] = ()) -> list[alt.Tooltip]:
    """Return a trial's configuration, its verdict if it is known, then its metrics."""
    configured = [alt.Tooltip(f"{name}:N", title=name) for name in IDENTITY]
    titles = {"verdict": "verdict", "memory": "residual memory, %"}
    configured += [alt.Tooltip(f"{name}:N", title=titles[name]) for name in known]
    configured += [alt.Tooltip(f"{name}:Q", format="~g") for name in GAME[:-1]]
    return [*configured, alt.Tooltip("update:N"), *metric_tips(shown_metrics(metrics))]


def metric_tips(names: Sequence[str]) -> list[alt.Tooltip]:
    """Return a line of a tooltip for each metric."""
    return [
        alt.Tooltip(f"{name}:Q", title=name, format=".2%" if unit(name) == "%" else ".4~g")
        for name in dict.fromkeys(names)
    ]


def band_shades(frame: pd.DataFrame, **places: Any) -> list[alt.Chart]:
    """Draw the null band as a shade, for each of the axes x and y whose metric has one."""
    bands = null_band(frame)
    shades = []
    for channel, place in places.items():
        if band := bands.get(name_of(place)):
            ends = pd.DataFrame([{name_of(place): band.low, "high": band.high}])
            shade = chart(ends, [name_of(place), "high"])
            shade = shade.mark_rect(color=BLUE, opacity=0.09, clip=True, tooltip=False)
            shades.append(shade.encode(**{channel: place, f"{channel}2": "high:Q"}))
    return shades


def control_points(frame: pd.DataFrame, x: Any, y: Any) -> list[alt.Chart]:
    """Draw each run of a control, small, and the mean over its runs, large and labelled.

    x, y: the axes of two metrics, from `axis`.
    """
    names, runs = [name_of(x), name_of(y)], complete(frame)
    runs = runs[runs["method"].isin(REFERENCES) | is_no_game(runs)].dropna(subset=names)
    means = controls(frame, names).dropna(subset=names)
    spread = chart(runs.assign(kind=_drawn_as(runs["method"])), ["kind", *names])
    means = means.assign(kind=_drawn_as(means["name"]))
    base = chart(means, ["name", "runs", "kind", *names])
    small = spread.mark_point(size=22, filled=True, opacity=0.45, tooltip=False, clip=True)
    large = base.mark_point(size=130, filled=True, opacity=1, stroke="white", strokeWidth=1)
    tips = [alt.Tooltip("name:N", title="control, mean over runs"), alt.Tooltip("runs:Q")]
    text: dict[str, Any] = {"align": "left", "dx": 10, "dy": -8, "fontSize": 11, "fontWeight": 600}
    halo = base.mark_text(**text, stroke="white", strokeWidth=4, strokeJoin="round")
    look = told_apart("kind", CONTROLS, CONTROL_LOOK)
    marks = [
        small.encode(**look),
        large.encode(**look, tooltip=[*tips, *metric_tips(names)]),
        halo.encode(text="name:N"),
        base.mark_text(**text).encode(text="name:N", color=look["color"]),
    ]
    return [mark.encode(x=x, y=y) for mark in marks]


def control_rules(frame: pd.DataFrame, objective: str) -> list[alt.Chart]:
    """Draw the means of the retrained models (dotted) and of alpha 0 (dashed) across a panel."""
    rows = controls(frame, [objective]).dropna(subset=[objective])
    kinds = _drawn_as(rows["name"])
    return [
        chart(rows[kinds == kind], [objective])
        .mark_rule(strokeDash=dash, color=colour, strokeWidth=1.5)
        .encode(y=axis(objective, "y", short=True))
        for kind, dash, colour in (("retrain", [2, 3], BLUE), ("alpha 0", [6, 4], PURPLE))
        if (kinds == kind).any()
    ]


def _drawn_as(names: pd.Series) -> pd.Series:
    """Return what each control is drawn as: its own name for a reference, else "alpha 0"."""
    return names.where(names.isin(REFERENCES), CONTROLS[-1])


LOOK = alt.Config(
    font="Helvetica, Arial, sans-serif",
    view=alt.ViewConfig(stroke=None),
    axis=alt.AxisConfig(
        gridColor="#eeeeee", domainColor="#bbbbbb", tickColor="#bbbbbb",
        labelColor=MUTED, titleColor=INK, titleFontWeight="normal", titlePadding=8,
    ),
    title=alt.TitleConfig(fontSize=15, subtitleColor=MUTED, subtitleFontSize=12, color=INK),
    legend=alt.LegendConfig(labelColor=MUTED, titleColor=INK, titleFontWeight="normal"),
)  # fmt: skip


def finish(figure: Any, title: str, subtitle: str | list[str]) -> Any:
    """Return the figure with its heading and with the look of all figures."""
    heading = alt.TitleParams(title, subtitle=subtitle, anchor="start", frame="group", offset=14)
    return figure.properties(title=heading, background="white", config=LOOK)


def panelled(
    panels: Sequence[Any], columns: int, title: str, subtitle: str | list[str]
) -> Chart | None:
    """Return one figure of small panels; None if there are none."""
    if not panels:
        return None
    return finish(alt.concat(*panels, columns=columns, spacing=26), title, subtitle)


def save(figure: Chart, path: str | Path) -> Path:
    """Write a figure as .png (two pixels a point), .svg or .html, without a browser or a network;
    return the path.

    Raises:
        ValueError: the path ends in something else.
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg", ".html"):
        raise ValueError(f"cannot write a chart to {path.name}: end it in .png, .svg or .html")
    options: dict[str, Any] = {"inline": True} if path.suffix == ".html" else {"scale_factor": 2}
    figure.save(str(path), **options)
    return path


def panel_title(text: str, below: str | None = None) -> alt.TitleParams:
    """Return the heading of one small panel."""
    return alt.TitleParams(
        text, subtitle=below or alt.Undefined, fontSize=11, subtitleFontSize=11,
        fontWeight="bold", anchor="start", offset=8,
    )  # fmt: skip
