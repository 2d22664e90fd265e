"""Random labels: learn wrong classes for forget, and the true ones for retain.

    min over theta of CE(retain and forget; theta),  forget's labels drawn once from the others

Published for CIFAR-10, ResNet-18, 10 % random: lr .01 to .1, 10 epochs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgu.methods.base import Method, Run, Space
from sgu.training.loop import Batch, Pass


@dataclass(frozen=True, kw_only=True)
class RandomLabel(Method):
    """Amnesiac unlearning: wrong labels overwrite what was learnt of forget."""

    source: ClassVar[str] = "Graves 2021, arXiv 2010.10981"
    space: ClassVar[Space] = {"lr": {"low": 1e-3, "high": 1e-1, "log": True}, "epochs": [5, 10, 15]}

    epochs: int = 10
    lr: float = 0.01

    def unlearn(self, run: Run) -> None:
        labels = relabelled(run)

        def objective(model: nn.Module, batch: Batch) -> Tensor:
            return F.cross_entropy(model(batch.inputs), labels[batch.indices])

        both = torch.cat([run.retain, run.forget])
        run.train(self, lambda _: [Pass(both, objective)])


def relabelled(run: Run) -> Tensor:
    """Return train's targets (N,), on the device, with uniformly drawn wrong ones for forget."""
    source, forget = run.task.source, run.forget
    classes, labels = source.num_classes, source.train.targets.cpu().clone()
    shift = torch.randint(1, classes, (len(forget),), generator=run.generator())
    labels[forget] = (labels[forget] + shift) % classes
    return labels.to(run.device)
