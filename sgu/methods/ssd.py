"""Selective synaptic dampening: shrink the weights that matter to forget most of all.

I_D and I_f are the importance of a weight to train and to forget: the mean over their batches of
the squared gradient of a batch's mean loss. Each weight with I_f > select I_D becomes
    θ_u = min(dampen I_D / I_f, 1) θ
Source: Foster, Schoepf and Brintrup, arXiv 2308.07707: select (their α) 10 and dampen (their λ) 1
for ResNet-18, searched in .1..100 and .1..5. Their program squares the mean gradients of batches
of 128, in which train is retain followed by forget; their equations square those of single examples
(squared_batch 1). A batch's mean is mostly noise of 1/128 of the variance where examples differ,
but not where they agree, as those of one class do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sgu.checks import POSITIVE, Bounds, at_least
from sgu.methods.base import Method, Run, Space
from sgu.methods.curvature import Curvature, residual, set_weights, weights_of


@dataclass(frozen=True, kw_only=True)
class SSD(Method):
    """The dampening. Lower `select` reaches more weights, lower `dampen` shrinks them more.

    squared_batch: the number of examples whose mean gradient is squared.
    """

    source: ClassVar[str] = "arXiv 2308.07707"
    space: ClassVar[Space] = {
        "select": {"low": 0.1, "high": 100.0, "log": True},
        "dampen": {"low": 0.1, "high": 5.0, "log": True},
    }
    bounds: ClassVar[Bounds] = {
        "select": POSITIVE,
        "dampen": POSITIVE,
        "squared_batch": at_least(1),
    }

    epochs: int = 0
    lr: float = 0.01
    select: float = 10.0
    dampen: float = 1.0
    squared_batch: int = 128

    def unlearn(self, run: Run) -> None:
        I_D, I_f = self.importances(run)
        set_weights(run.model, self.factor(I_D, I_f) * weights_of(run.model))
        run.train(self)

    def importances(self, run: Run) -> tuple[Tensor, Tensor]:
        """Return I_D and I_f of each weight, (d,)."""
        curvature = Curvature.of(run.model, run.task, run.clock.saw)
        if self.squared_batch > 1:
            generator = run.generator()
            retain, forget = (
                split[torch.randperm(len(split), generator=generator)]
                for split in (run.retain, run.forget)
            )
            I_D, I_f = (
                curvature.squares_of_batches(split, self.squared_batch)
                for split in (torch.cat([retain, forget]), forget)
            )
            return I_D, I_f
        I_f, I_r = (curvature.squares(split, residual) for split in (run.forget, run.retain))
        share = len(run.forget) / (len(run.forget) + len(run.retain))
        return share * I_f + (1 - share) * I_r, I_f

    def factor(self, I_D: Tensor, I_f: Tensor) -> Tensor:
        """Return the factor of each weight, (d,)."""
        shrunk = (self.dampen * I_D / I_f).clamp(max=1)
        return torch.where(I_f > self.select * I_D, shrunk, 1.0)
