"""The command `sgu-report`: a finished or running study as a table, a picture or a page."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console

from analysis.charts import front_chart, save
from analysis.load import load_epochs, load_study
from analysis.pareto import OBJECTIVES, check_selectable, hypervolume, pareto_front
from analysis.report import write_report
from analysis.schema import METRICS
from analysis.summary import controls, counts, shown_metrics
from analysis.table import front_table

app = typer.Typer(
    help="Reads what `sgu-study run` wrote: a study's best trade-offs and how they came about.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A study's name, or its folder.")]
Results = Annotated[Path, typer.Option(help="Folder that holds the studies.")]
Objectives = Annotated[
    str,
    typer.Option(help="Two or more metrics to trade off, comma between; none that reads test."),
]


DEFAULT = ",".join(OBJECTIVES)


@app.command()
def front(
    name: Name,
    results: Results = Path("results"),
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
            typer.echo(pareto_front(frame, names).to_csv(index=False), nl=False)
        else:
            width = None if sys.stdout.isatty() else 100
            Console(width=width, highlight=False).print(front_table(frame, names))
        picture = save(front_chart(frame, names), study / "front.png")
        typer.echo(f"chart: {picture}", err=as_json or as_csv)


@app.command()
def html(
    name: Name,
    results: Results = Path("results"),
    objectives: Objectives = DEFAULT,
) -> None:
    """Write report.html, one page with the front, charts, failures and every trial; offline."""
    with _one_line_errors():
        names = _objectives(objectives)
        study = _folder(name, results)
        frame = _read(load_study, study)
        epochs = (
            _read(load_epochs, study) if any((study / "epochs").glob("[!_]*.parquet")) else None
        )
        spec = study / "spec.yaml"
        text = spec.read_text(encoding="utf-8") if spec.exists() else None
        typer.echo(write_report(frame, epochs, names, study / "report.html", text))


def main() -> None:
    """Entry point."""
    app(prog_name="sgu-report")


def _folder(name: str, results: Path) -> Path:
    """A study inside `results`, else the folder `name` itself where there is one."""
    inside = results / name
    return inside if inside.is_dir() or not Path(name).is_dir() else Path(name)


def _objectives(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    check_selectable(names)
    return names


def _summary(frame: pd.DataFrame, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "study": ", ".join(frame["study"].unique()),
        "objectives": {name: METRICS[name].goal for name in names},
        "reference": {name: METRICS[name].reference for name in names},
        "hypervolume": hypervolume(frame, names),
        "trials": counts(frame),
        "controls": _records(controls(frame, shown_metrics(names))),
        "front": _records(pareto_front(frame, names)),
    }


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    text = rows.to_json(orient="records", date_format="iso", double_precision=15)
    return json.loads(str(text))


def _read(load: Callable[[Path], pd.DataFrame], study: Path) -> pd.DataFrame:
    """What `load` finds; each of its warnings is one line on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            return load(study)
        finally:
            for warning in caught:
                typer.echo(f"warning: {warning.message}", err=True)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Says a foreseen error in one line on stderr and ends with code 2."""
    try:
        yield
    except (OSError, ValueError) as error:
        typer.echo(f"sgu-report: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from None
