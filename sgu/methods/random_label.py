"""Random labels: learn classes drawn at random for forget, and the true ones for retain.

In each epoch, first a pass over forget and then one over retain, each by cross-entropy. A label of
forget is drawn anew in every step, uniformly from all classes, the true one among them, as in the
program of arXiv 2310.12508 for CIFAR-10 (for CIFAR-100 it draws once an epoch and mixes forget with
retain). So no wrong label can be memorised: what is learnt is to be unsure. Published there for
ResNet-18 and 10 % random: lr .013, constant, 10 epochs, batches of 256 of 50,000 images, which make
195 steps. Smaller sets have as many steps, of smaller batches: the 2 steps of 400 forgotten images
in batches of 256 leave half of a class (docs/method.md, "Opponents").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgu.checks import Bounds, at_least
from sgu.host.devices import to_device
from sgu.methods.base import Method, Run, Space
from sgu.training.loop import Batch, Pass
from sgu.training.snapshots import State


@dataclass(frozen=True, kw_only=True)
class RandomLabel(Method):
    """Amnesiac unlearning: random labels overwrite what was learnt of forget.

    least_steps: the steps of a pass over all of train at least; batches get smaller for it.
    """

    source: ClassVar[str] = "Graves 2021, arXiv 2010.10981; as in Fan 2024, arXiv 2310.12508"
    space: ClassVar[Space] = {"lr": {"low": 3e-3, "high": 1e-1, "log": True}, "epochs": [5, 10, 15]}
    bounds: ClassVar[Bounds] = {"least_steps": at_least(1)}

    epochs: int = 10
    lr: float = 0.013
    batch_size: int = 256
    schedule: str = "constant"
    least_steps: int = 195

    def unlearn(self, run: Run) -> None:
        labels = Labels(run.task.source.num_classes, run.generator())
        run.snapshots.add("labels", labels)

        def objective(model: nn.Module, batch: Batch) -> Tensor:
            return F.cross_entropy(model(batch.inputs), labels.draw(batch.targets))

        size = self.batch_of(len(run.task.source.train))
        passes = [Pass(run.forget, objective, size), Pass(run.retain, batch_size=size)]
        run.train(self, lambda _: passes)


class Labels:
    """Labels drawn uniformly from all classes, which go on where a snapshot left them."""

    def __init__(self, classes: int, generator: torch.Generator):
        self.classes, self.generator = classes, generator

    def draw(self, targets: Tensor) -> Tensor:
        """Return as many labels as targets, on their device."""
        drawn = torch.randint(self.classes, (len(targets),), generator=self.generator)
        return to_device(drawn, targets.device)

    def state(self) -> State:
        return {"generator": self.generator.get_state()}

    def restore(self, state: State) -> None:
        self.generator.set_state(state["generator"])
