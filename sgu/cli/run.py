"""The command `sgu`: one unlearning run, beside the original and the retrained model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from typer import Option

from sgu.cli.shared import CACHE, FORESEEN, SET, changes, one_line_errors, value_of, writable
from sgu.evaluation import all_metrics
from sgu.experiment import Experiment
from sgu.host.provenance import code_version, device_name
from sgu.models import save_model
from sgu.networks.references import recipe, reference
from sgu.results.schema import METRICS
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.unlearning import unlearn

DEFAULT = Experiment()

ROWS = (
    "retain_acc", "forget_acc", "val_acc", "test_acc", "forget_test_gap", "val_mia_acc", "mia_acc",
    "mia_auc", "mia_f1", "ks", "wasserstein", "utility_paper", "seconds", "game_seconds",
    "solve_seconds",
)  # fmt: skip


def main_command(
    context: typer.Context,
    data: Annotated[
        str, Option(help="Data: embedded, cifar10, cifar100, svhn, newsgroups, or a folder.")
    ] = DEFAULT.data,
    subset: Annotated[
        int | None, Option(help="Use this many train images, class-balanced.")
    ] = None,
    scenario: Annotated[
        str,
        Option(help="random, class, subgroup, most_memorised or least_memorised."),
    ] = DEFAULT.scenario,
    forget_fraction: Annotated[
        float, Option(help="Share of train (subgroup: of its classes) to forget.")
    ] = DEFAULT.forget_fraction,
    forget_classes: Annotated[str, Option(help="Of class and subgroup: labels, such as 3,5.")] = "",
    requests: Annotated[int, Option(help="Forget in so many requests.")] = DEFAULT.requests,
    model: Annotated[
        str, Option(help="Network: small_cnn, resnet18 and others; or a torchvision classifier.")
    ] = DEFAULT.model,
    pretrain_epochs: Annotated[int | None, Option(help="Epochs of original and retrained.")] = None,
    seed: Annotated[int, Option(help="Of splits, training, batches and game.")] = DEFAULT.seed,
    method: Annotated[
        str, Option(help="A name of `sgu methods`, or sg+NAME: the game over it.")
    ] = DEFAULT.method,
    epochs: Annotated[int | None, Option(help="Epochs; none: as published.")] = None,
    lr: Annotated[float | None, Option(help="Learning rate; none: as published.")] = None,
    change: Annotated[list[str] | None, SET] = None,
    alpha: Annotated[float, Option(help="Weight of the game; 0 is fine-tuning.")] = DEFAULT.alpha,
    reg: Annotated[float, Option(help="Regularisation of the auditor, > 0.")] = DEFAULT.reg,
    solve_every: Annotated[str, Option(help="Steps between rounds, or epoch.")] = str(
        DEFAULT.solve_every
    ),
    update: Annotated[str, Option(help="joint, or alternate (the authors' way).")] = DEFAULT.update,
    auditor: Annotated[str, Option(help="Who plays the auditor.")] = DEFAULT.auditor,
    loss: Annotated[
        str, Option(help="Auditor's: hinge, squared_hinge or logistic.")
    ] = DEFAULT.loss,
    penalty: Annotated[str, Option(help="Auditor's: l2 or l1.")] = DEFAULT.penalty,
    statistics: Annotated[
        str, Option(help="Batch-norm while scoring: batch or running.")
    ] = DEFAULT.statistics,
    audit_batch: Annotated[
        int | None, Option(help="Most examples scored in one round.")
    ] = DEFAULT.audit_batch,
    threads: Annotated[
        int | None, Option(min=1, help="CPU threads; a trial of a study has 1.")
    ] = None,
    cache: CACHE = Path("results/cache"),
    save: Annotated[
        Path | None, Option(help="Write the unlearned model here (safetensors).")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print JSON instead.")] = False,
) -> None:
    """Make a trained classifier forget some of its training examples, and audit the result.

    Trains the original and the retrained model where the cache has none, unlearns by the
    Stackelberg game, and prints every metric of all three side by side. On the CPU, the same seed
    and number of threads give the same numbers.
    """
    if context.invoked_subcommand:
        return
    given = {name: value for name, value in locals().items() if hasattr(DEFAULT, name)}
    given["solve_every"] = value_of(solve_every)
    given["forget_classes"] = tuple(map(value_of, filter(None, forget_classes.split(","))))
    own = {"epochs": epochs, "lr": lr}
    given |= {name: value for name, value in own.items() if value is not None}
    torch.set_num_threads(threads or torch.get_num_threads())
    with one_line_errors("sgu", *FORESEEN):
        writable(cache, *([save.parent] if save else []))
        experiment = Experiment.of(**given | changes(change or ()))
        found = run(experiment, cache, save, quiet=as_json)
    if as_json:
        settings = experiment.settings() | {"code_version": code_version()[0]}
        typer.echo(json.dumps({"metrics": found, "settings": settings}, indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 100).print(_table(found))


def run(
    experiment: Experiment, cache: Path, save: Path | None = None, quiet: bool = False
) -> dict[str, dict[str, float]]:
    """Metrics of original, unlearned and retrained, by model and name."""
    task, device = experiment.task(cache), default_device()
    found: dict[str, dict[str, float]] = {}
    console = Console(stderr=True, quiet=quiet)
    _say(console, experiment, task, device)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)
        for kind in ("original", "retrain"):
            made = recipe(kind, experiment.model, task, experiment.seed, experiment.pretrain_epochs)
            progress.reset(bar, description=f"training {kind}", total=made.optimisation.epochs)
            trained = reference(made, task, cache, device, lambda *_: progress.advance(bar))
            found[kind] = all_metrics(trained.model, task) | {"seconds": trained.seconds}
            if kind == "original":
                original = trained.model
        epochs = experiment.unlearner().epochs * len(task.requests())
        progress.reset(bar, description=experiment.method, total=epochs)
        outcome = unlearn(experiment, task, original, lambda _: progress.advance(bar))
    if outcome.unsolved:
        console.print(f"{outcome.unsolved} auditor problems were left unsolved and sat out")
    if save:
        save_model(save, outcome.model, {"settings": json.dumps(experiment.settings())})
    return {
        "original": found["original"],
        "unlearned": outcome.metrics,
        "retrained": found["retrain"],
    }


def _say(console: Console, experiment: Experiment, task: Task, device: torch.device) -> None:
    sizes = ", ".join(
        f"{len(getattr(task.splits, name))} {name}"
        for name in ("retain", "forget", "audit", "val", "test")
    )
    what = f"{task.source.name}: {sizes}; {experiment.model} on {device_name(device)}"
    console.print(what, highlight=False)


def _table(found: dict[str, dict[str, float]]) -> Table:
    table = Table("metric", *found, "what it is")
    for name in ROWS:
        values = [metrics.get(name) for metrics in found.values()]
        table.add_row(
            name, *("-" if v is None else f"{v:.3f}" for v in values), METRICS[name].meaning
        )
    return table
