"""l1-sparse unlearning: fine-tuning on retain while the weights are pulled towards zero.

    min over theta of CE(retain; theta) + gamma_t |theta|_1,   gamma_t = gamma (1 - t / epochs)

in epoch t, counted from 0: a falling penalty leaves the last epochs for the accuracy. Published for
CIFAR-10, ResNet-18, 10 % random: lr .01, 10 epochs, gamma 1e-4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sgu.checks import NOT_NEGATIVE, Bounds, one_of
from sgu.methods.base import Method, Run, Space
from sgu.training.loop import Batch, Pass, classification


@dataclass(frozen=True, kw_only=True)
class L1Sparse(Method):
    """Sparse weights. gamma: weight of the penalty; decay: its fall over the epochs."""

    source: ClassVar[str] = "Jia 2023, arXiv 2304.04934"
    space: ClassVar[Space] = {
        "lr": {"low": 1e-3, "high": 1e-1, "log": True},
        "epochs": [5, 10, 15],
        "gamma": {"low": 1e-6, "high": 1e-3, "log": True},
    }
    bounds: ClassVar[Bounds] = {"gamma": NOT_NEGATIVE, "decay": one_of(("linear", "none"))}

    epochs: int = 10
    lr: float = 0.01
    gamma: float = 1e-4
    decay: Literal["linear", "none"] = "linear"

    def unlearn(self, run: Run) -> None:
        def passes(epoch: int) -> list[Pass]:
            return [Pass(run.retain, partial(_penalised, gamma=self.gamma_at(epoch)))]

        run.train(self, passes)

    def gamma_at(self, epoch: int) -> float:
        """Return the weight of the penalty in an epoch, counted from 0."""
        return self.gamma * (1 - epoch / self.epochs if self.decay == "linear" else 1)


def _penalised(model: nn.Module, batch: Batch, gamma: float) -> Tensor:
    norm = torch.stack([weights.abs().sum() for weights in model.parameters()]).sum()
    return classification(model, batch) + gamma * norm
