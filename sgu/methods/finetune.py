"""Fine-tuning: go on training on retain alone, which lets the network forget the rest.

Published for CIFAR-10, ResNet-18, 10 % random: lr .01 of 1e-4..1e-1, 10 epochs of 5, 10, 15.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sgu.methods.base import Method, Run, Space


@dataclass(frozen=True, kw_only=True)
class Finetune(Method):
    """Catastrophic forgetting as a method; all other methods are compared with it."""

    source: ClassVar[str] = "arXiv 2304.04934, 2406.07687 (SG with alpha = 0)"
    space: ClassVar[Space] = {"lr": {"low": 1e-4, "high": 1e-1, "log": True}, "epochs": [5, 10, 15]}

    epochs: int = 10
    lr: float = 0.01

    def unlearn(self, run: Run) -> None:
        run.train(self)
