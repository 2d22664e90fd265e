"""SCRUB: a student that disobeys its teacher on forget, and follows it on retain.

    max over theta of KL(forget)    and then    min over theta of distill KL(retain) +
                                                classify CE(retain)

where KL(rows) = T^2 mean KL(softmax(t / T) || softmax(s / T)) of the logits t of the original, in
evaluation mode, and s of the student. Both passes are made in the first max_epochs epochs, the
second alone in the others. Published for CIFAR-10, ResNet-18: T 4, distill .001, classify .99,
max_epochs 2, weight decay 5e-4, lr 5e-4 in arXiv 2302.09880, 5e-3 for 5 epochs in later studies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgu.checks import check
from sgu.methods.base import Method, Run, Space
from sgu.training.inference import evaluating, predict
from sgu.training.loop import Batch, Pass

Teacher = Callable[[Batch], Tensor]  # its logits for a batch, float32 (n, classes)


@dataclass(frozen=True, kw_only=True)
class Scrub(Method):
    """Distillation from the original, with a bad lesson first.

    max_epochs: in how many epochs KL is driven up on forget; temperature: T.
    """

    source: ClassVar[str] = "Kurmanji 2023, arXiv 2302.09880"
    space: ClassVar[Space] = {
        "lr": {"low": 5e-4, "high": 5e-2, "log": True},
        "epochs": [3, 5, 10],
        "max_epochs": [1, 2, 3],
    }

    epochs: int = 5
    lr: float = 5e-3
    max_epochs: int = 2
    temperature: float = 4.0
    distill: float = 0.001
    classify: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            self,
            max_epochs=(self.max_epochs >= 0, ">= 0"),
            temperature=(0 < self.temperature < math.inf, "> 0"),
            distill=(0 <= self.distill < math.inf, ">= 0"),
            classify=(0 <= self.classify < math.inf, ">= 0"),
        )

    def unlearn(self, run: Run) -> None:
        rows = torch.cat([run.retain, run.forget])
        teacher, T = taught_by(run.original, run, rows, self.augment), self.temperature

        def ascent(model: nn.Module, batch: Batch) -> Tensor:
            return -divergence(teacher(batch), model(batch.inputs), T)

        def descent(model: nn.Module, batch: Batch) -> Tensor:
            s = model(batch.inputs)
            KL, CE = divergence(teacher(batch), s, T), F.cross_entropy(s, batch.targets)
            return self.distill * KL + self.classify * CE

        first, second = Pass(run.forget, ascent), Pass(run.retain, descent)
        run.train(self, lambda t: [first, second] if t < self.max_epochs else [second])


def divergence(t: Tensor, s: Tensor, T: float) -> Tensor:
    """T^2 mean KL(softmax(t / T) || softmax(s / T)) of logits (n, classes), in nats."""
    log_p, log_q = (F.log_softmax(logits.float() / T, 1) for logits in (t, s))
    return T**2 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def taught_by(network: nn.Module, run: Run, rows: Tensor, augment: bool) -> Teacher:
    """A network's answers, in evaluation mode, to batches from rows (n,) of train.

    What no augmentation changes is answered once for all epochs.
    """
    if augment:
        return lambda batch: _answer(network, batch.inputs)
    known = predict(network, run.task.source.train, run.task.pipeline, rows)
    logits = known.new_zeros(len(run.task.source.train), known.shape[1])
    logits[rows] = known
    return lambda batch: logits[batch.indices]


@torch.no_grad()
def _answer(network: nn.Module, inputs: Tensor) -> Tensor:
    with evaluating(network):
        return network(inputs).float()
