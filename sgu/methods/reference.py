"""References: networks that never saw forget, which say what it should come to look like."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import nn

from sgu.checks import Bounds, at_least
from sgu.methods.bad_teacher import untrained
from sgu.methods.base import Method, Run
from sgu.models import build, pretraining
from sgu.training.loop import Optimisation, Pass, train

OWN = Optimisation(epochs=1, lr=0.05, schedule="one_cycle")
"""How a reference of an architecture is trained that has no recipe here, but for its epochs."""

SEEDS_APART = 2**31
"""A reference has the run's seed plus this, which is no seed of an original or of an ensemble."""


@dataclass(frozen=True, kw_only=True)
class Referenced(Method):
    """A method with a reference: a network trained on retain alone, inside the run, in few epochs.

    reference_epochs: in place of those of the original's recipe; reference_model: None takes the
    original's, and a network of one's own architecture a new one of that.
    """

    has_reference: ClassVar[bool] = True
    bounds: ClassVar[Bounds] = {"reference_epochs": at_least(1)}

    reference_epochs: int = 3
    reference_model: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reference_model is not None:
            pretraining(self.reference_model)

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
