"""The winner's curse: how far the front's configurations moved on fresh seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from analysis.charts import chart_parts as parts
from analysis.confirm import confirmed, mean_optimism
from analysis.formats import metric_text, unit
from analysis.pareto import OBJECTIVES
from analysis.residual import judgements
from sgu.results.schema import METRICS


def confirm_chart(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> parts.Chart:
    """Draw each confirmed configuration's move from the search's mean to that of fresh seeds,
    with the interval of the latter; a panel a cell.

    Raises:
        ValueError: as `confirmed`.
    """
    moved = parts.judged(confirmed(frame, objectives), judgements(frame, "confirm"))
    moved["verdict"] = moved["verdict"].fillna("none")
    panels = [
        _panel(rows, objectives[:2]).properties(title=parts.panel_title(str(cell)))
        for cell, rows in parts.labelled(moved).groupby("cell")
    ]
    note = f"open: as the search saw it; filled: {moved['seeds'].min()} fresh seeds, 90 % interval"
    note += f"; {_optimism(frame, objectives)}"
    return parts.panelled(panels, 1, "The front on fresh seeds", note)


def _optimism(frame: pd.DataFrame, objectives: Sequence[str]) -> str:
    optimism = mean_optimism(frame, objectives).groupby("metric")["optimism"].mean()
    return " and ".join(
        f"{'better' if optimism[name] < 0 else 'worse'} on average by "
        f"{metric_text(name, abs(optimism[name]))} {unit(name)} in {name}"
        for name in objectives
    )


def _panel(moved: pd.DataFrame, names: Sequence[str]) -> parts.Chart:
    sign = moved["metric"].map(lambda name: METRICS[name].sign)
    ends = {"one": moved["low"], "other": moved["high"]}
    wide = moved.assign(**{name: moved["searched"] + sign * end for name, end in ends.items()})
    named, values = ["trial_id", *parts.JUDGED], ["searched", "confirmed", *ends]
    table = wide.pivot(index=named, columns="metric", values=values)
    table.columns = table.columns.map(lambda pair: f"{pair[1]}_{pair[0]}")
    base = parts.chart(table.reset_index(), [*named, *table.columns])
    tips = ["trial_id:N", alt.Tooltip("verdict:N", title="verdict on fresh seeds"),
            alt.Tooltip("memory:N", title="residual memory, %")]  # fmt: skip
    x, y = (parts.axis(name, channel) for name, channel in zip(names, "xy", strict=True))

    def at(place: Any, end: str) -> Any:
        return parts.re_aimed(place, f"{parts.name_of(place)}_{end}")

    before = {"x": at(x, "searched"), "y": at(y, "searched")}
    after = {"x": at(x, "confirmed"), "y": at(y, "confirmed")}
    bar = base.mark_rule(color=parts.INK, opacity=0.35, tooltip=False)
    move = base.mark_rule(color=parts.INK, strokeWidth=1.2, strokeDash=[3, 2], tooltip=False)
    hollow = base.mark_point(size=70, stroke=parts.BLUE, fill="white", opacity=1)
    solid = base.mark_point(size=70, shape="diamond", color=parts.VERMILION, filled=True, opacity=1)
    bars = [
        bar.encode(x=at(x, "one"), x2=f"{names[0]}_other:Q", y=after["y"]),
        bar.encode(y=at(y, "one"), y2=f"{names[1]}_other:Q", x=after["x"]),
    ]
    return alt.layer(
        *(bars if moved["low"].notna().any() else []),
        move.encode(**before, x2=f"{names[0]}_confirmed:Q", y2=f"{names[1]}_confirmed:Q"),
        hollow.encode(**before, tooltip=tips),
        solid.encode(**after, tooltip=tips),
    ).properties(width=640, height=320)
