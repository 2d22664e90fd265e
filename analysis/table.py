"""The front as a table for the terminal: controls, null band, trials with their verdicts, legend.

The page shows the same lines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from analysis.band import Band, null_band
from analysis.configurations import cells, configurations, most_seeds, of_cell, searched
from analysis.formats import (
    NONE,
    arrow,
    better,
    memory_text,
    metric_text,
    setting_text,
    spread_text,
    unit,
)
from analysis.intervals import mean_intervals
from analysis.pareto import OBJECTIVES, candidates, pareto_front, some
from analysis.residual import judgements, with_verdicts
from analysis.summary import EXPLAINED, controls, notes, shown_metrics
from sgu.results.schema import METRICS
from sgu.results.verdicts import MARGIN

JUDGED = ("verdict", "residual memory")
"""Columns of the joint verdict, before the settings."""

STYLES = {"control": "cyan", "band": "blue", "trial": ""}
_BREAKS = {"advantage": "advan-\ntage", "wasserstein": "wasser-\nstein", "seconds": "secs"}


@dataclass(frozen=True)
class Line:
    """A row of a front's table: a name, verdict and residual memory, a text for each setting, a
    text for each metric."""

    kind: Literal["control", "band", "trial"]
    name: str
    judged: tuple[str, str]
    settings: list[str]
    metrics: list[str]


def front_table(
    frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES, width: int = 100
) -> Group:
    """Return controls, front and notes of each cell, and a legend, to print on `width` columns; a
    cell without a front yet has its notes alone.

    Raises:
        ValueError: as `pareto_front`.
    """
    parts: list[RenderableType] = []
    some(candidates(frame, objectives), objectives)
    names, banded, shown = shown_metrics(objectives), False, cells(frame)
    for cell in shown:
        rows, unseen = of_cell(frame, cell), []
        parts += [Text(cell, style="bold"), ""] if len(shown) > 1 else []
        if not candidates(rows, objectives).empty:
            table, hidden = _table(rows, objectives, width)
            unseen = [f"Too narrow here for {', '.join(hidden)}."] if hidden else []
            parts += [table, ""]
            banded |= bool(null_band(rows))
        parts += [*map(Text, [*notes(rows, objectives), *unseen]), ""]
    return Group(*parts, _legend_table(legend(frame, names, objectives, banded)))


def lines(frame: pd.DataFrame, objectives: Sequence[str]) -> list[Line]:
    """Return controls, null band and front of one cell, by `setting_names` and `shown_metrics`."""
    settings, names = setting_names(frame), shown_metrics(objectives)
    table = [_control(row, settings, names) for _, row in controls(frame, names).iterrows()]
    bands = null_band(frame)
    if bands:
        table.append(_band(bands, settings, names))
    front = with_verdicts(pareto_front(frame, objectives), judgements(frame))
    exact, halves = searched(configurations(frame)), _half_intervals(frame, front, names)
    for index, row in front.iterrows():
        known = {**exact.loc[[index]].iloc[0], **row}  # a setting not in use is null in its column
        texts = [setting_text(known[name]) for name in settings]
        half = halves.get(row["trial_id"], {})
        values = [_metric(row, name, half.get(name)) for name in names]
        judged = _broken(row["verdict"] or NONE), memory_text(row, "{}\n{} to {}")
        table.append(Line("trial", _name(row), judged, texts, values))
    return table


def setting_names(frame: pd.DataFrame) -> list[str]:
    """Return the settings that one cell's search varied."""
    rows = configurations(frame)
    return list(searched(rows[~rows["control"].astype(bool)]).columns)


def _table(frame: pd.DataFrame, objectives: Sequence[str], width: int) -> tuple[Table, list[str]]:
    """Return a table with as many metrics as fit on `width` columns, and the others' names."""
    settings, names = setting_names(frame), shown_metrics(objectives)
    rows, console = lines(frame, objectives), Console(width=1000)
    for shown in range(len(names), len(objectives) - 1, -1):
        table = _filled(rows, settings, names[:shown], objectives)
        if console.measure(table).maximum <= width:
            break
    return table, list(names[shown:])


