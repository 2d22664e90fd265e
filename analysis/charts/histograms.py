"""Histograms of losses: what an attack on the loss sees of forget beside held-out examples."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from analysis.charts import chart_parts as parts
from analysis.configurations import CONFIGURED, cells
from analysis.pareto import OBJECTIVES, pareto_front
from analysis.summary import is_no_game
from sgu.results.schema import REFERENCES

SPLIT_COLOURS = {"forget": parts.VERMILION, "test": parts.BLUE}
MOST = 8  # panels: the controls, and the front evenly from end to end


def histograms_chart(
    histograms: pd.DataFrame, frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES
) -> parts.Chart | None:
    """Draw losses of forget against those of test, for the controls and along the front, a panel
    a model.

    histograms: from `load_histograms`. Of several seeds the first is drawn; None if none of these
    models has a histogram.
    """
    first = frame.sort_values("seed", kind="stable").drop_duplicates(list(CONFIGURED))
    rows = histograms[histograms["split"].isin(SPLIT_COLOURS)].merge(first[[*CONFIGURED, "seed"]])
    total = rows.groupby([*CONFIGURED, "split"])["count"].transform("sum")
    bins = dict(iter(rows.assign(share=rows["count"] / total).groupby(list(CONFIGURED))))
    models = _models(frame, objectives)
    panels = [_panel(bins[model], name) for name, model in models if model in bins]
    note = [
        "forget solid, test dashed: where a model has forgotten, the two lie on each other",
        "one seed; logarithmic; the outermost bins hold what lies beyond",
    ]
    chart = parts.panelled(panels, 2, "Losses of forget against test", note)
    return chart and chart.resolve_scale(x="shared", y="shared")


def _models(
    frame: pd.DataFrame, objectives: Sequence[str]
) -> list[tuple[str, tuple[str, str, str]]]:
    """Return the heading, and study, cell and trial_id, of each model to draw."""
    controls = frame[frame["trial_id"].isin(REFERENCES) | is_no_game(frame)]
    controls = controls[controls["status"] == "complete"]
    controls = controls.drop_duplicates(["study", "cell", "method"])
    front = pareto_front(frame, objectives, by=["study", "cell"])
    front = front[~is_no_game(front)]
    step = max(1, -(-len(front) // max(1, MOST - len(controls))))
    rows = pd.concat([controls, front.iloc[::step]])
    models = list(rows[list(CONFIGURED)].itertuples(index=False, name=None))
    names = [_heading(row) for _, row in rows.iterrows()]
    if len(cells(frame)) > 1 or rows["study"].nunique() > 1:
        labels = parts.labelled(rows)["cell"]
        names = [f"{name}, {cell}" for name, cell in zip(names, labels, strict=True)]
    return list(zip(names, models, strict=True))


def _heading(row: pd.Series) -> str:
    if row["method"] in REFERENCES:
        return str(row["method"])
    if row["alpha"] == 0:
        return f"{row['method']}, alpha 0"
    return f"trial {row['trial_id']}" + (f", alpha {row['alpha']:.3g}" if row["alpha"] > 0 else "")


def _panel(rows: pd.DataFrame, name: str) -> parts.Chart:
    sizes = rows.groupby("split")["count"].sum()
    below = ", ".join(f"{split} n = {sizes[split]}" for split in SPLIT_COLOURS if split in sizes)
    last = rows[rows["low"] == rows["low"].max()]
    steps = pd.concat([rows, last.assign(low=last["high"])])  # a step is drawn from its left end
    base = parts.chart(steps, ["split", "low", "high", "share", "count"])
    names, colours = list(SPLIT_COLOURS), list(SPLIT_COLOURS.values())
    shown = alt.Axis(title="loss (nats, log scale)", format="~g", tickCount=5, grid=False)
    key = alt.Legend(
        title=None, orient="bottom", symbolType="stroke", symbolSize=400, symbolOpacity=1
    )
    dash = alt.StrokeDash("split:N", legend=key).scale(domain=names, range=[[1, 0], [4, 3]])
    base = base.encode(
        x=alt.X("low:Q", axis=shown).scale(type="log", nice=False),
        y=alt.Y("share:Q", stack=None, axis=alt.Axis(title="share of examples", format=".0%")),
        color=alt.Color("split:N", legend=key).scale(domain=names, range=colours),
        tooltip=[
            alt.Tooltip("split:N"),
            alt.Tooltip("low:Q", title="loss from", format=".2~g"),
            alt.Tooltip("high:Q", title="to", format=".2~g"),
            alt.Tooltip("count:Q", title="examples"),
        ],
    )
    return alt.layer(
        base.mark_area(interpolate="step-after", opacity=0.18),
        base.mark_line(interpolate="step-after", strokeWidth=1.5).encode(strokeDash=dash),
    ).properties(width=300, height=110, title=parts.panel_title(name, below))
