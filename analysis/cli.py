"""The command `sgu-report`: shows a finished or running study as a table, a picture or a page."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pandas as pd
import typer
from rich.console import Console

from analysis.charts import front_chart, save
from analysis.choose import choose as chosen
from analysis.configurations import cells, of_cell
from analysis.load import load_study
from analysis.pareto import OBJECTIVES, candidates, check_selectable, hypervolume, pareto_front
from analysis.report import read_study, write_report
from analysis.summary import controls, counts, shown_metrics
from analysis.table import front_table
from sgu.files.location import joined
from sgu.files.one_line import one_line_errors
from sgu.results.schema import METRICS

app = typer.Typer(
    help="Reads what `sgu-study run` wrote: a study's best trade-offs and how they came about.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A study's name, or its folder.")]
Results = Annotated[
    str, typer.Option(help="Folder that holds the studies, or an address: s3://bucket/folder.")
]
Objectives = Annotated[
    str,
    typer.Option(help="Two or more metrics to trade off, comma between; none that reads test."),
]

DEFAULT = ",".join(OBJECTIVES)
T = TypeVar("T")
_one_line_errors = partial(one_line_errors, "sgu-report", OSError, ValueError)


@app.command()
def front(
    name: Name,
    results: Results = "results",
    objectives: Objectives = DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the front's rows as CSV.")] = False,
) -> None:
    """Print the trials that no other trial beats, beside the controls; draw them in front.png."""
    with _one_line_errors():
        if as_json and as_csv:
            raise ValueError("--json and --csv exclude each other: give one of them")
        names = _objectives(objectives)
        study = _folder(name, results)
        frame = _read(load_study, study)
        if as_json:
            typer.echo(json.dumps(_summary(frame, names), indent=2))
        elif as_csv:
            rows = pareto_front(frame, names, by=["cell"])
            typer.echo(rows.to_csv(index=False), nl=False)
        else:
            console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
            console.print(front_table(frame, names, console.width))
        try:
            picture = save(front_chart(frame, names), _beside(study) / "front.png")
            typer.echo(f"chart: {picture}", err=as_json or as_csv)
        except OSError as error:  # somebody else's study may be read, and not written to
            typer.echo(f"no chart: {error}", err=True)


@app.command()
def html(
    name: Name,
    results: Results = "results",
    objectives: Objectives = DEFAULT,
) -> None:
    """Write report.html, one page with the front, charts, failures and every trial; offline."""
    with _one_line_errors():
        names = _objectives(objectives)
        study = _folder(name, results)
        page = _beside(study) / "report.html"
        typer.echo(write_report(_read(read_study, study), page, names))


@app.command()
def choose(
    name: Name,
    results: Results = "results",
    maximise: Annotated[str | None, typer.Option(help="Metric to choose by.")] = None,
    minimise: Annotated[str | None, typer.Option(help="The same, where less is better.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help='A bound to keep: "val_mia_acc inside", "seconds <= 20"; repeatable.'),
    ] = None,
    cell: Annotated[str | None, typer.Option(help="One cell's trials only.")] = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print its settings as YAML.")] = False,
) -> None:
    """Print the configuration to run: the best val_acc inside the null band of val_mia_acc.

    The reasons go to stderr, the command that runs it to stdout.
    """
    with _one_line_errors():
        if not maximise and not minimise:
            maximise, where = "val_acc", where or ["val_mia_acc inside"]
        frame = _read(load_study, _folder(name, results))
        rows = _narrowed(frame, cell)
        choice = chosen(rows, maximise=maximise, minimise=minimise, where=_bounds(where or []))
        for sentence in choice.why:
            typer.echo(sentence, err=True)
        typer.echo(choice.yaml().rstrip() if as_yaml else choice.command())


def main() -> None:
    """Entry point."""
    app(prog_name="sgu-report")


def _folder(name: str, results: str) -> str:
    """Return the folder of a study inside `results`, else `name` itself."""
    inside = joined(results, name)
    return name if "://" in name or (Path(name).is_dir() and not Path(inside).is_dir()) else inside


def _beside(study: str) -> Path:
    """Return the folder for pictures and pages: the study's; for one in a bucket results/<name>."""
    if "://" not in study:
        return Path(study)
    folder = Path("results") / study.partition("?")[0].rstrip("/").rsplit("/", 1)[-1]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _bounds(texts: list[str]) -> dict[str, str]:
    """Return bounds by metric: {"seconds": "<= 20"} for ["seconds <= 20"]."""
    pairs = [text.partition(" ") for text in texts]
    for name, _, bound in pairs:
        if not bound:
            raise ValueError(f'--where {name!r}: expected a metric and its bound, "seconds <= 20"')
    return {name: bound.strip() for name, _, bound in pairs}


def _narrowed(frame: pd.DataFrame, cell: str | None) -> pd.DataFrame:
    """Return the rows to choose from: all if they are of one data set, else those of a cell."""
    known = cells(frame)
    if cell is None and frame["dataset"].nunique() == 1:
        return frame
    if cell not in known:
        raise ValueError(f"--cell {cell}: choose from {', '.join(known)}")
    return of_cell(frame, cell)


def _objectives(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    check_selectable(names)
    return names


def _summary(frame: pd.DataFrame, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the study as JSON; if it has several cells, each with its own front and controls."""
    known = cells(frame)
    return {
        "study": ", ".join(frame["study"].unique()),
        "objectives": {name: METRICS[name].goal for name in names},
        "reference": {name: METRICS[name].reference_point for name in names},
        "trials": counts(frame),
    } | (
        {"cells": {cell: _reached(of_cell(frame, cell), names) for cell in known}}
        if len(known) > 1
        else _reached(frame, names)
    )


def _reached(frame: pd.DataFrame, names: tuple[str, ...]) -> dict[str, Any]:
    """Return what one cell has reached; without a complete trial, null and no front."""
    some = len(candidates(frame, names)) > 0
    return {
        "hypervolume": hypervolume(frame, names) if some else None,
        "controls": _records(controls(frame, shown_metrics(names))),
        "front": _records(pareto_front(frame, names)) if some else [],
    }


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    text = rows.to_json(orient="records", date_format="iso", double_precision=15)
    return json.loads(str(text))


def _read(load: Callable[[str], T], study: str) -> T:
    """Return what `load` returns, and print each of its warnings as a line on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            return load(study)
        finally:
            for warning in caught:
                typer.echo(f"warning: {warning.message}", err=True)
