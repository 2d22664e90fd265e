"""What each setting does to each objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.charts.chart_parts import (
    BLUE,
    INK,
    Chart,
    axis,
    band_shades,
    coloured_by_alpha,
    control_rules,
    in_the_game,
    log_axis,
    name_of,
    panel_title,
    panelled,
    re_aimed,
    records,
    tooltip,
)
from analysis.importances import importances
from analysis.pareto import OBJECTIVES
from analysis.sensitivity import PARAMETERS, ablated, alpha_ablation, effects, varied
from analysis.settings import names_of, searched
from analysis.summary import CONFIGURATION, shown_metrics
from sgu.results.schema import METRICS, REFERENCES

LINES = "line: mean over bins, 90 % interval; dashed: alpha 0; dotted: retrained; shaded: null band"
ABLATION = ("test_acc", "forget_acc", "val_mia_acc", "seconds")


def effect_chart(
    frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES, *, columns: int = 3
) -> Chart | None:
    """Each objective against each setting that was searched, one small panel a pair; None where
    nothing was."""
    return panelled(
        effect_panels(frame, objectives),
        columns,
        "Effect of the settings",
        [f"n = {len(in_the_game(frame))} configurations", LINES],
    )


def alpha_chart(
    frame: pd.DataFrame, metrics: Sequence[str] = ABLATION, *, columns: int = 2
) -> Chart | None:
    """What alpha does to accuracy, forgetting, the attack and the seconds, whatever the other
    settings were; None where it was not searched."""
    return panelled(
        effect_panels(frame, metrics, settings=["alpha"]),
        columns,
        "What alpha does",
        [f"n = {len(in_the_game(frame))} configurations of all other settings", LINES],
    )


def ablation_chart(
    frame: pd.DataFrame, metrics: Sequence[str] = ABLATION, *, columns: int = 2
) -> Chart | None:
    """The paper's ablation: what alpha does with all other settings the same; None where none of
    the metrics was measured.

    Raises:
        ValueError: as `ablated`.
    """
    family = ablated(frame)
    means = alpha_ablation(family, metrics)
    references = frame[frame["method"].isin(REFERENCES)]
    curves = means.assign(parameter="alpha").rename(columns={"alpha": "middle"})
    panels = effect_panels(
        pd.concat([references, family]),
        metrics,
        settings=["alpha"],
        curves=curves[curves["middle"] > 0],
    )
    return panelled(
        panels,
        columns,
        "Alpha, all else the same",
        [f"n = {means['seeds'].min()} seeds a point", LINES.replace("bins", "seeds")],
    )


def effect_panels(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    *conditions: Any,
    settings: Sequence[str] | None = None,
    curves: pd.DataFrame | None = None,
) -> list[Chart]:
    """A panel for each metric that was measured and searched number (those of `settings`, where
    given). conditions: where one of them does not hold, a point is grey; curves: instead of those
    of `effects`."""
    rows = in_the_game(frame)
    metrics = [name for name in metrics if rows[name].notna().any()]
    table = searched(rows)
    numbers = [name for name in names_of(table) if pd.api.types.is_numeric_dtype(table[name])]
    numbers = [name for name in numbers if settings is None or name in settings]
    known = rows.assign(**{name: table[name] for name in numbers})
    if curves is None:
        curves = _curves(frame, metrics, [name for name in numbers if name in PARAMETERS])
    places = {name: log_axis(known[name].dropna(), name) for name in numbers}
    return [
        alt.layer(
            *band_shades(frame, y=axis(metric, "y", short=True)),
            *control_rules(frame, metric),
            *_curve(curves, places[name], metric),
            _points(known, places[name], metric, metrics, conditions),
        ).properties(width=225, height=150, title=panel_title(METRICS[metric].title))
        for metric in metrics
        for name in numbers
    ]


def importance_chart(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> Chart | None:
    """The share of each setting in what each objective varies by.

    Raises:
        ValueError: as `importances`.
    """
    found = importances(frame, objectives)
    n = found["configurations"].min()
    base = alt.Chart(records(found, ["cell", "metric", "parameter", "importance"]))
    share = alt.X("importance:Q", axis=alt.Axis(title="importance (share)", format=".0%"))
    panels = [
        base.transform_filter(alt.datum.cell == cell)
        .transform_filter(alt.datum.metric == name)
        .mark_bar(color=BLUE, opacity=0.75)
        .encode(
            x=share.scale(domain=[0, 1]),
            y=alt.Y("parameter:N", sort="-x", title=None),
            tooltip=["parameter:N", alt.Tooltip("importance:Q", format=".1%")],
        )
        .properties(width=300, height=alt.Step(20), title=panel_title(METRICS[name].title))
        for cell in sorted(found["cell"].unique())
        for name in objectives
    ]
    return panelled(
        panels,
        2,
        "Which setting decides",
        f"PED-ANOVA, in reaching the best tenth; n = {n} configurations",
    )


def _curves(frame: pd.DataFrame, metrics: Sequence[str], settings: Sequence[str]) -> pd.DataFrame:
    """`effects` of the settings that varied within a cell."""
    if not varied(frame, metrics, settings):
        return pd.DataFrame(columns=["parameter", "metric"])
    return effects(frame, metrics, settings)


def _curve(curves: pd.DataFrame, x: Any, metric: str) -> list[alt.Chart]:
    """The mean over bins of the setting along x, with its interval."""
    setting = name_of(x)
    own = curves[(curves["parameter"] == setting) & (curves["metric"] == metric)]
    if own.empty:
        return []
    own = own.rename(columns={"middle": setting, "mean": metric})
    base = alt.Chart(records(own, [setting, metric, "low", "high"]))
    line = base.mark_line(color=INK, strokeWidth=1.5, opacity=0.7, tooltip=False)
    bars = base.transform_filter("isValid(datum.low)").mark_rule(color=INK, opacity=0.5, clip=True)
    y = axis(metric, "y", short=True)
    drawn = [line.encode(x=x, y=y)]
    if own["low"].notna().any():
        drawn.append(bars.encode(x=x, y=re_aimed(y, "low"), y2="high:Q"))
    return drawn


def _points(
    rows: pd.DataFrame,
    x: Any,
    objective: str,
    objectives: Sequence[str],
    conditions: Sequence[Any],
) -> alt.Chart:
    columns = ["cell", "trial_id", "method", "seeds", *CONFIGURATION, name_of(x)]
    data = records(rows, [*columns, *shown_metrics(objectives)])
    points = alt.Chart(data).mark_circle(size=40, opacity=0.75)
    return points.encode(
        x=x,
        y=axis(objective, "y", short=True),
        color=coloured_by_alpha(*conditions, legend=False),
        tooltip=tooltip(objectives),
    )
