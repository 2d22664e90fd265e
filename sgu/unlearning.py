"""One unlearning run: from an experiment's settings and an original to metrics."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from sgu.evaluation import Logits, Measure, selection_metrics, with_more
from sgu.experiment import Experiment
from sgu.game import EpochReport, Game, Round
from sgu.methods import Run
from sgu.metrics import Bin, loss_histograms, metrics_of
from sgu.task import Request, Task
from sgu.training.clock import Clock
from sgu.training.inference import device_of
from sgu.training.loop import Diverged
from sgu.training.snapshots import Snapshots, State

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True, eq=False)
class Outcome:
    """An unlearned model, its logits on all examples, its metrics (`sgu.results.schema`), its
    losses as histograms, the number of unsolved auditor problems, the optimiser steps of an epoch
    (None if nothing was trained), and notes: what should be known of the run, a line each."""

    model: nn.Module
    logits: Logits
    metrics: dict[str, float]
    histograms: list[Bin]
    unsolved: int
    epoch_steps: int | None
    notes: tuple[str, ...] = ()


def unlearn(
    experiment: Experiment,
    task: Task,
    original: nn.Module,
    report: Report | None = None,
    snapshots: Snapshots | None = None,
    more: Measure | None = None,
    *,
    own_network: bool = False,
) -> Outcome:
    """Return the outcome of unlearning from `original`, on its device; it is not changed.

    report: called after every epoch with epoch, train_loss, utility, solves, unsolved and
    `selection_metrics`. snapshots: saved after every epoch; a run continues from the one it finds,
    and reports the epochs before it again. more: measures more than the answers alone give.
    own_network: True if `original` is not of the experiment's architecture.
    Seconds are those of the method and its game, without evaluation.
    Raises Diverged or AuditorError if the run breaks down.
    """
    model, unlearner, game = copy.deepcopy(original), experiment.unlearner(), experiment.game()
    clock, tally, requests = Clock(device_of(model)), Tally(report, more), Requests(task, model)
    snapshots, steps = snapshots or Snapshots(), list[int]()
    snapshots.add("tally", tally)
    snapshots.add("requests", requests)
    for request in requests.left():
        run = Run(
            model=model,
            original=requests.original,
            architecture=None if own_network else experiment.model,
            task=request.task,
            game=game,
            seed=experiment.seed,
            clock=clock,
            on_epoch=tally.on_epoch(model, request.so_far, clock),
            epoch_steps=steps,
            snapshots=snapshots,
        )
        with clock.part("all"):
            unlearner.unlearn(run)
    if not torch.stack([weights.isfinite().all() for weights in model.parameters()]).all():
        raise Diverged(f"weights are not finite after {experiment.method}: lower lr")
    cost: dict[str, float] = {
        "seconds": clock.seconds("all") - clock.seconds("report"),
        "game_seconds": clock.seconds("game"),
        "solve_seconds": clock.seconds("solve"),
        "examples_seen": clock.examples,
    }
    if unlearner.has_reference:
        cost["reference_seconds"] = clock.seconds("reference")
    logits = Logits.of(model, task, cost["seconds"])
    scored = logits.scored(task)
    return Outcome(
        model=model,
        logits=logits,
        metrics=with_more(scored, metrics_of(scored), more) | cost,
        histograms=loss_histograms(scored),
        unsolved=tally.unsolved,
        epoch_steps=steps[0] if steps else None,
        notes=_notes(game, steps, len(requests.all)),
    )


def _notes(game: Game | None, steps: list[int], requests: int) -> tuple[str, ...]:
    """Return what should be known of a run. steps: of each epoch of all requests."""
    if game is None or game.alpha == 0 or game.by_the_epoch:
        return ()
    note = idle(game.solve_every, steps[: len(steps) // requests])
    return (note,) if note else ()


def idle(solve_every: int | str, steps: Sequence[int]) -> str:
    """Return what to do if a game is never played, or not in every epoch; empty if it is. steps: of
    each epoch."""
    if not isinstance(solve_every, int):
        return "" if sum(steps) == 0 else "the game was never played: say which step is the last"
    if sum(steps) < solve_every:
        return (
            f"the game was never played: solve_every = {solve_every}, and the steps in all are "
            f"{sum(steps)}: lower solve_every to {max(sum(steps), 1)} at most, or raise epochs"
        )
    if (shortest := min(steps)) < solve_every:
        return (
            f"an epoch is over at step {shortest}, before solve_every = {solve_every}, so that "
            'some have no round of the game: lower solve_every, or set it to "epoch"'
        )
    return ""


class Tally:
    """The reports of a run's epochs, which are numbered through all its requests."""

    def __init__(self, report: Report | None, more: Measure | None):
        self.report, self.more, self.unsolved, self.epochs = report, more, 0, 0
        self.reports: list[dict[str, float]] = []

    def on_epoch(self, model: nn.Module, so_far: Task, clock: Clock) -> EpochReport:
        """Return the `on_epoch` of one request's run."""

        def report_epoch(_: int, loss: float, rounds: list[Round]) -> None:
            with clock.part("report"):
                unsolved = int(sum(int(played.unsolved) for played in rounds))
                self.unsolved += unsolved
                epoch, self.epochs = self.epochs, self.epochs + 1
                if self.report is None:
                    return
                utility = torch.stack([r.utility for r in rounds]).mean() if rounds else math.nan
                self.reports.append(
                    {"epoch": epoch, "train_loss": loss, "utility": float(utility)}
                    | {"solves": len(rounds), "unsolved": unsolved}
                    | selection_metrics(model, so_far, self.more)
                )
                self.report(self.reports[-1])

        return report_epoch

    def state(self) -> State:
        return {name: getattr(self, name) for name in ("unsolved", "epochs", "reports")}

    def restore(self, state: State) -> None:
        self.unsolved, self.epochs, self.reports = (state[name] for name in self.state())
        if self.report:
            for epoch in self.reports:
                self.report(epoch)


class Requests:
    """The requests of a run, and the model that the current one started from."""

    def __init__(self, task: Task, model: nn.Module):
        self.all, self.model, self.number = task.requests(), model, 0
        self.original = copy.deepcopy(model)

    def left(self) -> Iterator[Request]:
        """Yield the requests not met yet; each starts from the model that the last one left."""
        first = self.number
        for number in range(first, len(self.all)):
            if number > first:
                self.number, self.original = number, copy.deepcopy(self.model)
            yield self.all[number]

    def state(self) -> State:
        original = self.original.state_dict() if self.number else None
        return {"number": self.number, "original": original}

    def restore(self, state: State) -> None:
        self.number = state["number"]
        for model in (self.model, self.original) if self.number else ():
            model.load_state_dict(state["original"])