def _filled(
    rows: Sequence[Line], settings: Sequence[str], names: Sequence[str], objectives: Sequence[str]
) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("trial", overflow="fold")
    table.add_column("verdict")
    table.add_column("residual\nmemory\n%", justify="right")
    for name in settings:
        table.add_column(_header(name), justify="right")
    for name in names:
        style = "bold" if name in objectives else ""
        heading = f"{_header(name)}\n{unit(name)} {arrow(name)}"
        table.add_column(heading, justify="right", style=style)
    for before, row in zip([None, *rows], rows, strict=False):
        if row.kind == "trial" and (before is None or before.kind != "trial"):
            table.add_section()
        texts = [row.name, *row.judged, *row.settings, *row.metrics[: len(names)]]
        table.add_row(*texts, style=STYLES[row.kind])
    return table


def _broken(verdict: str) -> str:
    """Return a verdict on two lines, as narrow as its longest word."""
    return verdict.replace(" ", "\n").replace("-", "-\n")


def _header(name: str) -> str:
    return "\n".join(_BREAKS.get(word, word) for word in name.split("_"))


def _control(row: pd.Series, settings: Sequence[str], names: Sequence[str]) -> Line:
    """Return a row of `summary.controls`; each mean has its spread on a second line."""
    method, _, alpha = row["name"].partition(", alpha ")
    runs = "1 run" if row["runs"] == 1 else f"{row['runs']} runs"
    pairs = [spread_text(name, row[name], row[f"{name}_spread"]) for name in names]
    texts = [alpha if name == "alpha" else "" for name in settings]
    memory = {"original": "100", "retrain": "0"}.get(method, "")
    values = ["\n".join(pair) for pair in pairs]
    return Line("control", f"{method}\n{runs}", ("", memory), texts, values)


def _band(bands: dict[str, Band], settings: Sequence[str], names: Sequence[str]) -> Line:
    """Return the ends that one more retrained model would lie between."""
    ends = [
        f"{metric_text(name, bands[name].low)}\nto {metric_text(name, bands[name].high)}"
        if name in bands
        else NONE
        for name in names
    ]
    models = max(band.models for band in bands.values())
    return Line("band", f"null band\nn = {models}", ("", ""), ["" for _ in settings], ends)


def _half_intervals(
    frame: pd.DataFrame, front: pd.DataFrame, names: Sequence[str]
) -> dict[Any, dict[Any, float]]:
    """Return half the interval of each metric's mean, by trial of the front with several seeds."""
    several = front.loc[front["seeds"] > 1, ["cell", "trial_id"]]
    rows = frame.merge(several, on=["cell", "trial_id"])
    if rows.empty:
        return {}
    means = mean_intervals(rows, names, by=["trial_id"])
    means["half"] = (means["high"] - means["low"]) / 2
    return means.pivot(index="trial_id", columns="metric", values="half").to_dict("index")


def _metric(row: pd.Series, name: str, half: float | None) -> str:
    mean, reach = spread_text(name, row[name], math.nan if half is None else half)
    return f"{mean}\n{reach}" if reach else mean


def _name(row: pd.Series) -> str:
    return row["trial_id"] if row["seeds"] == 1 else f"{row['trial_id']}\n{row['seeds']} seeds"


def legend(
    frame: pd.DataFrame, names: Sequence[str], objectives: Sequence[str], banded: bool
) -> dict[str, str]:
    """Return the meaning of the rows and of each column, and which way is better."""
    settings = [name for name in EXPLAINED if (frame[name].nunique() > 1)] if len(frame) else []
    several = most_seeds(frame) > 1
    return {
        "first rows": "controls to compare with: mean ± standard deviation over runs",
        "retrain": "never saw the forget set: the target in every column",
        **({"seeds": "mean ± half of its 90 % interval over the seeds"} if several else {}),
        **({"null band": "where one more retrained model lies, 95 %"} if banded else {}),
        "residual memory": "share left of what the original knows of forget, with its 95 % "
        "interval; 0 % is like retraining",
        "verdict": f"like retrained: shown to be within ±{100 * MARGIN:.0f} %; remembers, "
        "over-forgotten: beyond; undecided: neither is shown",
        "↓ ↑": "where better values lie, up to the retrained models' own value",
        **{name: EXPLAINED[name] for name in settings},
        **{name: _meaning(name, objectives) for name in names},
    }


def _legend_table(terms: dict[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False, style="dim")
    for term, text in terms.items():
        table.add_row(term, text)
    return table


def _meaning(name: str, objectives: Sequence[str]) -> str:
    roles = ["objective"] if name in objectives else []
    roles += ["reads test, so only reported"] if METRICS[name].reads_test else []
    return "; ".join([f"{METRICS[name].title}, {unit(name)}", better(name), *roles])
