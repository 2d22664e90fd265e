"""What a run will need, checked before its networks are trained: that may take hours."""

from __future__ import annotations

from dataclasses import replace

import torch

from sgu.experiment import Experiment
from sgu.game import Match
from sgu.task import Task
from sgu.training.clock import Clock

LEAST = 2  # examples a side: the attack on the loss is fitted on some and judged on others


def check_feasible(experiment: Experiment, task: Task) -> None:
    """Raise ValueError for a task on which the game cannot be played, or no attack be judged."""
    check_attackable(task)
    game = experiment.game()
    if game and game.alpha > 0:
        game = replace(game, view="logits+loss")  # a reference is there in the run alone
        for request in task.requests():
            Match(game, request.task, experiment.seed, Clock(torch.device("cpu")))


def check_attackable(task: Task) -> None:
    """Raise ValueError if forget, or val or test of its classes, has too few examples."""
    train, forget = task.part("forget")
    classes = train.labels[forget].unique()
    sizes = {"forget": len(forget)}
    for split in ("val", "test"):
        heldout, indices = task.part(split)
        sizes[split] = int(torch.isin(heldout.labels[indices], classes).sum())
    for split, size in sizes.items():
        if size < LEAST:
            of = "" if split == "forget" else " of forget's classes"
            raise ValueError(
                f"{split} has {size} example{'s' * (size != 1)}{of}: attacks need {LEAST} or more: "
                "forget more, or take more data"
            )
