"""Undo at its ends, where it is another method: bit for bit; its objective by hand; the game."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F

from sgu.experiment import Experiment
from sgu.methods import Run
from sgu.methods.undo import Undo, blend, fresh
from sgu.models import build
from sgu.training.inference import predict
from sgu.training.loop import Batch, train
from sgu.unlearning import unlearn

SHORT = {"epochs": 1, "lr": 0.02, "batch_size": 64}


def outcome_of(task, original, **settings):
    return unlearn(Experiment.of(**(SHORT | settings)), task, original)


def test_without_noise_and_distillation_it_is_fine_tuning(task, original, bits, same):
    recipe = SHORT | {"weight_decay": 6e-3, "schedule": "one_cycle"}
    tuned = outcome_of(task, original, method="finetune", **recipe)
    undone = outcome_of(task, original, method="undo", noise=0.0, distill=0.0, least_steps=1)
    assert same(bits(undone.model), bits(tuned.model))


def test_with_all_noise_and_no_distillation_it_is_retraining(task, original, bits, same, run_of):
    method, run = Undo(**SHORT, noise=1.0, distill=0.0, least_steps=1), run_of(task, original)
    retrained = fresh(run)
    train(retrained, task.source.train, task.splits.retain, task.pipeline, method, seed=0)
    method.unlearn(run)
    assert same(bits(run.model), bits(retrained))


def test_all_noise_leaves_nothing_of_the_original(original, task, bits, same, run_of):
    model, new = copy.deepcopy(original), build("small_cnn", task.source.shape, 5)
    blend(model, new, 1.0)
    assert same(bits(model), bits(new))
    own_network = copy.copy(run_of(task, original))
    object.__setattr__(own_network, "architecture", None)
    weights = zip(fresh(own_network).parameters(), original.parameters(), strict=True)
    assert all((one != other).any() for one, other in weights if one.ndim > 1)


class Planned(Run):
    """A run that trains nothing and keeps the passes of an epoch."""

    def train(self, optimisation, plan=None, adjust=None, reference=None):  # noqa: ARG002
        object.__setattr__(self, "kept", plan(0))


def test_the_objective_asks_the_original_about_retain(task, original, run_of):
    run = run_of(task, original, Planned)
    Undo(noise=0.3, distill=0.4, temperature=3.0).unlearn(run)
    (part,) = run.kept
    assert set(part.indices.tolist()) == set(task.splits.retain.tolist())
    chosen = task.splits.retain[:30]
    inputs, targets = task.source.train.at(chosen, torch.device("cpu"))
    run.model.eval()
    prepared = task.pipeline.prepare(inputs)
    s = run.model(prepared)
    t = predict(original, task.source.train, task.pipeline, chosen)
    far = kl_divergence(Categorical(logits=t / 3), Categorical(logits=s / 3)).mean()
    expected = 0.6 * F.cross_entropy(s, targets) + 0.4 * 9 * far
    assert float(part.objective(run.model, Batch(chosen, prepared, targets))) == pytest.approx(
        float(expected), rel=1e-5
    )
    mixed = zip(run.model.parameters(), original.parameters(), fresh(run).parameters(), strict=True)
    assert all(torch.allclose(m, 0.7 * o + 0.3 * f, atol=1e-6) for m, o, f in mixed)


def test_the_game_over_it_is_played_and_counted(task, original):
    still = outcome_of(task, original, method="sg+undo", alpha=0.0)
    plain = outcome_of(task, original, method="undo")
    played = outcome_of(task, original, method="sg+undo", solve_every=2)
    assert torch.equal(still.logits.train, plain.logits.train)
    assert not torch.equal(played.logits.train, plain.logits.train)
    assert played.metrics["examples_seen"] > plain.metrics["examples_seen"]


@pytest.mark.parametrize(("name", "value"), [("noise", 1.1), ("distill", -0.1), ("temperature", 0)])
def test_settings_out_of_bounds_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} = "):
        Undo(**{name: value})
