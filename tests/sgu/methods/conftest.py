"""A run of a method that several tests share."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sgu.methods import Run
from sgu.task import Task
from sgu.training.clock import Clock


@pytest.fixture
def run_of() -> Callable[..., Run]:
    """Return a maker of runs from a copy of the original, without a game. fields: further ones."""

    def make(
        task: Task, original: nn.Module, run_class: type[Run] = Run, seed: int = 0, **fields: Any
    ) -> Run:
        return run_class(
            model=copy.deepcopy(original),
            original=original,
            architecture="small_cnn",
            task=task,
            game=None,
            seed=seed,
            clock=Clock(torch.device("cpu")),
            on_epoch=lambda *_: None,
            **fields,
        )

    return make
