"""Gradient ascent: increase the loss on forget alone.

    max over theta of CE(forget; theta)

Retain is not used, so too many steps ruin it. Published for CIFAR-10, ResNet-18, 10 % random:
lr 1e-4 of 1e-6..1e-3, 5 epochs of 5, 10, 15. Small data, with few steps an epoch, needs larger
steps: measured on the embedded set (4 steps), lr below 3e-3 does nothing, and 3e-2 ruins all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from sgu.methods.base import Method, Run, Space
from sgu.training.loop import Batch, Pass, classification


@dataclass(frozen=True, kw_only=True)
class GradientAscent(Method):
    """Training on forget with the sign of the gradient reversed."""

    source: ClassVar[str] = "Golatkar 2020, arXiv 1911.04933; Thudi 2022, arXiv 2109.13398"
    space: ClassVar[Space] = {"lr": {"low": 1e-6, "high": 2e-2, "log": True}, "epochs": [5, 10, 15]}

    epochs: int = 5
    lr: float = 1e-4

    def unlearn(self, run: Run) -> None:
        run.train(self, lambda _: [Pass(run.forget, _ascent, pure=True)])


def _ascent(model: nn.Module, batch: Batch) -> Tensor:
    return -classification(model, batch)
