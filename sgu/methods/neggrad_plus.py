"""NegGrad+: descend on retain and ascend on forget in the same step.

    min over theta of beta CE(retain batch; theta) - (1 - beta) CE(forget batch; theta)

Forget is smaller: its batches come round again, in a new order each time. Both go through the
network one after the other, so each is normalised by its own batch statistics.
Published: beta .95 to .999.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from sgu.checks import check
from sgu.methods.base import Method, Run, Space
from sgu.training import Batch, Pass, batches, classification


@dataclass(frozen=True, kw_only=True)
class NegGradPlus(Method):
    """Fine-tuning with forget's gradient, negative, beside it. beta: the weight of retain."""

    source: ClassVar[str] = "Kurmanji 2023, arXiv 2302.09880"
    space: ClassVar[Space] = {
        "lr": {"low": 1e-4, "high": 1e-1, "log": True},
        "epochs": [5, 10, 15],
        "beta": {"low": 0.95, "high": 0.999},
    }

    epochs: int = 10
    lr: float = 0.01
    beta: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, beta=(0 <= self.beta <= 1, "between 0 and 1"))

    def unlearn(self, run: Run) -> None:
        beta, forget = self.beta, self._forget(run)

        def objective(model: nn.Module, retain: Batch) -> Tensor:
            descent, ascent = classification(model, retain), classification(model, next(forget))
            return beta * descent - (1 - beta) * ascent

        run.train(self, lambda _: [Pass(run.retain, objective)])

    def _forget(self, run: Run) -> Iterator[Batch]:
        """Prepared batches of forget, without end."""
        generator, examples = run.generator(), run.world.source.train.to(run.device)
        for rows in cycled(run.forget, self.batch_size, generator):
            inputs, targets = examples.at(rows, run.device)
            prepared = run.world.pipeline.prepare(inputs, generator if self.augment else None)
            yield Batch(rows, prepared, targets)


def cycled(rows: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches of rows (n,), each time round in another order, without end."""
    if len(rows) < 2:
        raise ValueError(f"forget has {len(rows)} examples: a batch needs >= 2, forget more")
    while True:
        yield from batches(rows, batch_size, generator)
