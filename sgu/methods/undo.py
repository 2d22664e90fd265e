"""Retraining from a noised copy, helped by the original's answers on retain.

    theta_0 = (1 - noise) theta_original + noise theta_fresh
    min over theta of (1 - distill) CE(retain) + distill KL(retain)

where KL(retain) = T^2 mean KL(softmax(t / T) || softmax(s / T)), theta_fresh is a new
initialisation of the same architecture, t are the original's logits, in evaluation mode, and s the
network's own. Published for language models, whose teacher was unlearned before and whose noise is
scaled: 60 to 80 % of retraining's cost.

Here the teacher is the original itself, which is asked about retain alone. What its answers there
give away of forget grows with `distill`, and what the weights give away with 1 - noise; the game
over this method takes that back. noise 1, distill 0 is retraining with another recipe. Measured by
benchmarks/references.py, see docs/method.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgu.checks import POSITIVE, SHARE_OR_NONE, Bounds, at_least
from sgu.methods.bad_teacher import untrained
from sgu.methods.base import Method, Run, Space
from sgu.methods.scrub import divergence, taught_by
from sgu.models import build
from sgu.training.loop import Batch, Pass


@dataclass(frozen=True, kw_only=True)
class Undo(Method):
    """Distillation on retain into a copy whose weights are partly those of a new network.

    noise: the new network's share of the weights, 0..1; distill: the share of the original's
    answers in the loss, 0..1; temperature: T. The optimisation is that of small_cnn's recipe.
    least_steps: the steps of a pass over all of train at least, by smaller batches at a rate as
    much lower (Goyal et al. 2017): few steps are too coarse to come back from a noised copy.
    """

    source: ClassVar[str] = "after Lee 2025, arXiv 2506.06278"
    space: ClassVar[Space] = {
        "lr": {"low": 3e-2, "high": 3e-1, "log": True},
        "epochs": [3, 4, 6],
        "noise": {"low": 0.5, "high": 1.0},
        "distill": {"low": 0.1, "high": 0.7},
    }
    bounds: ClassVar[Bounds] = {
        "noise": SHARE_OR_NONE,
        "distill": SHARE_OR_NONE,
        "temperature": POSITIVE,
        "least_steps": at_least(1),
    }

    epochs: int = 4
    lr: float = 0.1
    weight_decay: float = 6e-3
    batch_size: int = 64
    schedule: str = "one_cycle"
    noise: float = 0.6
    distill: float = 0.33
    temperature: float = 2.0
    least_steps: int = 62

    def unlearn(self, run: Run) -> None:
        blend(run.model, fresh(run), self.noise)
        teacher = taught_by(run.original, run, run.retain, self.augment)

        def objective(model: nn.Module, batch: Batch) -> Tensor:
            s = model(batch.inputs)
            CE = F.cross_entropy(s, batch.targets)
            KL = divergence(teacher(batch), s, self.temperature)
            return (1 - self.distill) * CE + self.distill * KL

        size = self.batch_of(len(run.task.source.train))
        only = Pass(run.retain, objective, size, rate=size / self.batch_size, pure=True)
        run.train(self, lambda _: [only])


def fresh(run: Run) -> nn.Module:
    """Return a new network of the run's architecture, on its device, of the run's seed."""
    if run.architecture is None:
        return untrained(run.original, run.seed)
    return build(run.architecture, run.task.source.shape, run.seed + 2**32).to(run.device)


@torch.no_grad()
def blend(model: nn.Module, other: nn.Module, share: float) -> None:
    """Move weights and buffers of `model`, but those that are frozen, to (1 - share) own + share
    other's."""
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    states = zip(model.state_dict().items(), other.state_dict().values(), strict=True)
    for (name, own), new in states:
        if name in frozen:
            continue
        counts = not own.is_floating_point()  # batch-norm's batches
        own.copy_(own.double().lerp(new.double(), share) if counts else own.lerp(new, share))
