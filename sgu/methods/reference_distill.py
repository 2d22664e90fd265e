"""Distillation from a reference: forget comes to look as it does to a network that never saw it.

    min over theta of CE(retain batch; theta) + weight KL(softmax r || softmax s) on a forget batch

where r are the logits of a reference (`methods.reference`) and s the network's own. The second
term is there in every `distill_every`-th step of an epoch. Its batches, repeated in a new
order each time, are normalised by their own statistics, which stay out of the running ones.

A reference of few epochs knows less than a retrained model, so that forget is forgotten too far;
the game over this method sets the level: its auditor sees the reference's margin beside the
network's ("calibrated"), and pulls what can be told from either side. Measured on the embedded
data by benchmarks/references.py, see docs/method.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar

from torch import Tensor, nn

from sgu.checks import NOT_NEGATIVE, Bounds, at_least
from sgu.methods.base import Run, Space
from sgu.methods.neggrad_plus import Forget
from sgu.methods.reference import Referenced
from sgu.methods.scrub import divergence, taught_by
from sgu.training.inference import batch_statistics
from sgu.training.loop import Batch, Pass, classification


@dataclass(frozen=True, kw_only=True)
class ReferenceDistill(Referenced):
    """Fine-tuning, and distillation on forget from a network that never saw it.

    weight: of the divergence; distill_every: steps from one to the next; distill_batch: the
    forgotten examples in each.
    """

    source: ClassVar[str] = "this project; distillation: Hinton 2015, arXiv 1503.02531"
    space: ClassVar[Space] = {
        "lr": {"low": 1e-2, "high": 1e-1, "log": True},
        "epochs": [3, 5, 10],
        "weight": {"low": 0.05, "high": 0.5, "log": True},
        "reference_epochs": [2, 3, 5],
    }
    bounds: ClassVar[Bounds] = {
        **Referenced.bounds,
        "weight": NOT_NEGATIVE,
        "distill_every": at_least(1),
        "distill_batch": at_least(2),
    }

    epochs: int = 5
    lr: float = 0.05
    weight: float = 0.2
    distill_every: int = 2
    distill_batch: int = 100

    def unlearn(self, run: Run) -> None:
        reference = self.reference(run)
        teacher = taught_by(reference, run, run.forget, self.augment)
        forget = Forget(replace(self, batch_size=self.distill_batch), run)
        run.snapshots.add("forget", forget)

        def distilled(model: nn.Module) -> Tensor:
            batch = next(forget)
            run.clock.saw(len(batch.indices))
            with batch_statistics(model):
                return self.weight * divergence(teacher(batch), model(batch.inputs), 1.0)

        def passes(_: int) -> list[Pass]:
            steps = count(1)

            def objective(model: nn.Module, retain: Batch) -> Tensor:
                loss = classification(model, retain)
                return loss if next(steps) % self.distill_every else loss + distilled(model)

            return [Pass(run.retain, objective)]

        run.train(self, passes, reference=reference)
