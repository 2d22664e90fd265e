"""Fine-tuning: go on training on retain alone, and let forgetting happen."""

from __future__ import annotations

from sgu.methods.base import Run
from sgu.training import train


def finetune(run: Run) -> None:
    world = run.world
    train(
        run.model,
        world.source.train,
        world.splits.retain,
        world.pipeline,
        run.optimisation,
        run.seed,
        on_epoch=lambda epoch, loss: run.on_epoch(epoch, loss, []),
    )
