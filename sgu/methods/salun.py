"""SalUn: random labels, learnt only by the weights that matter most to forget.

    m = 1 where |d CE(forget; theta_o) / d theta| is among the largest, else 0
    theta_u = m (theta_o + step) + (1 - m) theta_o

with the steps of `random_label` and theta_o the original. Published for CIFAR-10, ResNet-18, 10 %
random: half of the weights, 10 epochs, lr .013 (the authors' README since April 2024).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sgu.checks import SHARE, Bounds
from sgu.methods.base import Run, Space
from sgu.methods.curvature import Curvature, trained
from sgu.methods.random_label import RandomLabel


@dataclass(frozen=True, kw_only=True)
class SalUn(RandomLabel):
    """Random labels on salient weights. salient: the share of the weights that may change."""

    source: ClassVar[str] = "Fan 2024, arXiv 2310.12508"
    space: ClassVar[Space] = {
        "lr": {"low": 3e-3, "high": 1e-1, "log": True},
        "epochs": [5, 10, 15],
        "salient": {"low": 0.1, "high": 0.9},
    }
    bounds: ClassVar[Bounds] = {**RandomLabel.bounds, "salient": SHARE}

    salient: float = 0.5

    def unlearn(self, run: Run) -> None:
        curvature = Curvature.of(run.model, run.task, run.clock.saw)
        saliency = curvature.gradient(run.forget).abs()
        with only_moving(run.model, largest(saliency, self.salient)):
            super().unlearn(run)


def largest(values: Tensor, share: float) -> Tensor:
    """Return a mask of the largest values (d,), exactly `share` of them."""
    chosen = torch.zeros_like(values, dtype=torch.bool)
    chosen[values.topk(round(share * len(values)), sorted=False).indices] = True
    return chosen


@contextmanager
def only_moving(model: nn.Module, chosen: Tensor) -> Iterator[None]:
    """Keep the weights that are not chosen, (d,) in the order of `trained`, to the bit inside.

    Momentum and weight decay move them too, so they are put back before each forward pass and at
    the end. Optimisers work weight by weight, so this does not affect the chosen ones.
    """
    weights = list(trained(model).values())
    parts = chosen.split([weight.numel() for weight in weights])
    moving = [part.view_as(weight) for part, weight in zip(parts, weights, strict=True)]
    before = [weight.detach().clone() for weight in weights]

    @torch.no_grad()
    def put_back(*_: Any) -> None:
        for weight, m, old in zip(weights, moving, before, strict=True):
            weight.copy_(torch.where(m, weight, old))

    handle = model.register_forward_pre_hook(put_back)
    try:
        yield
    finally:
        handle.remove()
        put_back()
