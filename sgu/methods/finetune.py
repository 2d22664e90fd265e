"""Fine-tuning: go on training on retain alone, and let forgetting happen."""

from __future__ import annotations

from sgu.methods.base import Run


def finetune(run: Run) -> None:
    run.train(lambda epoch, loss: run.on_epoch(epoch, loss, []))
