"""Front, effects and parallel coordinates in one figure: an interval on one filters all."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from analysis.charts import chart_parts as parts
from analysis.charts.effects import effect_panels
from analysis.charts.front import front_note, plane
from analysis.charts.parallel import lines
from analysis.configurations import cells
from analysis.pareto import OBJECTIVES

BRUSH = "brush"


def linked_chart(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> parts.Chart:
    """Draw the front of one cell; below it, each objective against each setting, and a line a
    configuration through all of them. What lies outside an interval drawn on the front is grey.

    Raises:
        ValueError: as `pareto_front`; or the frame has several cells, which search other settings.
    """
    if len(names := cells(frame)) > 1:
        raise ValueError(
            f"a linked chart of {len(names)} cells ({', '.join(names)}): give the rows of one, "
            f"such as analysis.of_cell(frame, {names[0]!r})"
        )
    brush = alt.selection_interval(name=BRUSH)
    panels = effect_panels(frame, objectives, brush)
    charts = [
        plane(frame, objectives, brush),
        *([alt.concat(*panels, columns=3, spacing=26)] if panels else []),
        *([lines(frame, objectives, brush)] if panels else []),
    ]
    chart = alt.vconcat(*charts, spacing=34).resolve_scale(color="shared")
    return parts.finish(chart, "The front and its settings", front_note(frame, objectives))
