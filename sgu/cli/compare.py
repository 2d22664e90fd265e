"""`sgu compare` and `sgu methods`: all methods side by side, and what each can be told."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from typer import Option

from sgu.cli.shared import CACHE, FORESEEN, SET, changes, one_line_errors, writable
from sgu.compare import Comparison
from sgu.experiment import SETTINGS, Experiment
from sgu.methods import GAME_SPACE, METHODS, OVER
from sgu.results.rows import Row
from sgu.results.schema import METRICS

COLUMNS = (
    "retain_acc", "forget_acc", "val_acc", "test_acc", "val_mia_acc", "mia_acc", "avg_gap",
    "seconds",
)  # fmt: skip
AUDIT_BATCH = 400  # forgot as well as 800 for a third of the time: benchmarks/audit_batch.py
DEFAULT_METHODS = (*METHODS, f"{OVER}random_label")


def methods(as_json: Annotated[bool, Option("--json", help="Print JSON instead.")] = False) -> None:
    """List the unlearning methods: settings as published, what a search varies, and the source."""
    listed = {name: _described(name) for name in METHODS}
    if as_json:
        return typer.echo(json.dumps(listed, indent=2))
    for name, what in listed.items():
        typer.echo(f"{name}: {what['what']}\n  source    {what['source']}")
        typer.echo(f"  settings  {_listed(what['settings'])}")
        typer.echo(f"  search    {_listed(what['space'])}")
    typer.echo(f"{OVER}NAME: the game over any of them; it adds to the search")
    typer.echo(f"            {_listed(GAME_SPACE)}")
    return None


def compare(
    data: Annotated[str, Option(help="Data, as of `sgu`.")] = "embedded",
    subset: Annotated[int | None, Option(help="Use this many train examples.")] = None,
    model: Annotated[str, Option(help="Network.")] = "small_cnn",
    seed: Annotated[int, Option(help="The first seed.")] = 0,
    seeds: Annotated[int, Option(help="How many seeds.")] = 2,
    tries: Annotated[
        int, Option(help="Configurations of each method: as published, and drawn ones.")
    ] = 4,
    only: Annotated[str, Option("--methods", help="Names, comma-separated.")] = ",".join(
        DEFAULT_METHODS
    ),
    change: Annotated[list[str] | None, SET] = None,
    threads: Annotated[int | None, Option(min=1, help="CPU threads.")] = None,
    cache: CACHE = Path("results/cache"),
    out: Annotated[Path, Option(help="Folder of the Parquet rows.")] = Path("results/compare"),
) -> None:
    """Run all methods beside the original and the retrained model, and print one table.

    Each method has the same number of tries, the first as published; the choice looks at val and
    forget alone. A stopped comparison goes on where it was.
    """
    torch.set_num_threads(threads or torch.get_num_threads())
    with one_line_errors("sgu compare", *FORESEEN):
        writable(cache, out)
        given: dict[str, Any] = {"data": data, "subset": subset, "model": model, "seed": seed}
        given |= {"audit_batch": AUDIT_BATCH} | changes(change or ())
        made = Comparison(
            base=Experiment(**{name: given[name] for name in given if name in SETTINGS}),
            methods=tuple(name.strip() for name in only.split(",")),
            options={name: given[name] for name in given if name not in SETTINGS},
            seeds=seeds,
            tries=tries,
            out=out,
            cache=cache,
        )
        rows = made.run(lambda line: typer.echo(line, err=True))
    Console(width=None if sys.stdout.isatty() else 130).print(table(rows))
    typer.echo(
        f"mean and standard deviation of {seeds} seeds; {tries} tries a method; rows in {out}"
    )


def table(rows: Sequence[Row]) -> Table:
    """The rows by configuration: mean and deviation over the seeds, and the gap to retraining."""
    shown = Table(box=None, header_style="bold")
    heads = [f"{name} {METRICS[name].unit or '%'}" for name in COLUMNS]
    for title in ("method", *heads, "as"):
        shown.add_column(title, justify="left" if title in ("method", "as") else "right")
    for name in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == name and row["status"] == "complete"]
        failed = [row["reason"] for row in rows if row["method"] == name and row not in own]
        cells = [_cell([row.get(column) for row in own], column) for column in COLUMNS]
        shown.add_row(name, *cells, failed[0] if failed else _try(own[0]))
    return shown


def _cell(values: Sequence[float | None], column: str) -> str:
    """Mean ± deviation (of the sample); per cent, or seconds."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    scale = 1 if column == "seconds" else 100
    mean = f"{np.mean(known) * scale:.1f}"
    return f"{mean} ±{np.std(known, ddof=1) * scale:.1f}" if len(known) > 1 else mean


def _try(row: Row) -> str:
    """What the chosen configuration has of its own."""
    if row["method"] in ("original", "retrain"):
        return ""
    number = row["trial_id"].removeprefix(row["method"]).split("-")[1]
    return "published" if number == "0" else f"draw {number}"


def _described(name: str) -> dict[str, Any]:
    method = METHODS[name]
    settings = {field.name: field.default for field in fields(method)}
    what = (sys.modules[method.__module__].__doc__ or "").split("\n")[0]
    return {
        "what": what,
        "source": method.source,
        "settings": settings,
        "space": dict(method.space),
    }


def _listed(values: Any) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in values.items()) or "nothing"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['low']:g}..{value['high']:g}" + (" (log)" if value.get("log") else "")
    return "|".join(map(str, value)) if isinstance(value, list) else str(value)
