"""The front as a table for the terminal, with the controls above it and a legend below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text

from analysis.formats import arrow, better, metric_text, plain_text, spread_text, unit
from analysis.pareto import OBJECTIVES, pareto_front
from analysis.schema import METRICS
from analysis.summary import CONFIGURATION, EXPLAINED, controls, notes, shown_metrics

_BREAKS = {"advantage": "advan-\ntage", "wasserstein": "wasser-\nstein", "seconds": "secs"}


def front_table(frame: pd.DataFrame, objectives: Sequence[str] = OBJECTIVES) -> Group:
    """Controls, front, notes and legend of a study, to print on 100 columns.

    Raises:
        ValueError: as `pareto_front`.
    """
    front = pareto_front(frame, objectives)
    names = shown_metrics(objectives)
    table = _empty_table(names, objectives)
    for _, row in controls(frame, names).iterrows():
        table.add_row(*control_cells(row, names), style="cyan")
    table.add_section()
    for _, row in front.iterrows():
        table.add_row(*trial_cells(row, names))
    lines = [Text(line) for line in notes(frame, objectives)]
    return Group(table, "", *lines, "", _legend_table(legend(names, objectives)))


def _empty_table(names: Sequence[str], objectives: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("trial", overflow="fold", vertical="bottom")
    for name in CONFIGURATION:
        table.add_column(_header(name), justify="left" if name == "update" else "right")
    for name in names:
        style = "bold" if name in objectives else ""
        heading = f"{_header(name)}\n{unit(name)} {arrow(name)}"
        table.add_column(heading, justify="right", style=style)
    return table


def _header(name: str) -> str:
    return "\n".join(_BREAKS.get(word, word) for word in name.split("_"))


def control_cells(row: pd.Series, names: Sequence[str]) -> list[str]:
    """A row of `summary.controls`; each mean has its spread on a second line."""
    method, _, alpha = row["name"].partition(", alpha ")
    runs = "1 run" if row["runs"] == 1 else f"{row['runs']} runs"
    pairs = [spread_text(name, row[name], row[f"{name}_spread"]) for name in names]
    return [f"{method}\n{runs}", alpha, "", "", "", *("\n".join(pair) for pair in pairs)]


def trial_cells(row: pd.Series, names: Sequence[str]) -> list[str]:
    """A trial: its id, configuration and the metrics `names`."""
    configuration = [plain_text(_whole(row[name])) for name in CONFIGURATION]
    return [row["trial_id"], *configuration, *(metric_text(name, row[name]) for name in names)]


def _whole(value: Any) -> Any:
    """A whole number that a missing neighbour turned into a float, as a whole number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def legend(names: Sequence[str], objectives: Sequence[str]) -> dict[str, str]:
    """What the rows and each column mean and which way is better."""
    return {
        "first rows": "controls to compare with: mean ± standard deviation over runs",
        "retrain": "never saw the forget set: the target in every column",
        "↓ ↑": "where better values lie, up to the retrained models' own value",
        **{name: EXPLAINED[name] for name in CONFIGURATION},
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
