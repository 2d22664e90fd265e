"""`sgu audit`: what attacks find of any model of a known architecture."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from sgu.audit import audit
from sgu.audit.files import Files, saved_settings
from sgu.audit.report import provenance, written
from sgu.audit.running import check
from sgu.audit.terminal import show
from sgu.cli.options import with_settings
from sgu.cli.shared import CacheOption, JsonOption, SetOption, ThreadsOption, changes, prepared
from sgu.ensembles.processes import Trainings
from sgu.experiment import CACHE, REFERENCE_SETTINGS, Experiment
from sgu.files.terminal import console
from sgu.host.provenance import Started

DEFAULT = Experiment.of(epochs=5, lr=0.05, solve_every=4)
"""The experiment audited if no file is given: the game as in the default study."""

SplitsOption = Annotated[
    Path | None,
    Option(
        help="Who was forgotten, in place of a scenario: a Parquet or CSV file with columns "
        "split and index, a row for each example of forget; see sgu/data/splits/from_file.py."
    ),
]


@with_settings(REFERENCE_SETTINGS)
def command(
    context: typer.Context,
    settings: dict[str, Any],
    files: Annotated[
        list[Path] | None,
        Argument(metavar="MODEL", help="None: the game and fine-tuning."),
    ] = None,
    splits: SplitsOption = None,
    change: SetOption = None,
    oracles: Annotated[int, Option(help="Retrained models that make the null band.")] = 6,
    shadows: Annotated[int, Option(help="Shadow models, even; 0: no attacks by them.")] = 8,
    klom: Annotated[
        bool, Option(help="Measure KLoM: it unlearns as many further originals as oracles.")
    ] = True,
    jobs: Annotated[
        int | None,
        Option(min=1, help="Networks trained at a time; none: one a core, on a GPU one."),
    ] = None,
    threads: ThreadsOption = None,
    cache: CacheOption = CACHE,
    out: Annotated[Path, Option(help="Folder of the audits.")] = Path("results/audit"),
    as_json: JsonOption = False,
) -> None:
    """Audit models beside the original and the retrained one, and write a report.

    Any file of weights (.safetensors, .pt, .pth) of the architecture will do. What `sgu --save`
    wrote says how it was unlearned, which U-LiRA and KLoM need, and from which data, unless options
    say otherwise.
    Without a file: the game, and fine-tuning alone.
    """

    say = partial(typer.echo, err=True)
    with prepared("sgu audit", threads, cache, out):
        started, trainings = Started(), context.obj or Trainings.here(jobs)
        saved = filter(None, map(saved_settings, filter(Path.is_file, files or [])))
        own = next(saved, DEFAULT).settings()
        experiment = Experiment.of(**own | settings | changes(change))
        check(oracles, shadows, experiment.seed)
        audited = Files(files or [], experiment, splits)
        unlearned_by, task = audited.unlearned_by(), audited.task(cache)
        models = audited.models(task)
        for line in audited.notes():
            say(line)
        findings = audit(
            models,
            experiment,
            task,
            cache,
            oracle_count=oracles,
            shadow_count=shadows,
            with_klom=klom,
            unlearned_by=unlearned_by,
            run=trainings.run,
            say=say,
        )
        findings = replace(findings, notes=[*audited.notes(), *findings.notes])
        source = provenance(audited, task, started, trainings, oracles, shadows)
        folder = written(out, findings, audited, task, source, _words(context))
    rows = findings.rows()
    if as_json:
        report = {"verdicts": findings.verdicts(), "rows": rows, "notes": findings.notes}
        report["written"] = str(folder)
        typer.echo(json.dumps(report, indent=2))
    else:
        show(findings, console())
        typer.echo(f"\nreport: {folder}/report.html\n{len(rows)} rows: {folder}/rows.parquet")


def _words(context: typer.Context) -> str:
    """Return the command line that repeats this call, the models first."""
    words = context.command_path.split()
    for parameter in sorted(context.command.params, key=lambda p: p.param_type_name):
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        values = context.params[name]
        for value in values if isinstance(values, list) else [values]:
            option = [] if parameter.param_type_name == "argument" else [parameter.opts[0]]
            switch = {True: option, False: parameter.secondary_opts}
            words += switch[value] if isinstance(value, bool) else [*option, str(value)]
    return shlex.join(words)
