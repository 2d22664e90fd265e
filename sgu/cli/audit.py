"""`sgu audit`: what attacks find of any model of a known architecture."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from typer import Argument, Option

from sgu.audit import audit
from sgu.audit.files import Files
from sgu.audit.report import provenance, written
from sgu.audit.running import check
from sgu.audit.terminal import show
from sgu.cli.shared import CACHE, FORESEEN, SET, changes, one_line_errors, value_of, writable
from sgu.ensembles.processes import Trainings
from sgu.experiment import Experiment
from sgu.host.provenance import Started
from sgu.training.inference import default_device

DEFAULT = Experiment.of(epochs=5, lr=0.05, solve_every=4)
"""What is audited without a file: the game as in the default study."""


def command(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        Argument(metavar="[MODEL.safetensors]...", help="None: the game and fine-tuning."),
    ] = None,
    data: Annotated[str, Option(help="Data, as of `sgu`.")] = DEFAULT.data,
    subset: Annotated[int | None, Option(help="Use this many train examples.")] = None,
    scenario: Annotated[str, Option(help="Who was forgotten, as of `sgu`.")] = DEFAULT.scenario,
    forget_fraction: Annotated[float, Option(help="Share forgotten.")] = DEFAULT.forget_fraction,
    forget_classes: Annotated[str, Option(help="Labels, such as 3,5.")] = "",
    requests: Annotated[int, Option(help="Forgotten in so many requests.")] = DEFAULT.requests,
    model: Annotated[str, Option(help="Architecture of the files.")] = DEFAULT.model,
    pretrain_epochs: Annotated[int | None, Option(help="Epochs of the originals.")] = None,
    splits: Annotated[
        Path | None,
        Option(
            help="Who was forgotten, in place of a scenario: a Parquet or CSV file with columns "
            "split and index, a row for each example of forget; see sgu/data/splits/from_file.py."
        ),
    ] = None,
    seed: Annotated[int, Option(help="Of splits and training.")] = DEFAULT.seed,
    change: Annotated[list[str] | None, SET] = None,
    oracles: Annotated[int, Option(help="Retrained models that make the null band.")] = 3,
    shadows: Annotated[int, Option(help="Shadow models, even; 0: no attacks by them.")] = 8,
    jobs: Annotated[
        int | None,
        Option(min=1, help="Networks trained at a time; none: one a core, on a GPU one."),
    ] = None,
    threads: Annotated[int | None, Option(min=1, help="CPU threads of this process.")] = None,
    cache: CACHE = Path("results/cache"),
    out: Annotated[Path, Option(help="Folder of the audits.")] = Path("results/audit"),
    as_json: Annotated[bool, Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Audit models beside the original and the retrained one, and write a report.

    Any safetensors file of the architecture will do. What `sgu --save` wrote says how it was
    unlearned, which U-LiRA and KLoM need. Without a file: the game, and fine-tuning alone.
    """
    given = {name: value for name, value in locals().items() if hasattr(DEFAULT, name)}
    given["forget_classes"] = tuple(map(value_of, filter(None, forget_classes.split(","))))
    torch.set_num_threads(threads or torch.get_num_threads())
    begin, how = Started(), context.obj or Trainings.here(jobs or _jobs())
    with one_line_errors("sgu audit", *FORESEEN):
        writable(cache, out)
        experiment = Experiment.of(**DEFAULT.settings() | given | changes(change or ()))
        check(experiment, oracles, shadows)
        asked = Files(files or [], experiment, splits)
        known, task = asked.unlearned_by(), asked.task(cache)
        models = asked.models(task)
        for line in asked.notes():
            typer.echo(line, err=True)
        found = audit(
            models,
            experiment,
            task,
            cache,
            oracle_count=oracles,
            shadow_count=shadows,
            unlearned_by=known,
            run=how.run,
            say=lambda line: typer.echo(line, err=True),
        )
        found = replace(found, notes=[*asked.notes(), *found.notes])
        source = provenance(asked, task, begin, how, oracles, shadows)
        folder = written(out, found, asked, task, source, _words(context))
    if as_json:
        shown = {"rows": found.rows(), "notes": found.notes, "written": str(folder)}
        return typer.echo(json.dumps(shown, indent=2))
    show(found, Console(width=None if sys.stdout.isatty() else 100))
    typer.echo(f"\nreport: {folder}/report.html\n{len(found.rows())} rows: {folder}/rows.parquet")
    return None


def _words(context: typer.Context) -> str:
    """The command line, from what it came to."""
    words = context.command_path.split()
    for each in context.command.params:
        given = context.get_parameter_source(each.name or "")
        if given is None or given.name != "COMMANDLINE":
            continue
        value = context.params[each.name or ""]
        for part in value if isinstance(value, list) else [value]:
            named = [] if each.param_type_name == "argument" else [each.opts[0]]
            words += named if part is True else [*named, str(part)]
    return shlex.join(words)


def _jobs() -> int:
    """On a CPU one process a core: threads of networks this small wait for one another."""
    return 1 if default_device().type == "cuda" else os.cpu_count() or 1
