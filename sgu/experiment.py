"""One unlearning run from its settings to its metrics."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import torch
from torch import nn

from sgu.auditor import Auditor, CvxpyAuditor, LinearAuditor, MLPAuditor
from sgu.checks import check
from sgu.clock import Clock
from sgu.game import Game, Round
from sgu.methods import METHODS, Run
from sgu.metrics import all_metrics, selection_metrics
from sgu.models import PRETRAIN
from sgu.training import Optimisation
from sgu.world import World

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The settings of one run, checked on construction; each is a column or in `config`.

    Data: data (a source's name or a folder), subset (train images, None = all), forget_fraction.
    Model: model, pretrain_epochs (None = the model's own recipe). Unlearning: method, epochs, lr,
    momentum, weight_decay, batch_size, schedule, augment. Game (method sg): alpha, reg,
    solve_every, update, auditor, loss, penalty, view, statistics, folds, audit_batch (examples of
    both sides in a round; the 800 of the embedded data all fit), warm_start, game_lr.
    seed: of the splits, the references, the batches and the game.
    """

    data: str = "embedded"
    subset: int | None = None
    forget_fraction: float = 0.1
    model: str = "small_cnn"
    pretrain_epochs: int | None = None
    seed: int = 0
    method: str = "sg"
    epochs: int = 5
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 128
    schedule: str = "cosine"
    augment: bool = False
    alpha: float = 1.0
    reg: float = 0.1
    solve_every: int | Literal["epoch"] = 8
    update: Literal["joint", "alternate"] = "joint"
    auditor: str = "linear"
    loss: Literal["hinge", "squared_hinge", "logistic"] = "hinge"
    penalty: Literal["l2", "l1"] = "l2"
    view: Literal["logits+loss", "loss"] = "logits+loss"
    statistics: Literal["batch", "running"] = "batch"
    folds: int = 3
    audit_batch: int | None = 1000
    warm_start: bool = False
    game_lr: float = 0.01

    def __post_init__(self) -> None:
        check(
            self,
            model=(self.model in PRETRAIN, f"one of {', '.join(PRETRAIN)}"),
            method=(self.method in METHODS, f"one of {', '.join(METHODS)}"),
            auditor=(self.auditor in AUDITORS, f"one of {', '.join(AUDITORS)}"),
            forget_fraction=(0 < self.forget_fraction < 1, "between 0 and 1"),
            subset=(self.subset is None or self.subset > 0, "> 0, or none"),
            pretrain_epochs=(
                self.pretrain_epochs is None or self.pretrain_epochs >= 1,
                ">= 1, or none for the model's own number",
            ),
        )
        self.optimisation()
        self.game()

    def world(self) -> World:
        return World.load(
            self.data, subset=self.subset, forget_fraction=self.forget_fraction, seed=self.seed
        )

    def optimisation(self) -> Optimisation:
        return Optimisation(
            epochs=self.epochs,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            schedule=self.schedule,
            augment=self.augment,
        )

    def game(self) -> Game | None:
        """The rules of its game; None for a method without one."""
        if self.method != "sg":
            return None
        auditor = AUDITORS[self.auditor](self)
        return Game(
            alpha=self.alpha,
            auditor=auditor,
            solve_every="epoch" if self.update == "alternate" else self.solve_every,
            update=self.update,
            folds=self.folds,
            view=self.view,
            statistics=self.statistics,
            audit_batch=self.audit_batch,
            warm_start=self.warm_start,
            lr=self.game_lr,
        )

    def settings(self) -> dict[str, object]:
        """Everything needed to run it again, as plain values."""
        return asdict(self)


AUDITORS: dict[str, Callable[[Experiment], Auditor]] = {
    "linear": lambda e: LinearAuditor(loss=e.loss, penalty=e.penalty, reg=e.reg),
    "cvxpy": lambda e: CvxpyAuditor(loss=e.loss, penalty=e.penalty, reg=e.reg),
    "mlp": lambda e: MLPAuditor(reg=e.reg),
}


@dataclass(frozen=True, eq=False)
class Outcome:
    """An unlearned model, its metrics by the names of `analysis.schema`, and unsolved problems."""

    model: nn.Module
    metrics: dict[str, float]
    unsolved: int


def unlearn(
    experiment: Experiment, world: World, original: nn.Module, report: Report | None = None
) -> Outcome:
    """Run the experiment from `original`, which is left as it is, on its device.

    report: called after every epoch with epoch, retain_loss, utility, solves, unsolved and
    `selection_metrics`. Seconds are the method's own with its game, evaluation apart.
    Raises Diverged or AuditorError where the run breaks down.
    """
    model = copy.deepcopy(original)
    clock = Clock(next(model.parameters()).device)
    unsolved = 0

    def on_epoch(epoch: int, loss: float, rounds: list[Round]) -> None:
        nonlocal unsolved
        with clock.part("report"):
            missed = int(sum(int(played.unsolved) for played in rounds))
            unsolved += missed
            if report is None:
                return
            utility = torch.stack([r.utility for r in rounds]).mean() if rounds else math.nan
            report(
                {"epoch": epoch, "retain_loss": loss, "utility": float(utility)}
                | {"solves": len(rounds), "unsolved": missed}
                | selection_metrics(model, world)
            )

    with clock.part("all"):
        METHODS[experiment.method](
            Run(
                model=model,
                world=world,
                optimisation=experiment.optimisation(),
                game=experiment.game(),
                seed=experiment.seed,
                clock=clock,
                on_epoch=on_epoch,
            )
        )
    seconds = {
        "seconds": clock.seconds("all") - clock.seconds("report"),
        "game_seconds": clock.seconds("game"),
        "solve_seconds": clock.seconds("solve"),
    }
    return Outcome(model, all_metrics(model, world) | seconds, unsolved)
