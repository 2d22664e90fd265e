"""Whole runs on a device: methods, snapshots, relearning, ensembles and the audit."""

from __future__ import annotations

import math

import pytest
import torch
from pretended import counted
from torch import nn

from sgu.audit.relearn import relearn_steps, relearning
from sgu.audit.running import audit
from sgu.ensembles.designs import oracles
from sgu.ensembles.train import ensemble
from sgu.experiment import Experiment
from sgu.files.location import Location
from sgu.methods import METHODS
from sgu.models import build
from sgu.networks.memorisation import memorisation
from sgu.networks.references import recipe, reference
from sgu.task import Task
from sgu.training.snapshots import Snapshots
from sgu.unlearning import unlearn

SHARED = {"audit_batch": 40, "solve_every": 2, "batch_size": 60}
MODEL = "tiny:Tiny"
ONE_STEP = ("influence", "fisher", "ssd")
BRIEF = {"reference_epochs": 1}
EXTRA = {
    "influence": {"iterations": 1}, "amun": {"steps": 2}, "reference_distill": BRIEF,
    "reference_labels": BRIEF, "sg+reference_distill": BRIEF, "sg+scrub": {"augment": True},
}  # fmt: skip
STEPS = 3  # of an epoch, two of retain and one of forget
WAITING = {"amun": 4}  # a step's waits, where a batch's shape depends on what it holds


def settings_of(method: str) -> dict:
    epochs = {} if method in ONE_STEP else {"epochs": 1}
    return SHARED | epochs | EXTRA.get(method, {}) | {"method": method}


@pytest.fixture(scope="module")
def noise(toy, device) -> Task:
    """120 images of noise to keep and 30 to forget, on the device."""
    return toy().to(device)


@pytest.fixture
def tiny(noise, device) -> nn.Module:
    return build(MODEL, noise.source.shape, 0).to(device)


@pytest.fixture
def device_is_default(device, monkeypatch) -> None:
    """Everything that takes a GPU where there is one takes the device."""
    for module in ("ensembles.train", "audit.running", "experiment", "networks.memorisation"):
        monkeypatch.setattr(f"sgu.{module}.default_device", lambda: device)


@pytest.mark.parametrize("method", [*METHODS, "sg+scrub", "sg+reference_distill"])
def test_every_method_unlearns_on_it(method, noise, tiny, device):
    outcome = unlearn(Experiment.of(**settings_of(method)), noise, tiny, own_network=True)
    assert all(math.isfinite(value) for value in outcome.metrics.values())
    assert {weights.device.type for weights in outcome.model.parameters()} == {device.type}


@pytest.mark.counts
@pytest.mark.parametrize(
    "method", ["finetune", "random_label", "salun", "scrub", "bad_teacher", "neggrad_plus",
               "reference_labels", "amun"],
)  # fmt: skip
def test_steps_of_methods_wait_for_nothing(method, noise, tiny):
    """Twice the epochs, as many waits, but for those of the epoch."""
    waits = []
    for epochs in (1, 2):
        experiment = Experiment.of(**settings_of(method) | {"epochs": epochs})
        with counted() as count:
            unlearn(experiment, noise, tiny, own_network=True)
        waits.append(count.waits)
    assert waits[1] - waits[0] <= 1 + STEPS * WAITING.get(method, 0), count.waited


class Cut(Exception):
    pass


@pytest.mark.parametrize("method", ["salun", "sg+scrub"])
def test_a_run_goes_on_to_the_same_weights(method, noise, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("sgu.training.snapshots.SHARE", math.inf)
    experiment = Experiment.of(**settings_of(method) | {"epochs": 2, "warm_start": True})
    file = Location.at(tmp_path / "run")

    def cut(epoch: dict[str, float]) -> None:
        if epoch["epoch"] == 1:
            raise Cut

    with pytest.raises(Cut):
        unlearn(experiment, noise, tiny, cut, Snapshots(file), own_network=True)
    resumed = unlearn(experiment, noise, tiny, None, Snapshots(file), own_network=True).model
    whole = unlearn(experiment, noise, tiny, own_network=True).model
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours.cpu(), theirs.cpu(), rtol=1e-4, atol=1e-6)


def test_references_and_ensembles_train_on_it(toy, noise, device, tmp_path):
    """The task may lie on either side."""
    for at in (toy(), noise):
        made = recipe("original", MODEL, at, 0, 1)
        trained = reference(made, at, tmp_path / str(id(at)), device).model
        assert next(trained.parameters()).device.type == device.type
    experiment = Experiment.of(**settings_of("finetune"), model=MODEL, pretrain_epochs=1)
    (logits,) = ensemble(oracles(experiment, toy(), 1), toy(), tmp_path, device)
    assert logits.train.device.type == "cpu"


def test_memorisation_is_measured_on_it(toy, device, tmp_path):
    measured = memorisation(toy().source, MODEL, 0, tmp_path, 1, pairs=1, device=device)
    assert measured.isfinite().all()


def test_a_model_relearns_on_it(noise, tiny):
    steps = relearn_steps(tiny, noise, relearning(MODEL), level=1.0, limit=3)
    assert steps is None or steps <= 3


@pytest.mark.usefixtures("device_is_default")
def test_an_audit_runs_on_it(toy, device, tmp_path):
    experiment = Experiment.of(**settings_of("sg"), model=MODEL, pretrain_epochs=1)
    found = audit(
        {}, experiment, toy(), tmp_path, device, oracle_count=2, shadow_count=0, with_klom=False,
        unlearned_by={"sg": experiment},
    )  # fmt: skip
    assert set(found.models) == {"original", "sg", "retrained"}
