"""The four files of the page for contributors do what they say, and work together in one run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge

from sgu.data.sources import SOURCES
from sgu.experiment import AUDITORS, Experiment
from sgu.methods import METHODS
from sgu.metrics import attack_table
from sgu.metrics.attacks import ATTACKS
from sgu.training.inference import default_device
from sgu.unlearning import unlearn

FOLDER = Path(__file__).parents[2] / "examples" / "extensions"
SHORT: dict[str, Any] = {"data": "digits", "subset": 600, "pretrain_epochs": 3, "epochs": 1}


def extension(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses ask for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def registered(monkeypatch) -> None:
    """Name each in its registry, which is all that is left to do."""
    ridge = extension("ridge").RidgeAuditor
    monkeypatch.setitem(METHODS, "noise", extension("noise").Noise)
    monkeypatch.setitem(AUDITORS, "ridge", lambda e: ridge(reg=e.reg))
    monkeypatch.setitem(ATTACKS, "margin", extension("margin").Margin)
    monkeypatch.setitem(SOURCES, "digits", extension("digits").digits)


@pytest.mark.usefixtures("registered")
def test_they_work_together_in_a_run(tmp_path):
    experiment = Experiment.of(**SHORT, method="sg+noise", auditor="ridge", solve_every=2)
    task = experiment.task()
    original = experiment.reference("original", task, tmp_path).model
    outcome = unlearn(experiment, task.to(default_device()), original)
    assert outcome.notes == ()
    assert outcome.unsolved == 0
    assert outcome.metrics["retain_acc"] > 0.5
    (record,) = attack_table(outcome.logits.scored(task), ["margin"])
    assert 0 < record.auc.value < 1

    def weights(method: str, **settings: Any) -> torch.Tensor:
        run = Experiment.of(**SHORT, method=method, lr=0.01, **settings)
        return torch.cat([p.flatten() for p in unlearn(run, task, original).model.parameters()])

    assert torch.equal(weights("noise", noise=0), weights("finetune"))
    assert not torch.equal(weights("noise", noise=0.1), weights("finetune"))


def test_the_auditor_is_ridge_regression_and_can_be_differentiated():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 30, 3, generator=generator, dtype=torch.float64)
    members = (torch.rand(2, 30, generator=generator) > 0.5).float()
    weight = torch.rand(2, 30, generator=generator)
    auditor = extension("ridge").RidgeAuditor(reg=0.1)
    fit = auditor.fit(x, members, weight)
    for problem in range(2):
        c = (weight / weight.sum(1, keepdim=True))[problem].double().numpy()
        y = (2 * members - 1)[problem].numpy()
        wanted = Ridge(alpha=0.1).fit(x[problem].numpy(), y, sample_weight=c)
        np.testing.assert_allclose(fit.w[problem].numpy(), wanted.coef_, rtol=1e-6)
        np.testing.assert_allclose(-fit.b[problem].item(), wanted.intercept_, rtol=1e-6)
    other = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda scores: auditor.fit(scores, members).decision(other), x.requires_grad_()
    )
    alone = auditor.fit(x.detach(), torch.ones(2, 30))  # nobody held out: no best response
    assert alone.void.all()
    assert not alone.w.any()


def test_the_source_has_scikit_learns_digits():
    source, (images, labels) = extension("digits").digits(), load_digits(return_X_y=True)
    both = torch.cat([source.train.inputs, source.heldout.inputs]).flatten(1)
    np.testing.assert_allclose(both.numpy() / 15.9, images, atol=1 / 15.9)
    targets = torch.cat([source.train.targets, source.heldout.targets])
    assert targets.tolist() == labels.tolist()
