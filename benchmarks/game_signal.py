"""How much of a round of the game is signal? `python benchmarks/game_signal.py`.

On one network, the gradients of independent rounds (other folds, other draws of audit examples) are
compared: their mean cosine is 1 where a round is all signal, and 0 where it is all noise. Beside it
the mean norm of the gradient, the seconds of a round and those of its solve, and the rounds' share
of a trial's seconds, by a step of fine-tuning in the same process. `--epochs 0 2` measures the
original, and the network after 2 epochs of the game; `--calibrated` trains a reference of 3 epochs,
whose margins the auditor sees.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sgu.auditor import LinearAuditor
from sgu.experiment import Experiment
from sgu.game import Game, Match
from sgu.methods import Run
from sgu.methods.reference_distill import ReferenceDistill
from sgu.task import Task
from sgu.training.clock import Clock
from sgu.training.loop import Batch, classification
from sgu.unlearning import unlearn

Rules = dict[str, Any]
WAYS: dict[str, Rules] = {
    "3 shuffle splits": {"folds": 3},
    "30 shuffle splits": {"folds": 30},
    "30, halves": {"folds": 30, "heldout_share": 0.5},
    "5 folds, once": {"folds": 5, "repeats": 1},
    "40 folds, once": {"folds": 40, "repeats": 1},
    "2 folds, 5 times": {"folds": 2, "repeats": 5},
    "2 folds, 20 times": {"folds": 2, "repeats": 20},
}


@dataclass(frozen=True, kw_only=True)
class Signal:
    """The mean cosine between the gradients of rounds, and their mean norm and seconds."""

    cosine: float
    norm: float
    seconds: float
    solving: float


def signal(
    model: nn.Module, task: Task, rules: Rules, rounds: int, reference: nn.Module | None
) -> Signal:
    """Return the signal of `rounds` rounds on a network, which stays as it is."""
    gradients, clock = list[Tensor](), Clock(torch.device("cpu"))
    for seed in range(rounds):
        model.zero_grad()
        Match(Game(**rules), task, seed, clock, reference).play(model)
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    size = torch.stack(gradients).norm(dim=1, keepdim=True)
    unit = torch.stack(gradients) / size
    pairs = (unit @ unit.T)[torch.triu_indices(rounds, rounds, 1).unbind()]
    return Signal(
        cosine=float(pairs.mean()),
        norm=float(size.mean()),
        seconds=clock.seconds("game") / rounds,
        solving=clock.seconds("solve") / rounds,
    )


def step_seconds(model: nn.Module, task: Task, experiment: Experiment, steps: int = 10) -> float:
    """Return the seconds of a step of fine-tuning, without its update."""
    indices = task.splits.retain[: experiment.unlearner().batch_size]
    inputs, targets = task.source.train.at(indices, torch.device("cpu"))
    batch = Batch(indices, task.pipeline.prepare(inputs), targets)
    begin = time.perf_counter()
    for _ in range(steps):
        classification(model, batch).backward()
    return (time.perf_counter() - begin) / steps


def reference_of(model: nn.Module, task: Task, seed: int) -> nn.Module:
    """Return a network trained on retain alone for 3 epochs."""
    run = Run(
        model=model,
        original=model,
        architecture="small_cnn",
        task=task,
        game=None,
        seed=seed,
        clock=Clock(torch.device("cpu")),
        on_epoch=lambda *_: None,
    )
    return ReferenceDistill(reference_epochs=3).reference(run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--regs", type=float, nargs="+", default=[0.1, 1.0])
    parser.add_argument("--every", type=int, default=8, help="steps between two rounds")
    parser.add_argument("--audit-batch", type=int, default=None)
    parser.add_argument("--epochs", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--calibrated", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path("results/cache"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    for epochs in args.epochs:
        settings = {"seed": args.seed, "lr": 0.05, "solve_every": args.every}
        experiment = Experiment.of(**settings, epochs=max(epochs, 1))
        task = experiment.task(args.cache)
        model = experiment.reference("original", task, args.cache).model.eval()
        if epochs:
            model = unlearn(experiment, task, model).model
        reference = reference_of(model, task, args.seed) if args.calibrated else None
        view = "calibrated" if args.calibrated else "logits+loss"
        step = step_seconds(model, task, experiment)
        for reg in args.regs:
            print(f"after {epochs} epochs of the game, reg {reg}; a step takes {step:.3f} s")
            shared = {"auditor": LinearAuditor(reg=reg), "audit_batch": args.audit_batch}
            shared |= {"view": view}
            for name, rules in WAYS.items():
                found = signal(model, task, shared | rules, args.rounds, reference)
                trial = (found.seconds + args.every * step) / 100
                print(
                    f"{name:>18}: cosine {found.cosine:5.2f}, norm {found.norm:6.3f}, round "
                    f"{found.seconds:.3f} s ({found.seconds / trial:.0f} % of a trial), of which "
                    f"solving {found.solving:.3f} s ({found.solving / trial:.0f} %)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
