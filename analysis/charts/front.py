"""The plane of two objectives: the front with its intervals, and what a share of seeds reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.attainment import attainment
from analysis.band import null_band
from analysis.charts import chart_parts as parts
from analysis.configurations import cells
from analysis.pareto import OBJECTIVES, candidates, hypervolume, pareto_front, some
from analysis.residual import Key, judgements
from analysis.summary import controls, counts_line
from analysis.volumes import front_intervals
from sgu.results.schema import METRICS
from sgu.results.verdicts import Judgement

SHARE = "share of the seeds"


def front_chart(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> parts.Chart:
    """Draw every complete configuration in the plane of the first two objectives, the front, the
    controls and the null band; a panel for each data set that has a front.

    A point is the mean over a configuration's seeds; a ring is dashed around one seed, and has the
    interval of its mean over several. Shaded is the null band. Colour is alpha where one method was
    searched, else the method. With more objectives the picture is a projection and no line joins
    the front.

    Raises:
        ValueError: as `pareto_front`.
    """
    frame = frame[frame["phase"] == "search"]
    data_sets = sorted(some(candidates(frame, objectives), objectives)["dataset"].unique())
    planes = [plane(frame[frame["dataset"] == name], objectives) for name in data_sets]
    x, y = objectives[:2]
    title = f"{METRICS[x].title} and {METRICS[y].title}"
    title += f", a projection of {len(objectives)} objectives" if len(objectives) > 2 else ""
    if len(planes) == 1:
        return parts.finish(planes[0], title, front_note(frame, objectives))
    named = [
        chart.properties(title=parts.panel_title(name))
        for chart, name in zip(planes, data_sets, strict=True)
    ]
    return parts.finish(alt.concat(*named, columns=1), title, front_note(frame, objectives))


def front_note(frame: pd.DataFrame, objectives: Sequence[str]) -> list[str]:
    """Return two lines: how many trials a front rests on, and what is drawn how."""
    by = ["cell"] if len(cells(frame)) > 1 else []
    rings = f"{len(pareto_front(frame, objectives, by=by))} on the front (rings)"
    volume = "" if by else f", hypervolume {hypervolume(frame, objectives):.4g}"
    seeds = "dashed: of one seed; bars: 90 % interval over several"
    models = {count for _, rows in frame.groupby("dataset") if (count := _models(rows))}
    ends = " to ".join(map(str, sorted({min(models), max(models)}))) if models else ""
    shade = f"; shaded: null band of {ends} retrained models" if models else ""
    return [f"{counts_line(frame)}; {rings}{volume}", f"{seeds}{shade}"]


def _models(frame: pd.DataFrame) -> int:
    """Return how many retrained models the null band of a data set has; 0 without a band."""
    return max((band.models for band in null_band(frame).values()), default=0)


def plane(
    frame: pd.DataFrame,
    objectives: Sequence[str],
    brush: alt.Parameter | None = None,
    *conditions: Any,
) -> alt.LayerChart:
    """Draw the front of one data set. brush: a selection to draw on it; conditions: a point for
    which one of them does not hold is grey."""
    several = len(cells(frame)) > 1
    x, y = (
        parts.axis(name, channel, domain=parts.extent(frame, name))
        for name, channel in zip(objectives[:2], "xy", strict=True)
    )
    judged = judgements(frame)
    front = front_intervals(frame, objectives, by=["cell"] if several else [])
    points = _points(frame, judged, x, y, objectives, *conditions)
    return _overlaid(
        *parts.band_shades(frame, x=x, y=y),
        points.add_params(brush) if brush is not None else points,
        *([_line(front, x, y, several)] if len(objectives) == 2 else []),
        *_bars(front, x, y),
        _rings(parts.judged(front, judged), x, y, objectives),
        *parts.control_points(frame, x, y),
    )


def split_chart(frame: pd.DataFrame) -> parts.Chart | None:
    """Draw attack accuracy on val against accuracy on test, with the retrained models as the
    target; None if no trial has both."""
    names = ["val_mia_acc", "test_acc"]
    if frame.loc[frame["status"] == "complete", names].dropna().empty:
        return None
    x, y = (parts.axis(name, channel) for name, channel in zip(names, "xy", strict=True))
    target = controls(frame, names).query("name == 'retrain'")
    rule = parts.chart(target, names).mark_rule(strokeDash=[2, 3], color=parts.BLUE)
    points = _points(frame, judgements(frame), x, y, names)
    return parts.finish(
        _overlaid(points, rule.encode(x=x), rule.encode(y=y), *parts.control_points(frame, x, y)),
        "What the attack finds, what the model still knows",
        "dotted: the retrained models, the target on both axes; test is reported, never selects",
    )


def _overlaid(*layers: alt.Chart) -> alt.LayerChart:
    chart = alt.layer(*layers).resolve_scale(color="independent", shape="independent")
    return chart.properties(width=640, height=400)


def _points(
    frame: pd.DataFrame,
    judged: Mapping[Key, Judgement],
    x: Any,
    y: Any,
    metrics: Sequence[str],
    *conditions: Any,
) -> alt.Chart:
    """Draw a mark for each configuration."""
    rows = parts.judged(parts.in_the_game(frame), judged)
    base = parts.trials(rows, metrics).encode(x=x, y=y)
    base = base.mark_point(filled=True, size=60, opacity=0.8, strokeWidth=0)
    if len(cells(frame)) > 1:
        return base.encode(**parts.by_method(sorted(rows["method"].unique())))
    return base.encode(color=parts.coloured_by_alpha(*conditions))


def _line(front: pd.DataFrame, x: Any, y: Any, several: bool) -> alt.Chart:
    """Draw the line of the best second objective reached within each bound on the first."""
    name, other = (parts.name_of(place) for place in (x, y))
    line = parts.chart(front, ["method", name, other]).encode(x=x, y=y, order=f"{name}:Q")
    line = line.mark_line(
        interpolate=parts.step_from(name), color=parts.INK, strokeWidth=1, opacity=0.6
    )
    return line.encode(detail="method:N") if several else line


def _bars(front: pd.DataFrame, x: Any, y: Any) -> list[alt.Chart]:
    """Draw the interval of each mean over several seeds on the front, in both directions."""
    names = [parts.name_of(place) for place in (x, y)]
    ends = [f"{name}_{end}" for name in names for end in ("low", "high")]
    rows = front.dropna(subset=ends)
    bar = parts.chart(rows, [*names, *ends])
    bar = bar.mark_rule(color=parts.INK, opacity=0.3, clip=True, tooltip=False)
    across = {"x": parts.re_aimed(x, ends[0]), "x2": f"{ends[1]}:Q", "y": y}
    along = {"y": parts.re_aimed(y, ends[2]), "y2": f"{ends[3]}:Q", "x": x}
    return [bar.encode(**across), bar.encode(**along)] if len(rows) else []


def _rings(front: pd.DataFrame, x: Any, y: Any, metrics: Sequence[str]) -> alt.Chart:
    """Draw a ring around each configuration on the front, dashed for one seed; the point below
    keeps its colour. The ring of alpha 0 is wide enough to be seen around its square."""
    mark = parts.trials(front, metrics, ["stays"])
    mark = mark.mark_point(stroke=parts.INK, strokeWidth=1.5, fill="transparent", opacity=1)
    size = alt.when(alt.datum.alpha == 0).then(alt.value(340)).otherwise(alt.value(130))
    one_seed = alt.when(alt.datum.seeds == 1).then(alt.value([3, 2])).otherwise(alt.value([1, 0]))
    stays = alt.Tooltip("stays:Q", title="on the front in (of resampled seeds)", format=".0%")
    tips = [*parts.tooltip(metrics, parts.JUDGED), stays]
    return mark.encode(x=x, y=y, size=size, strokeDash=one_seed, tooltip=tips)


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
    base = parts.chart(surfaces, [SHARE, *objectives])
    base = base.encode(x=x, y=y, tooltip=[f"{SHARE}:N", *parts.metric_tips(objectives)])
    line = base.mark_line(interpolate=parts.step_from(objectives[0]), strokeWidth=1.8)
    line = line.encode(**parts.dashed_by(SHARE, shares))
    corner = base.mark_circle(size=28, opacity=0.9).encode(color=line.encoding.color)
    note = f"each line bounds what at least that share of {surfaces['seeds'].max()} seeds attains"
    figure = alt.layer(line, corner).properties(width=640, height=300)
    return parts.finish(figure, "What a share of the seeds reaches", note)
