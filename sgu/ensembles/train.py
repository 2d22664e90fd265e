"""Ensembles trained where the cache has none, by whatever runs a function over a list.

`run` is called as the built-in `map` is, `run(function, jobs)`, and gives the results in the order
of the jobs; function, jobs and results can be pickled, so that a pool's `map` or a wrapper around
remote tasks will do. The task goes with each job: hand it over on the CPU. A result is on disk as
soon as `run` has given it, so that a lazy `run` loses no more than the job at hand when it stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.networks.cache import Kept, keep, load
from sgu.networks.recipe import Recipe
from sgu.networks.training import Network, examples_of, trained
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.unlearning import unlearn

Run = Callable[..., Iterable[Any]]


def ensemble(
    recipes: Sequence[Recipe],
    task: Task,
    cache: Path,
    device: torch.device | None = None,
    run: Run = map,
) -> list[Logits]:
    """Return the logits of each network, from the cache or after training it.

    Networks that are trained alike and unlearned differently are one job with one training.
    device: default a GPU where there is one, where the training runs. Raises what training and
    `unlearn` raise where one breaks down; what was trained before it is kept.
    """
    for recipe in recipes:
        if recipe.data_fingerprint != task.source.fingerprint:
            raise ValueError(
                f"a recipe is of data {recipe.data_fingerprint}, the task of "
                f"{task.source.fingerprint}: make the recipes from this task"
            )
    paths = {recipe.filename: Path(cache) / recipe.filename for recipe in recipes}
    logits = {name: logits_of(kept) for name, path in paths.items() if (kept := load(path))}
    jobs = _by_training([recipe for recipe in recipes if recipe.filename not in logits])
    work = partial(train_and_unlearn, task=task, device=device)
    for job, answers in zip(jobs, run(work, jobs), strict=True):
        for recipe, answer in zip(job, answers, strict=True):
            keep(paths[recipe.filename], kept_of(answer), recipe.settings)
            logits[recipe.filename] = answer
    return [logits[recipe.filename] for recipe in recipes]


def train_and_unlearn(
    recipes: Sequence[Recipe], task: Task, device: torch.device | None = None
) -> list[Logits]:
    """Return the logits of networks trained alike: trained once, then unlearned one by one."""
    network = trained(recipes[0], task.source, task.pipeline, device or default_device())
    return [_logits(recipe, network, task) for recipe in recipes]


def kept_of(logits: Logits) -> Kept:
    """Return logits as the cache keeps them."""
    return Kept({"train": logits.train, "heldout": logits.heldout}, logits.seconds)


def logits_of(kept: Kept) -> Logits:
    """Return the logits that the cache kept."""
    return Logits(**kept.tensors, seconds=kept.seconds)


def _logits(recipe: Recipe, network: Network, task: Task) -> Logits:
    if recipe.unlearning is None or recipe.splits is None:
        return Logits.of(network.model, task, network.seconds)
    source = replace(task.source, train=examples_of(task.source, recipe.indices))
    request = replace(task, source=source, splits=recipe.splits)
    experiment = Experiment.of(**recipe.unlearning, model=recipe.model, seed=recipe.seed)
    outcome = unlearn(experiment, request, network.model)
    return Logits.of(outcome.model, task, network.seconds + outcome.metrics["seconds"])


def _by_training(recipes: Sequence[Recipe]) -> list[list[Recipe]]:
    """Return the recipes, none twice, in groups that begin with the same training."""
    jobs: dict[str, dict[str, Recipe]] = {}
    for recipe in recipes:
        jobs.setdefault(recipe.training.digest, {})[recipe.digest] = recipe
    return [list(job.values()) for job in jobs.values()]
