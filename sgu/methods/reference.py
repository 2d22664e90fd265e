"""References: networks that never saw forget, from which forget's new answers are learnt.

    min over theta of CE(retain batch; theta) + weight D(r(forget batch), s(forget batch))

where r are a reference's logits, s the network's own, and D is the method's. The second term is
there in every `distill_every`-th step of an epoch. Its batches, repeated in a new order each time,
are normalised by their own statistics, which stay out of the running ones.

A reference of few epochs knows less than a retrained model, so that forget is forgotten too far.
The game over such a method sets the level: its auditor sees the reference's margin beside the
network's (view "calibrated") and pulls back what can be told apart, from either side. Measured on
the embedded data by benchmarks/references.py, see docs/method.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar

import torch
from torch import Tensor, nn

from sgu.checks import NOT_NEGATIVE, Bounds, at_least
from sgu.methods.bad_teacher import untrained
from sgu.methods.base import Method, Run, Space
from sgu.methods.neggrad_plus import Forget
from sgu.methods.scrub import taught_by
from sgu.models import build, pretraining
from sgu.training.inference import batch_statistics
from sgu.training.loop import Batch, Optimisation, Pass, classification, train

OWN = Optimisation(epochs=1, lr=0.05, schedule="one_cycle")
"""How a reference of an architecture is trained that has no recipe here, but for its epochs."""

SEEDS_APART = 2**31
"""A reference has the run's seed plus this, which is no seed of an original or of an ensemble."""


@dataclass(frozen=True, kw_only=True)
class Referenced(Method):
    """Fine-tuning on retain, and learning forget's answers from a reference: a network trained
    from scratch on retain alone, inside the run.

    reference_epochs: instead of those of the original's recipe; reference_model: None takes the
    original's, and for a network of one's own a new one of its architecture; weight: of the term of
    forget; distill_every: steps from one such term to the next; distill_batch: the forgotten
    examples in each.
    """

    has_reference: ClassVar[bool] = True
    space: ClassVar[Space] = {
        "lr": {"low": 1e-2, "high": 1e-1, "log": True},
        "epochs": [3, 5, 10],
        "weight": {"low": 0.05, "high": 0.5, "log": True},
        "reference_epochs": [2, 3, 5],
    }
    bounds: ClassVar[Bounds] = {
        "reference_epochs": at_least(1),
        "weight": NOT_NEGATIVE,
        "distill_every": at_least(1),
        "distill_batch": at_least(2),
    }

    epochs: int = 5
    lr: float = 0.05
    reference_epochs: int = 3
    reference_model: str | None = None
    weight: float = 0.2
    distill_every: int = 2
    distill_batch: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference_model is not None:
            pretraining(self.reference_model)

    def unlearn(self, run: Run) -> None:
        reference = self.reference(run)
        teacher = taught_by(reference, run, run.forget, self.augment)
        forget = Forget(replace(self, batch_size=self.distill_batch), run)
        run.snapshots.add("forget", forget)

        def forgetting(model: nn.Module) -> Tensor:
            batch = next(forget)
            run.clock.saw(len(batch.indices))
            with batch_statistics(model):
                s = model(batch.inputs)
            return self.weight * self.distance(teacher(batch), s, forget.generator)

        def passes(_: int) -> list[Pass]:
            steps = count(1)

            def objective(model: nn.Module, retain: Batch) -> Tensor:
                loss = classification(model, retain)
                return loss if next(steps) % self.distill_every else loss + forgetting(model)

            return [Pass(run.retain, objective)]

        run.train(self, passes, reference=reference)

    def distance(self, r: Tensor, s: Tensor, generator: torch.Generator) -> Tensor:
        """Return D from the logits (n, C) of the reference and of the network, a scalar; generator:
        of draws, on the CPU."""
        raise NotImplementedError

    def reference(self, run: Run) -> nn.Module:
        """Return the reference of a run, on its device, after training it from scratch."""
        name, task = self.reference_model or run.architecture, run.task
        recipe, seed = pretraining(name) if name else OWN, run.seed + SEEDS_APART
        recipe = replace(recipe, epochs=self.reference_epochs)
        with run.clock.part("reference"):
            fresh = build(name, task.source.shape, seed) if name else untrained(run.original, seed)
            network = fresh.to(run.device)
            passes = [run.counted(Pass(run.retain))]
            train(network, task.source.train, lambda _: passes, task.pipeline, recipe, seed)
        return network
