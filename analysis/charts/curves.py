"""Charts over time: what a search had reached, and the training of each trial."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from analysis.anytime import anytime
from analysis.charts import chart_parts as parts
from analysis.configurations import CONFIGURED
from analysis.formats import better, unit
from analysis.pareto import OBJECTIVES
from analysis.volumes import hypervolumes
from sgu.results.schema import GAME, METRICS

CURVES = {"train_loss": "training loss", "utility": "auditor's utility"}


def hypervolume_chart(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> parts.Chart:
    """Draw the hypervolume that the search of each cell had reached, against trials and against
    seconds; at a curve's end stands the interval over seeds of the last value.

    Raises:
        ValueError: as `pareto_front`.
    """
    ends = parts.labelled(hypervolumes(frame, objectives, by=["study", "cell"]))
    panels = [
        _reached(parts.labelled(anytime(frame, objectives, against)), ends, against)
        for against in ("trials", "seconds")
    ]
    seeds = ends["seeds"].min()
    over = f"bars: 90 % interval over seeds (n = {seeds} or more)" if seeds > 1 else "one seed"
    note = f"hypervolume from the fixed reference, higher is better; {over}"
    return parts.panelled(panels, 2, "What the search had reached", note)


def _reached(curves: pd.DataFrame, ends: pd.DataFrame, against: str) -> parts.Chart:
    """Draw the panel of the cells in `ends`: a cell without a candidate has reached nothing."""
    names = sorted(ends["cell"])
    curves = curves[curves["cell"].isin(names)]
    title = "trials" if against == "trials" else "seconds of all trials (s)"
    x = alt.X(f"{against}:Q", axis=alt.Axis(title=title, format="~s", grid=False))
    y = alt.Y("hypervolume:Q", title="hypervolume").scale(zero=False)
    look = parts.dashed_by("cell", names)
    line = parts.chart(curves, ["cell", against, "hypervolume"])
    line = line.mark_line(interpolate="step-after", strokeWidth=1.8)
    tips = [alt.Tooltip("cell:N"), alt.Tooltip(f"{against}:Q", format=".4~g")]
    tips.append(alt.Tooltip("hypervolume:Q", format=".4f"))
    layers = [line.encode(x=x, y=y, tooltip=tips, **look)]
    last = ends.dropna().merge(curves.groupby("cell", as_index=False)[against].max(), on="cell")
    if len(last):
        last[against] += 0.015 * last[against].max() * (1 + last.index)  # bars side by side
        bar = parts.chart(last, ["cell", against, "low", "high", "hypervolume"])
        bar = bar.mark_rule(strokeWidth=2).encode(x=x, y="low:Q", y2="high:Q")
        layers.append(bar.encode(color=look["color"], tooltip=tips))
    return alt.layer(*layers).properties(width=340, height=200)


def epochs_chart(
    epochs: pd.DataFrame, frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES
) -> parts.Chart | None:
    """Draw the training of each candidate: objectives, training loss and auditor's utility by
    epoch, as means over seeds; None if no candidate has a curve."""
    settings = parts.in_the_game(frame)[[*CONFIGURED, *GAME]]
    wanted = [name for name in (*objectives, *CURVES) if name in epochs]
    search = epochs[epochs["phase"] == "search"]
    means = search.groupby([*CONFIGURED, "epoch"], as_index=False)[wanted].mean()
    rows = means.merge(settings, on=list(CONFIGURED))
    base = parts.chart(rows, [*CONFIGURED, "epoch", *GAME, *wanted])
    panels = [_epochs_panel(base, name) for name in wanted if rows[name].notna().any()]
    note = "objectives at each epoch's end, the others as means over it"
    return parts.panelled(panels, 2, "Training, one line a trial", note)


def _epochs_panel(base: alt.Chart, name: str) -> alt.Chart:
    known = name in METRICS
    heading = METRICS[name].title if known else CURVES[name]
    scale = f"{unit(name)}, {better(name)}" if known else None
    shown = alt.Axis(title=scale, **parts.number_format(name))
    return (
        base.mark_line(strokeWidth=1.25, opacity=0.6)
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(title="epoch", tickMinStep=1, format="d", grid=False)),
            y=alt.Y(f"{name}:Q", axis=shown).scale(zero=False),
            color=parts.coloured_by_alpha(),
            detail=[f"{name}:N" for name in CONFIGURED],
            tooltip=["cell:N", "trial_id:N", "alpha:Q", "epoch:Q"],
        )
        .properties(width=340, height=160, title=parts.panel_title(heading))
    )
