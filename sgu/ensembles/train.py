"""Ensembles trained where they are not there yet, by whatever runs a function over a list.

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
from torch import nn

from sgu.data.sources import Examples
from sgu.ensembles.member import Member, combined, digest
from sgu.evaluation import Logits
from sgu.models import build
from sgu.networks.references import EpochReport
from sgu.task import Task
from sgu.training.clock import Clock
from sgu.training.inference import default_device
from sgu.training.loop import train
from sgu.unlearning import unlearn

Run = Callable[..., Iterable[Any]]


def ensemble(
    members: Sequence[Member],
    task: Task,
    cache: Path,
    device: torch.device | None = None,
    run: Run = map,
) -> list[Logits]:
    """The logits of each member: loaded from the cache, or trained and put there.

    Members that are trained alike and unlearned differently are one job with one training.
    device: default a GPU where there is one, where the training runs. Raises what training and
    `unlearn` raise where one breaks down; what was trained before it is kept.
    """
    for member in members:
        if member.data_fingerprint != task.source.fingerprint:
            raise ValueError(
                f"member is of data {member.data_fingerprint}, the task of "
                f"{task.source.fingerprint}: make the members from this task"
            )
    paths = [Path(cache) / member.filename for member in members]
    missing = {path: m for path, m in zip(paths, members, strict=True) if not path.is_file()}
    jobs = _by_training(list(missing.values()))
    work = partial(train_and_unlearn, task=task, device=device)
    for job, found in zip(jobs, run(work, jobs), strict=True):
        for member, logits in zip(job, found, strict=True):
            logits.save(Path(cache) / member.filename, member.settings)
    return [Logits.load(path, path not in missing) for path in paths]


def train_and_unlearn(
    members: Sequence[Member],
    task: Task,
    device: torch.device | None = None,
    on_epoch: EpochReport | None = None,
) -> list[Logits]:
    """The logits of members that are trained alike: trained once, then unlearned one by one.

    on_epoch: called with the epochs of that training, from 0, and their mean loss.
    """
    device = device or default_device()
    first, clock = members[0], Clock(device)
    examples = combined(task.source, first.rows)
    model = build(first.model, task.source.shape, first.seed).to(device)
    with clock.part("train"):
        train(
            model,
            examples,
            first.rows,
            task.pipeline,
            first.optimisation,
            first.seed,
            on_epoch,
        )
    seconds = clock.seconds("train")
    return [_logits(member, model, examples, task, seconds) for member in members]


def _logits(
    member: Member, model: nn.Module, examples: Examples, task: Task, seconds: float
) -> Logits:
    if member.experiment is None or member.splits is None:
        return Logits.of(model, task, seconds)
    theirs = replace(task, source=replace(task.source, train=examples), splits=member.splits)
    outcome = unlearn(replace(member.experiment, seed=member.seed), theirs, model)
    return Logits.of(outcome.model, task, seconds + outcome.metrics["seconds"])


def _by_training(members: Sequence[Member]) -> list[list[Member]]:
    jobs: dict[str, list[Member]] = {}
    for member in members:
        jobs.setdefault(digest(member.training), []).append(member)
    return list(jobs.values())
