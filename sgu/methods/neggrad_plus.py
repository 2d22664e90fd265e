"""NegGrad+: descend on retain and ascend on forget in the same step.

    min over theta of beta CE(retain batch; theta) - (1 - beta) CE(forget batch; theta)

Forget is smaller, so its batches are repeated, in a new order each time. The two batches go through
the network one after the other, so each is normalised by its own statistics.
Published: beta .95 to .999.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from sgu.checks import Bounds
from sgu.host.devices import to_device
from sgu.methods.base import Method, Run, Space
from sgu.training.loop import Batch, Optimisation, Pass, batches, classification
from sgu.training.snapshots import State


@dataclass(frozen=True, kw_only=True)
class NegGradPlus(Method):
    """Fine-tuning minus the gradient on forget. beta: the weight of retain."""

    source: ClassVar[str] = "Kurmanji 2023, arXiv 2302.09880"
    space: ClassVar[Space] = {
        "lr": {"low": 1e-4, "high": 1e-1, "log": True},
        "epochs": [5, 10, 15],
        "beta": {"low": 0.95, "high": 0.999},
    }
    bounds: ClassVar[Bounds] = {"beta": (lambda beta: 0 <= beta <= 1, "between 0 and 1")}

    epochs: int = 10
    lr: float = 0.01
    beta: float = 0.95

    def unlearn(self, run: Run) -> None:
        beta, forget = self.beta, Forget(self, run)
        run.snapshots.add("forget", forget)

        def objective(model: nn.Module, retain: Batch) -> Tensor:
            descent, ascent = classification(model, retain), classification(model, next(forget))
            return beta * descent - (1 - beta) * ascent

        run.train(self, lambda _: [Pass(run.retain, objective)])


class Forget:
    """An endless iterator over prepared batches of forget, in another order each time."""

    def __init__(self, method: Optimisation, run: Run):
        if len(run.forget) < 2:
            raise ValueError(
                f"forget has {len(run.forget)} examples: a batch needs >= 2, forget more"
            )
        self.method, self.run, self.generator = method, run, run.generator()
        task = run.task.to(run.device)
        self.examples, self.pipeline = task.source.train, task.pipeline
        self.left: list[Tensor] = []  # batches of the current order

    def __next__(self) -> Batch:
        if not self.left:
            self.left = list(batches(self.run.forget, self.method.batch_size, self.generator))
        indices = to_device(self.left.pop(0), self.run.device)
        inputs, targets = self.examples.at(indices, self.run.device)
        augmentation = self.generator if self.method.augment else None
        return Batch(indices, self.pipeline.prepare(inputs, augmentation), targets)

    def state(self) -> State:
        return {"left": self.left, "generator": self.generator.get_state()}

    def restore(self, state: State) -> None:
        self.left = state["left"]
        self.generator.set_state(state["generator"])
