"""What cannot be judged or played is refused before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sgu.cli import app
from sgu.data.base import make_source
from sgu.data.examples import Examples
from sgu.data.splits.splits import Splits, random_splits
from sgu.experiment import Experiment
from sgu.feasible import check_feasible
from sgu.task import Task


def task_of(classes: int, each: int, forget: list[int] | None = None, share: float = 0.4) -> Task:
    """Return a task of as many classes with so many examples each; forget: these of train."""
    targets = torch.arange(classes).repeat(each)
    images = torch.randint(0, 255, (len(targets), 1, 4, 4), dtype=torch.uint8)
    source = make_source("t", Examples(images, targets), Examples(images.flip(0), targets.flip(0)))
    drawn = random_splits(source, share)
    if forget is None:
        return Task.of(source, drawn)
    chosen = torch.tensor(forget)
    rest = torch.where(~torch.isin(torch.arange(len(targets)), chosen))[0]
    return Task.of(source, Splits(rest, chosen, drawn.audit, drawn.val, drawn.test))


def test_a_task_that_can_be_run_passes():
    check_feasible(Experiment(), task_of(3, 20))
    check_feasible(Experiment(method="sg+reference_distill"), task_of(3, 20))
    check_feasible(Experiment(method="finetune"), task_of(300, 5, share=0.2))  # without a game


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (lambda: task_of(300, 8), "audit_batch = 1000: must be >= 1200"),
        (lambda: task_of(3, 20, [0, 1]), "forget has no two examples of one class"),
        (lambda: task_of(3, 20, [0]), "forget has 1 example: attacks need 2 or more: forget more"),
        (lambda: task_of(30, 5, [0, 30, 60]), "val has 1 example of forget's classes"),
    ],
)
def test_what_would_fail_late_is_one_line_at_once(task, reason):
    with pytest.raises(ValueError, match=reason):
        check_feasible(Experiment(), task())


def untrained(*_: object, **__: object) -> None:
    raise AssertionError("a training was begun")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--save", "."], "--save .: is a folder"),
        (["--forget-fraction", "0.1"], "forget has no two examples of one class"),
    ],
)
def test_the_command_refuses_it_before_a_training(words, reason, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(Experiment, "reference", untrained)
    places = ["--cache", str(tmp_path / "cache"), "--subset", "100"]
    result = CliRunner().invoke(app, [*places, *words])
    assert result.exit_code == 2, result.output
    assert reason in result.stderr
