"""Relearn time: how many steps of fine-tuning on forget bring its accuracy back.

What is hidden rather than forgotten comes back fast. A model needs so many steps until its accuracy
on forget is SHARE of the original's; the retrained model's number is what to compare it with, as
that one learns forget from nothing but what it knows of retain.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar

import torch
from torch import Tensor, nn

from sgu.host.devices import precision
from sgu.models import pretraining
from sgu.task import Task
from sgu.training.inference import device_of, predict
from sgu.training.loop import Batch, Optimisation, batches, classification, make_optimiser

SHARE = 0.9
LIMIT = 100
ORDERS = 3
EVERY = 2
"""Steps between looks at the accuracy: the result is a multiple of it, or the limit."""


@dataclass(frozen=True)
class Relearned:
    """The steps until forget was back, for each order of its examples; None: not within LIMIT."""

    steps: tuple[int | None, ...]
    reason: ClassVar[str] = f"not back within {LIMIT} steps"

    @property
    def mean(self) -> float | None:
        """Return the mean over the orders; None if forget was not back in one of them."""
        known = [steps for steps in self.steps if steps is not None]
        return sum(known) / len(known) if len(known) == len(self.steps) else None


def relearned(
    model: nn.Module, task: Task, optimisation: Optimisation, level: float, seed: int = 0
) -> Relearned:
    """Return how soon a model relearns forget, in ORDERS orders of its examples."""
    orders = range(seed, seed + ORDERS)
    steps = (relearn_steps(model, task, optimisation, level=level, seed=order) for order in orders)
    return Relearned(tuple(steps))


def relearning(name: str) -> Optimisation:
    """Return how a model relearns: as its references are trained, at a constant tenth of their
    highest learning rate, with neither decay nor augmentation. Its epochs are not read."""
    published = pretraining(name)
    lr = published.lr / 10
    return replace(published, lr=lr, schedule="constant", weight_decay=0.0, augment=False)


def relearn_steps(
    model: nn.Module,
    task: Task,
    optimisation: Optimisation,
    *,
    level: float,
    limit: int = LIMIT,
    seed: int = 0,
) -> int | None:
    """Return the steps of training on forget until a copy of the model is right on `level` of it; 0
    if the model is already, None if `limit` steps are too few, or it diverges on the way.

    seed: of the order of the batches.
    """
    if len(task.splits.forget) < 2:
        raise ValueError("forget has < 2 examples; relearning needs a batch of 2: forget more")
    if forget_acc(model, task) >= level:
        return 0
    learner = copy.deepcopy(model).requires_grad_().train()
    for step in _trained(learner, task, optimisation, limit, seed):
        if (step % EVERY == 0 or step == limit) and forget_acc(learner, task) >= level:
            return step
    return None


def forget_acc(model: nn.Module, task: Task) -> float:
    """Return the accuracy on forget in evaluation mode; an answer that is no number is wrong."""
    examples, indices = task.part("forget")
    logits = predict(model, examples, task.pipeline, indices).cpu()
    right = (logits.argmax(1) == examples.labels[indices]) & logits.isfinite().all(1)
    return float(right.double().mean())


def _trained(
    model: nn.Module, task: Task, optimisation: Optimisation, limit: int, seed: int
) -> Iterator[int]:
    """Train in place, and yield after each step, counted from 1."""
    device, (examples, indices) = device_of(model), task.part("forget")
    optimiser, schedule = make_optimiser(model, optimisation, limit)
    endless = _endless(indices, optimisation.batch_size, seed)
    for step, batch in enumerate(islice(endless, limit), 1):
        inputs, targets = examples.at(batch, device)
        with precision(device):
            loss = classification(model, Batch(batch, task.pipeline.prepare(inputs), targets))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        yield step


def _endless(indices: Tensor, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Yield the batches of one random order after another."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from batches(indices, batch_size, generator)
