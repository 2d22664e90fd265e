"""Metrics as a table for people, the same in the library and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO

from rich.console import Console, RenderableType
from rich.table import Table

from sgu.results.schema import METRICS

WIDTH = 100
ROWS = (
    "retain_acc", "forget_acc", "val_acc", "test_acc", "forget_test_gap", "val_mia_acc", "mia_acc",
    "mia_auc", "mia_f1", "ks", "wasserstein", "utility_paper", "seconds", "game_seconds",
    "solve_seconds",
)  # fmt: skip
"""Metrics shown, of those that a run measures."""


def metric_table(metrics: Mapping[str, Mapping[str, float]]) -> Table:
    """Return a table with a row a metric and a column a model. metrics: by model and name."""
    table = Table("metric", *metrics, "what it is")
    for name in ROWS:
        values = [measured.get(name) for measured in metrics.values()]
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        table.add_row(name, *cells, METRICS[name].meaning)
    return table


def as_text(*parts: RenderableType) -> str:
    """Return what a terminal of WIDTH columns would show, without colours."""
    console = Console(file=StringIO(), width=WIDTH)
    for part in parts:
        console.print(part, highlight=False)
    return console.file.getvalue().rstrip()  # type: ignore[attr-defined]
