"""The command `sgu-report`: shows a finished or running study as a table, a picture or a page."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import pandas as pd
import typer

from analysis.certify import certify
from analysis.charts import front_chart, save
from analysis.choose import Choice, NoChoice
from analysis.choose import choose as chosen
from analysis.configurations import cells, narrowed, of_cell
from analysis.load import load_study
from analysis.pareto import candidates, check_selectable, hypervolume, pareto_front
from analysis.report import objectives_of, read_study, side_by_side, write_report
from analysis.residual import judgements, with_verdicts
from analysis.summary import controls, counts, shown_metrics
from analysis.table import front_table
from sgu.files.location import joined
from sgu.files.one_line import one_line_errors
from sgu.files.terminal import console
from sgu.results.schema import METRICS
from sgu.results.verdicts import MARGIN

app = typer.Typer(
    help="Reads what `sgu-study run` wrote: a study's best trade-offs and how they came about.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A study's name, or its folder.")]
Results = Annotated[
    str, typer.Option(help="Folder that holds the studies, or an address: s3://bucket/folder.")
]
Objectives = Annotated[
    str | None,
    typer.Option(help="Two or more metrics to trade off, comma between; none: the study's own."),
]

T = TypeVar("T")
_one_line_errors = partial(one_line_errors, "sgu-report", OSError, ValueError)


@app.command()
def front(
    name: Name,
    results: Results = "results",
    objectives: Objectives = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the front's rows as CSV.")] = False,
) -> None:
    """Print the trials that no other trial beats, beside the controls; draw them in front.png."""
    with _one_line_errors():
        if as_json and as_csv:
            raise ValueError("--json and --csv exclude each other: give one of them")
        study = _folder(name, results)
        names = _objectives(objectives, study)
        frame = _read(load_study, study)
        if as_json:
            typer.echo(json.dumps(_summary(frame, names), indent=2))
        elif as_csv:
            rows = with_verdicts(pareto_front(frame, names, by=["cell"]), judgements(frame))
            typer.echo(rows.to_csv(index=False), nl=False)
        else:
            screen = console(highlight=False)
            screen.print(front_table(frame, names, screen.width))
        try:
            picture = save(front_chart(frame, names), _beside(study) / "front.png")
            typer.echo(f"chart: {picture}", err=as_json or as_csv)
        except OSError as error:  # somebody else's study may be read, and not written to
            typer.echo(f"no chart: {error}", err=True)


@app.command()
def html(
    studies: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="A study's name or folder, or several.")
    ],
    results: Results = "results",
    objectives: Objectives = None,
) -> None:
    """Write report.html, one page with the front, charts, failures and every trial; offline.

    Of several studies: one page with each beside the others, compare-NAME-NAME.html.
    """
    with _one_line_errors():
        folders = [_folder(name, results) for name in studies]
        asked = [_objectives(objectives, folder) for folder in folders]
        if len(set(asked)) > 1:
            said = "; ".join(map(", ".join, asked))
            raise ValueError(f"the studies have other objectives ({said}): name them: --objectives")
        read = [_read(read_study, folder) for folder in folders]
        page = _beside(folders[0]) / "report.html"
        if len(read) > 1:
            stems = [Path(folder.partition("?")[0]).name for folder in folders]
            page = page.parent.with_name(f"compare-{'-'.join(stems)}.html")
        typer.echo(write_report(side_by_side(read) if read[1:] else read[0], page, asked[0]))


@app.command()
def choose(
    name: Name,
    results: Results = "results",
    maximise: Annotated[str | None, typer.Option(help="Metric to choose by.")] = None,
    minimise: Annotated[str | None, typer.Option(help="The same, where less is better.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help='A bound to keep: "seconds <= 20", "val_mia_acc inside"; repeatable.'),
    ] = None,
    cell: Annotated[str | None, typer.Option(help="One cell's or data set's trials only.")] = None,
    margin: Annotated[float, typer.Option(help="Most residual memory of retraining.")] = MARGIN,
    any_verdict: Annotated[bool, typer.Option("--any", help="Whatever the verdict.")] = False,
    audit: Annotated[bool, typer.Option("--audit", help="Audit it by fresh networks.")] = False,
    oracles: Annotated[int, typer.Option(help="Retrained models of the audit.")] = 8,
    shadows: Annotated[int, typer.Option(help="Shadow models of the audit, even.")] = 8,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print its settings as YAML.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the choice as JSON.")] = False,
) -> None:
    """Print the configuration to run, like retrained models and as accurate as the best of those.

    Trials whose val_acc is the best but for chance are equals: by no more than one standard
    deviation of the retrained models. Of these the one with the least sign of memory is chosen.

    The reasons go to stderr, the command that runs it to stdout. Ends with code 3 if no
    configuration is shown to be like retrained, or if the audit does not confirm the choice.
    """
    with _one_line_errors():
        study = _folder(name, results)
        rows = narrowed(_read(load_study, study), cell)
        choice = chosen(
            rows,
            maximise=maximise,
            minimise=minimise,
            where=_bounds(where or []),
            verdict="any" if any_verdict else "like retrained",
            margin=margin,
        )
        for sentence in choice.why:
            _err(sentence)
        texts = {"yaml": choice.yaml().rstrip(), "json": json.dumps(choice.record(), indent=2)}
        form = "yaml" if as_yaml else "json" if as_json else ""
        typer.echo(texts.get(form, choice.command()))
        if audit:
            folder, cache = _beside(study) / "certificate", joined(results, "cache")
            _certified(choice, folder, cache, oracles, shadows)


def _certified(choice: Choice, folder: Path, cache: str, oracles: int, shadows: int) -> None:
    """Audit a choice and print its verdict; end with code 3 unless it is like retrained."""
    local = Path("results/cache") if "://" in cache else Path(cache)
    found = certify(choice, folder, local, oracles=oracles, shadows=shadows, say=_err)
    _err(f"The audit, by {oracles} retrained and {shadows} shadow models of its own: {found.text}")
    typer.echo(f"certificate: {found.page}\nmodel: {found.model}", err=True)
    if found.verdict != "like retrained":
        raise NoChoice("the audit does not confirm the choice: see its page")


def _err(text: str) -> None:
    typer.echo(text, err=True)


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


def _objectives(text: str | None, study: str) -> tuple[str, ...]:
    if text is None:
        return objectives_of(study)
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
        "front": _judged_front(frame, names) if some else [],
    }


def _judged_front(frame: pd.DataFrame, names: tuple[str, ...]) -> list[dict[str, Any]]:
    return _records(with_verdicts(pareto_front(frame, names), judgements(frame)))


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
