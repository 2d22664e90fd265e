"""What each setting does to each objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.charts.marks import (
    Chart,
    axis,
    band_shades,
    coloured_by_alpha,
    control_rules,
    finish,
    in_the_game,
    log_axis,
    panel_title,
    records,
    tooltip,
)
from analysis.pareto import OBJECTIVES
from analysis.schema import METRICS
from analysis.settings import names_of, searched
from analysis.summary import CONFIGURATION, shown_metrics

LINES = "dashed: alpha 0; dotted: retrained; shaded: the null band"
ABLATION = ("test_acc", "forget_acc", "val_mia_acc", "seconds")


def effect_chart(
    frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES, *, columns: int = 3
) -> Chart:
    """Each objective against each setting that was searched, one small panel a pair."""
    return finish(
        alt.concat(*effect_panels(frame, objectives), columns=columns, spacing=26),
        "Effect of the settings",
        f"n = {len(in_the_game(frame))} configurations; {LINES}",
    )


def alpha_chart(
    frame: pd.DataFrame, metrics: Sequence[str] = ABLATION, *, columns: int = 2
) -> Chart:
    """The paper's ablation: what alpha does to accuracy, forgetting, the attack and the seconds."""
    panels = effect_panels(frame, metrics, settings=["alpha"])
    return finish(
        alt.concat(*panels, columns=columns, spacing=26),
        "What alpha does",
        f"n = {len(in_the_game(frame))} configurations of all other settings; {LINES}",
    )


def effect_panels(
    frame: pd.DataFrame,
    metrics: Sequence[str],
    *conditions: Any,
    settings: Sequence[str] | None = None,
) -> list[Chart]:
    """A panel for each metric and searched number (those of `settings`, where given). conditions:
    where one of them does not hold, a point is grey."""
    rows = in_the_game(frame)
    table = searched(rows)
    numbers = [name for name in names_of(table) if pd.api.types.is_numeric_dtype(table[name])]
    numbers = [name for name in numbers if settings is None or name in settings]
    known = rows.assign(**{name: table[name] for name in numbers})
    return [
        alt.layer(
            *band_shades(frame, y=axis(metric, "y", short=True)),
            *control_rules(frame, metric),
            _points(known, name, metric, metrics, conditions),
        ).properties(width=225, height=150, title=panel_title(METRICS[metric].title))
        for metric in metrics
        for name in numbers
    ]


def _points(
    rows: pd.DataFrame,
    setting: str,
    objective: str,
    objectives: Sequence[str],
    conditions: Sequence[Any],
) -> alt.Chart:
    columns = ["cell", "trial_id", "method", "seeds", *CONFIGURATION, setting]
    data = records(rows, [*columns, *shown_metrics(objectives)])
    points = alt.Chart(data).mark_circle(size=40, opacity=0.75)
    return points.encode(
        x=log_axis(rows[setting].dropna(), setting),
        y=axis(objective, "y", short=True),
        color=coloured_by_alpha(*conditions, legend=False),
        tooltip=tooltip(objectives),
    )
