"""SG-Unlearn: fine-tuning on retain with the auditor's best response in its gradient.

Source: arXiv 2406.07687. With alpha = 0 no game is played, and this is `finetune` bit for bit.
"""

from __future__ import annotations

import torch

from sgu.game import Match, Round
from sgu.methods.base import Run
from sgu.methods.finetune import finetune
from sgu.training import steps_an_epoch


def sg(run: Run) -> None:
    game, world = run.game, run.world
    if game is None or game.alpha == 0:
        return finetune(run)
    splits = world.splits
    match = Match(game, world.source, splits, world.pipeline, run.seed, run.clock)
    rounds: list[Round] = []
    per_epoch = steps_an_epoch(len(splits.retain), run.optimisation.batch_size)
    every = per_epoch if game.solve_every == "epoch" else game.solve_every
    apart = torch.optim.SGD(run.model.parameters(), lr=game.lr)

    def adjust(step: int) -> None:
        if game.update == "joint" and (step + 1) % every == 0:
            rounds.append(match.play(run.model))

    def on_epoch(epoch: int, loss: float) -> None:
        if game.update == "alternate":
            apart.zero_grad()
            rounds.extend(match.play(run.model) for _ in range(match.batches))
            apart.step()
        run.on_epoch(epoch, loss, list(rounds))
        rounds.clear()

    return run.train(on_epoch, adjust)
