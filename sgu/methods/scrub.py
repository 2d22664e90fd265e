"""SCRUB: a student moves away from its teacher on forget, and follows it on retain.

    max over theta of KL(forget)    and then    min over theta of distill KL(retain) +
                                                classify CE(retain)

where KL(split) = T^2 mean KL(softmax(t / T) || softmax(s / T)) with logits t of the original, in
evaluation mode, and s of the student. The first max_epochs epochs have both passes, the others only
the second. The rate falls to a tenth after epochs 3, 5 and 9. Published for CIFAR-10, ResNet-18:
T 4, distill .001, classify .99, max_epochs 2 of 3, lr 5e-4, forget in batches of 32; 5 epochs of lr
5e-3 in later studies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgu.checks import NOT_NEGATIVE, POSITIVE, Bounds, at_least
from sgu.methods.base import Method, Run, Space
from sgu.training.inference import evaluating, predict
from sgu.training.loop import Batch, Pass

DECAYS = (3, 5, 9)  # epochs after which the rate falls to a tenth

Teacher = Callable[[Batch], Tensor]  # a batch -> the teacher's logits, float32 (n, classes)


@dataclass(frozen=True, kw_only=True)
class Scrub(Method):
    """Distillation from the original, after ascent on forget.

    max_epochs: the number of epochs in which KL is driven up on forget, in batches of
    forget_batch; temperature: T.
    """

    source: ClassVar[str] = "Kurmanji 2023, arXiv 2302.09880"
    space: ClassVar[Space] = {
        "lr": {"low": 5e-4, "high": 5e-2, "log": True},
        "epochs": [3, 5, 10],
        "max_epochs": [1, 2, 3],
    }
    bounds: ClassVar[Bounds] = {
        "max_epochs": NOT_NEGATIVE,
        "temperature": POSITIVE,
        "distill": NOT_NEGATIVE,
        "classify": NOT_NEGATIVE,
        "forget_batch": at_least(2),
    }

    epochs: int = 3
    lr: float = 5e-4
    schedule: str = "constant"
    max_epochs: int = 2
    forget_batch: int = 32
    temperature: float = 4.0
    distill: float = 0.001
    classify: float = 0.99

    def unlearn(self, run: Run) -> None:
        both = torch.cat([run.retain, run.forget])
        teacher, T = taught_by(run.original, run, both, self.augment), self.temperature

        def ascent(model: nn.Module, batch: Batch) -> Tensor:
            return -divergence(teacher(batch), model(batch.inputs), T)

        def descent(model: nn.Module, batch: Batch) -> Tensor:
            s = model(batch.inputs)
            KL, CE = divergence(teacher(batch), s, T), F.cross_entropy(s, batch.targets)
            return self.distill * KL + self.classify * CE

        def passes(epoch: int) -> list[Pass]:
            rate = 0.1 ** sum(epoch >= decay for decay in DECAYS)
            size = self.forget_batch
            first = Pass(run.forget, ascent, batch_size=size, rate=rate, pure=True)
            second = Pass(run.retain, descent, rate=rate, pure=True)
            return [first, second] if epoch < self.max_epochs else [second]

        run.train(self, passes)


def divergence(t: Tensor, s: Tensor, T: float) -> Tensor:
    """Return T^2 mean KL(softmax(t / T) || softmax(s / T)) of logits (n, classes), in nats."""
    log_p, log_q = (F.log_softmax(logits.float() / T, 1) for logits in (t, s))
    return T**2 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def taught_by(network: nn.Module, run: Run, indices: Tensor, augment: bool) -> Teacher:
    """Return a teacher for batches of train's examples at `indices` (n,), in evaluation mode.

    Without augmentation its logits are computed once for all epochs.
    """
    if augment:
        return lambda batch: _answer(network, batch.inputs)
    predicted = predict(network, run.task.source.train, run.task.pipeline, indices)
    logits = predicted.new_zeros(len(run.task.source.train), predicted.shape[1])
    logits[indices] = predicted
    return lambda batch: logits[batch.indices]


@torch.no_grad()
def _answer(network: nn.Module, inputs: Tensor) -> Tensor:
    with evaluating(network):
        return network(inputs).float()
