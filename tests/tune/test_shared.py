"""No trial changes the data, of which all on a node share one copy."""

from __future__ import annotations

import pytest
import torch

from sgu.experiment import Experiment
from sgu.unlearning import unlearn

METHODS = ["finetune", "sg", "scrub", "random_label", "neggrad_plus", "salun", "bad_teacher", "ssd"]


@pytest.mark.parametrize("method", METHODS)
def test_a_whole_trial_leaves_the_task_as_it_was(method, task, original):
    settings = {} if method == "ssd" else {"epochs": 1, "lr": 0.01}
    tensors = [
        task.source.train.inputs, task.source.train.targets,
        task.source.heldout.inputs, task.source.heldout.targets,
        *(getattr(task.splits, name) for name in ("retain", "forget", "audit", "val", "test")),
        task.pipeline.mean, task.pipeline.std,
    ]  # fmt: skip
    before, versions = [t.clone() for t in tensors], [t._version for t in tensors]
    unlearn(Experiment.of(method=method, **settings), task, original, lambda _: None)
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))
    assert [t._version for t in tensors] == versions  # autograd's count of writes in place
