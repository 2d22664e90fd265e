"""What each setting does to each objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.charts.marks import (
    Chart,
    axis,
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


def effect_chart(
    frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES, *, columns: int = 3
) -> Chart:
    """Each objective against each setting that was searched, one small panel a pair."""
    return finish(
        alt.concat(*effect_panels(frame, objectives), columns=columns, spacing=26),
        "Effect of the settings",
        f"n = {len(in_the_game(frame))} configurations; dashed: alpha 0; dotted: retrained "
        "(means over runs)",
    )


def effect_panels(frame: pd.DataFrame, objectives: Sequence[str], *conditions: Any) -> list[Chart]:
    """A panel for each objective and searched number. conditions: where one of them does not
    hold, a point is grey."""
    rows = in_the_game(frame)
    settings = searched(rows)
    numbers = [name for name in names_of(settings) if pd.api.types.is_numeric_dtype(settings[name])]
    known = rows.assign(**{name: settings[name] for name in numbers})
    return [
        alt.layer(
            *control_rules(frame, objective),
            _points(known, name, objective, objectives, conditions),
        ).properties(width=225, height=150, title=panel_title(METRICS[objective].title))
        for objective in objectives
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
