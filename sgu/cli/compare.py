"""`sgu compare` and `sgu methods`: all methods side by side, and the settings of each."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table
from typer import Option

from sgu.cli.options import with_settings
from sgu.cli.shared import CacheOption, JsonOption, SetOption, ThreadsOption, changes, prepared
from sgu.compare import comparison, experiments_of
from sgu.experiment import CACHE, REFERENCE_SETTINGS
from sgu.files.terminal import printed
from sgu.methods import GAME_SPACE, METHODS, OVER
from sgu.results.rows import Row
from sgu.results.schema import METRICS

COLUMNS = (
    "retain_acc", "forget_acc", "val_acc", "test_acc", "val_mia_acc", "mia_acc", "avg_gap",
    "seconds",
)  # fmt: skip
AUDIT_BATCH = 400  # forgot as well as 800 for a third of the time: benchmarks/audit_batch.py
DEFAULT_METHODS = (*METHODS, f"{OVER}random_label")


def methods(as_json: JsonOption = False) -> None:
    """List the unlearning methods: settings as published, what a search varies, and the source."""
    listed = {name: _described(name) for name in METHODS}
    if as_json:
        typer.echo(json.dumps(listed, indent=2))
        return
    for name, method in listed.items():
        typer.echo(f"{name}: {method['what']}\n  source    {method['source']}")
        typer.echo(f"  settings  {_listed(method['settings'])}")
        typer.echo(f"  search    {_listed(method['space'])}")
    typer.echo(f"{OVER}NAME: the game over any of them; it adds to the search")
    typer.echo(f"            {_listed(GAME_SPACE)}")


@with_settings(REFERENCE_SETTINGS)
def compare(
    settings: dict[str, Any],
    seeds: Annotated[int, Option(help="How many seeds, from --seed on.")] = 2,
    names: Annotated[str, Option("--methods", help="Names, comma-separated.")] = ",".join(
        DEFAULT_METHODS
    ),
    change: SetOption = None,
    threads: ThreadsOption = None,
    cache: CacheOption = CACHE,
    out: Annotated[Path, Option(help="Folder of the Parquet rows.")] = Path("results/compare"),
) -> None:
    """Run all methods beside the original and the retrained model, and print one table.

    Each method is as published, but for what --set says. A stopped comparison continues where it
    was. To search a method's settings, run a study, such as studies/methods.yaml.
    """
    with prepared("sgu compare", threads, cache, out):
        if seeds < 1:
            raise ValueError(f"seeds = {seeds}: must be >= 1")
        chosen = {"audit_batch": AUDIT_BATCH} | settings | changes(change)
        experiments, rows = experiments_of(names.split(","), chosen), list[Row]()
        for seed in range(experiments[0].seed, experiments[0].seed + seeds):
            seeded = [replace(experiment, seed=seed) for experiment in experiments]
            rows += comparison(seeded, out, cache, lambda line: typer.echo(line, err=True))
    printed(table(rows), 130)
    for row in rows:
        if row["status"] == "failed":
            typer.echo(f"{row['trial_id']} failed: {row['reason']}")
    typer.echo(f"mean and standard deviation of {seeds} seeds; rows in {out}")


def table(rows: Sequence[Row]) -> Table:
    """Return the mean and deviation of each method over its seeds, as a table."""
    shown = Table("method", box=None, header_style="bold")
    for name in COLUMNS:
        shown.add_column(f"{name} {METRICS[name].unit or '%'}", justify="right")
    for method in dict.fromkeys(row["method"] for row in rows):
        complete = [r for r in rows if r["method"] == method and r["status"] == "complete"]
        cells = [_cell([row.get(column) for row in complete], column) for column in COLUMNS]
        shown.add_row(method, *cells)
    return shown


def _cell(values: Sequence[float | None], column: str) -> str:
    """Return mean ± standard deviation (of the sample), in per cent or seconds."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    scale = 1 if column == "seconds" else 100
    mean = f"{np.mean(known) * scale:.1f}"
    return f"{mean} ±{np.std(known, ddof=1) * scale:.1f}" if len(known) > 1 else mean


def _described(name: str) -> dict[str, Any]:
    method = METHODS[name]
    return {
        "what": (sys.modules[method.__module__].__doc__ or "").split("\n")[0],
        "source": method.source,
        "settings": {field.name: field.default for field in fields(method)},
        "space": dict(method.space),
    }


def _listed(values: Any) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items()) or "nothing"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['low']:g}..{value['high']:g}" + (" (log)" if value.get("log") else "")
    return "|".join(map(str, value)) if isinstance(value, list) else str(value)
