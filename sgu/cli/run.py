"""The command `sgu`: one unlearning run, beside the original and the retrained model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from typer import Option

from sgu.api.tables import metric_table
from sgu.audit.feeding import WARNED, fed_otherwise
from sgu.cli.config import ConfigOption, configured
from sgu.cli.options import OPTIONS, with_settings
from sgu.cli.shared import (
    CacheOption,
    JsonOption,
    SetOption,
    ThreadsOption,
    VersionOption,
    changes,
    prepared,
)
from sgu.data.splits.splits import PARTS
from sgu.evaluation import all_metrics
from sgu.experiment import CACHE, Experiment
from sgu.feasible import check_feasible
from sgu.files.terminal import printed
from sgu.host.provenance import code_version, device_name
from sgu.models import pretraining, save_model
from sgu.presets import PRESETS, preset_settings
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.unlearning import unlearn

PresetOption = Annotated[
    str | None, Option(help="Start from these settings: a name of `sgu presets`.")
]
Metrics = dict[str, dict[str, float]]


@with_settings(OPTIONS)
def main_command(
    context: typer.Context,
    settings: dict[str, Any],
    preset: PresetOption = None,
    change: SetOption = None,
    threads: ThreadsOption = None,
    cache: CacheOption = CACHE,
    save: Annotated[
        Path | None, Option(help="Write the unlearned model here (safetensors).")
    ] = None,
    config: ConfigOption = None,
    version: VersionOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a trained classifier forget some of its training examples, and audit the result.

    Trains the original and the retrained model where the cache has none, unlearns by the
    Stackelberg game, and prints every metric of all three side by side. On the CPU, the same seed
    and number of threads give the same numbers.
    """
    if context.invoked_subcommand or version:
        return
    with prepared("sgu", threads, cache, *([save.parent] if save else [])):
        if save and save.is_dir():
            raise ValueError(
                f"--save {save}: is a folder: name a file, as {save}/model.safetensors"
            )
        given = preset_settings(preset) | configured(config) | settings | changes(change)
        experiment = Experiment.of(**given)
        task = experiment.task(cache)
        metrics = run(experiment, task, cache, save, quiet=as_json)
    if as_json:
        used = experiment.settings() | {"code_version": code_version()[0]}
        known = {"forgotten": experiment.forgetting().of(task.source), "saved": save and str(save)}
        typer.echo(json.dumps({"metrics": metrics, "settings": used} | known, indent=2))
    else:
        printed(metric_table(metrics))


def presets(as_json: JsonOption = False) -> None:
    """List the presets: what each is, and its settings."""
    if as_json:
        typer.echo(json.dumps({name: dict(preset.settings) for name, preset in PRESETS.items()}))
        return
    for name, preset in PRESETS.items():
        typer.echo(f"{name}: {preset.what}")
        for setting, value in preset.settings.items():
            typer.echo(f"  {setting}: {json.dumps(value)}")


def run(
    experiment: Experiment, task: Task, cache: Path, save: Path | None = None, quiet: bool = False
) -> Metrics:
    """Return the metrics of original, unlearned and retrained, by model and name."""
    console = Console(stderr=True, quiet=quiet)
    check_feasible(experiment, task)
    console.print(_described(experiment, task), highlight=False)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)

        def advance(*_: object) -> None:
            progress.advance(bar)

        epochs = experiment.pretrain_epochs or pretraining(experiment.model).epochs
        progress.reset(bar, description="training original", total=epochs)
        original = experiment.reference("original", task, cache, advance)
        progress.reset(bar, description="training retrain", total=epochs)
        retrained = experiment.reference("retrain", task, cache, advance)
        epochs = experiment.unlearner().epochs * len(task.requests())
        progress.reset(bar, description=experiment.method, total=epochs)
        outcome = unlearn(experiment, task, original.model, advance)
    if outcome.unsolved:
        console.print(f"{outcome.unsolved} auditor problems were left unsolved and sat out")
    for note in outcome.notes:
        console.print(note, style="yellow", highlight=False)
    if save:
        save_model(save, outcome.model, experiment.info(task))
        saved = f"saved: {save}, with its settings and the fingerprints of data and splits"
        console.print(saved, highlight=False, soft_wrap=True)
    metrics = {
        "original": all_metrics(original.model, task) | {"seconds": original.seconds},
        "unlearned": outcome.metrics,
        "retrained": all_metrics(retrained.model, task) | {"seconds": retrained.seconds},
    }
    classes, others = task.source.num_classes, [metrics["retrained"]]
    if reason := fed_otherwise(metrics["original"], others, classes, WARNED):
        console.print(f"original: {reason}", style="yellow", highlight=False)
    return metrics


def _described(experiment: Experiment, task: Task) -> str:
    sizes = ", ".join(f"{len(getattr(task.splits, name))} {name}" for name in PARTS)
    device = device_name(default_device())
    classes = experiment.forgetting().of(task.source)
    forgets = f"; forgets {classes}" if classes else ""
    told = f"{task.source.name}: {sizes}{forgets}; {experiment.model} on {device}"
    if experiment.original:
        told += f"\noriginal: {experiment.original}, fed {experiment.preprocessing()}"
    return told
