"""Charts of what each setting does to each objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.charts import chart_parts as parts
from analysis.configurations import searched
from analysis.importances import importances
from analysis.pareto import OBJECTIVES
from analysis.sensitivity import PARAMETERS, ablated, alpha_ablation, effects, varied
from sgu.results.schema import METRICS, REFERENCES

LINES = "line: mean over bins, 90 % interval; dashed: alpha 0; dotted: retrained; shaded: null band"
ABLATION = ("test_acc", "forget_acc", "val_mia_acc", "seconds")


def effect_chart(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> parts.Chart | None:
    """Draw each objective against each searched setting, one small panel a pair; None if nothing
    was searched."""
    note = [f"n = {len(parts.in_the_game(frame))} configurations", LINES]
    panels = effect_panels(frame, objectives)
    return parts.panelled(panels, 3, "Effect of the settings", note)


def alpha_chart(frame: pd.DataFrame, metrics: Sequence[str] = ABLATION) -> parts.Chart | None:
    """Draw what alpha does to accuracy, forgetting, the attack and the seconds, over all values
    of the other settings; None if alpha was not searched."""
    note = [f"n = {len(parts.in_the_game(frame))} configurations of all other settings", LINES]
    panels = effect_panels(frame, metrics, settings=["alpha"])
    return parts.panelled(panels, 2, "What alpha does", note)


def ablation_chart(frame: pd.DataFrame, metrics: Sequence[str] = ABLATION) -> parts.Chart | None:
    """Draw the paper's ablation: what alpha does with all other settings the same; None if none
    of the metrics was measured.

    Raises:
        ValueError: as `ablated`.
    """
    family = ablated(frame)
    means = alpha_ablation(family, metrics)
    references = frame[frame["method"].isin(REFERENCES)]
    curves = means[means["alpha"] > 0].assign(parameter="alpha").rename(columns={"alpha": "middle"})
    rows = pd.concat([references, family])
    panels = effect_panels(rows, metrics, settings=["alpha"], curves=curves)
    note = [f"n = {means['seeds'].min()} seeds a point", LINES.replace("bins", "seeds")]
    return parts.panelled(panels, 2, "Alpha, all else the same", note)


def effect_panels(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    *conditions: Any,
    settings: Sequence[str] | None = None,
    curves: pd.DataFrame | None = None,
) -> list[parts.Chart]:
    """Draw a panel for each pair of a measured metric and a searched number.

    settings: only these numbers. conditions: a point for which one of them does not hold is grey.
    curves: drawn instead of those of `effects`.
    """
    rows = parts.in_the_game(frame)
    metrics = [name for name in metrics if rows[name].notna().any()]
    table = searched(rows)
    numbers = [name for name in table.columns if pd.api.types.is_numeric_dtype(table[name])]
    numbers = [name for name in numbers if settings is None or name in settings]
    rows = rows.assign(**{name: table[name] for name in numbers})
    if curves is None:
        curves = _curves(frame, metrics, [name for name in numbers if name in PARAMETERS])
    xs = {name: parts.log_axis(rows[name].dropna(), name) for name in numbers}
    ys = {name: parts.axis(name, "y", short=True) for name in metrics}
    colour = parts.coloured_by_alpha(*conditions, legend=False)
    points = {
        name: parts.trials(rows, metrics, [name]).mark_circle(size=40, opacity=0.75)
        for name in numbers
    }
    return [
        alt.layer(
            *parts.band_shades(frame, y=ys[metric]),
            *parts.control_rules(frame, metric),
            *_curve(curves, xs[name], ys[metric]),
            points[name].encode(x=xs[name], y=ys[metric], color=colour),
        ).properties(width=225, height=150, title=parts.panel_title(METRICS[metric].title))
        for metric in metrics
        for name in numbers
    ]


def importance_chart(
    frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES
) -> parts.Chart | None:
    """Draw the share of each setting in the variation of each objective.

    Raises:
        ValueError: as `importances`.
    """
    shares = importances(frame, objectives)
    base = parts.chart(shares, ["cell", "metric", "parameter", "importance"])
    share = alt.X("importance:Q", axis=alt.Axis(title="importance (share)", format=".0%"))
    panels = [
        base.transform_filter(alt.datum.cell == cell)
        .transform_filter(alt.datum.metric == name)
        .mark_bar(color=parts.BLUE, opacity=0.75)
        .encode(
            x=share.scale(domain=[0, 1]),
            y=alt.Y("parameter:N", sort="-x", title=None),
            tooltip=["parameter:N", alt.Tooltip("importance:Q", format=".1%")],
        )
        .properties(width=300, height=alt.Step(20), title=parts.panel_title(METRICS[name].title))
        for cell in sorted(shares["cell"].unique())
        for name in objectives
    ]
    number = shares["configurations"].min()
    note = f"PED-ANOVA, in reaching the best tenth; n = {number} configurations"
    return parts.panelled(panels, 2, "Which setting decides", note)


def _curves(frame: pd.DataFrame, metrics: Sequence[str], settings: Sequence[str]) -> pd.DataFrame:
    """Return the `effects` of the settings that varied within a cell."""
    if not varied(frame, metrics, settings):
        return pd.DataFrame(columns=["parameter", "metric"])
    return effects(frame, metrics, settings)


def _curve(curves: pd.DataFrame, x: Any, y: Any) -> list[alt.Chart]:
    """Draw the mean over bins of the setting along x, with its interval."""
    setting, metric = parts.name_of(x), parts.name_of(y)
    bins = curves[(curves["parameter"] == setting) & (curves["metric"] == metric)]
    if bins.empty:
        return []
    bins = bins.rename(columns={"middle": setting, "mean": metric})
    base = parts.chart(bins, [setting, metric, "low", "high"])
    line = base.mark_line(color=parts.INK, strokeWidth=1.5, opacity=0.7, tooltip=False)
    layers = [line.encode(x=x, y=y)]
    if bins["low"].notna().any():
        bars = base.transform_filter("isValid(datum.low)")
        bars = bars.mark_rule(color=parts.INK, opacity=0.5, clip=True)
        layers.append(bars.encode(x=x, y=parts.re_aimed(y, "low"), y2="high:Q"))
    return layers
