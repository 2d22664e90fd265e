"""Noise on all weights, then fine-tuning on retain: an example of a method in one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from sgu.checks import NOT_NEGATIVE, Bounds
from sgu.methods.base import Method, Run, Space


@dataclass(frozen=True, kw_only=True)
class Noise(Method):
    """noise: standard deviation, in units of the deviation of each tensor's weights."""

    source: ClassVar[str] = "an example"
    space: ClassVar[Space] = {"noise": {"low": 0.01, "high": 1.0, "log": True}}
    bounds: ClassVar[Bounds] = {"noise": NOT_NEGATIVE}

    epochs: int = 2
    lr: float = 0.01
    noise: float = 0.1

    def unlearn(self, run: Run) -> None:
        generator = run.generator()  # on the CPU: the same noise on every device
        for weights in run.model.parameters():
            drawn = torch.randn(weights.shape, generator=generator).to(weights.device)
            weights.data += self.noise * weights.std(correction=0) * drawn
        run.train(self)  # cross-entropy on retain, and the game if the method is sg+noise
