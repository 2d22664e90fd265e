"""Methods with a reference: what it saw, their equations by hand, and the game over them."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F

from sgu.data.sources import Examples
from sgu.data.splits.scenarios import Scenario
from sgu.experiment import Experiment
from sgu.methods import Run
from sgu.methods.reference_distill import ReferenceDistill
from sgu.methods.reference_labels import ReferenceLabels
from sgu.networks.references import recipe
from sgu.networks.training import trained
from sgu.task import Task
from sgu.training.inference import predict
from sgu.training.loop import Batch
from sgu.unlearning import unlearn

CPU = torch.device("cpu")
SHORT = {"epochs": 1, "lr": 0.02, "batch_size": 64, "reference_epochs": 1}


def outcome_of(task, original, **settings):
    return unlearn(Experiment.of(**(SHORT | settings)), task, original)


def test_a_reference_never_saw_forget(task, original, bits, same, run_of):
    """The same bits come with forget's images painted over; they are not those of retraining."""
    method = ReferenceDistill(reference_epochs=1)
    run = run_of(task, original)
    state = bits(method.reference(run))
    inputs = task.source.train.inputs.clone()
    inputs[task.splits.forget] = 255
    painted = replace(task.source, train=Examples(inputs, task.source.train.targets))
    other = method.reference(run_of(replace(task, source=painted), original))
    assert same(state, bits(other))
    retrained = trained(recipe("retrain", "small_cnn", task, 0, 1), task.source, task.pipeline, CPU)
    assert not same(state, bits(retrained.model))
    assert run.clock.examples == len(task.splits.retain)
    assert run.clock.seconds("reference") > 0


def test_a_reference_may_be_another_model(task, original, run_of):
    other = replace(run_of(task, original), architecture="vgg16_bn")
    method = ReferenceDistill(reference_epochs=1, reference_model="small_cnn")
    assert type(method.reference(other)) is type(original)
    with pytest.raises(ValueError, match="model = 'small'"):
        ReferenceDistill(reference_model="small")


class Planned(Run):
    """A run that trains nothing and keeps the passes of its epochs."""

    def train(self, optimisation, plan=None, adjust=None, reference=None):  # noqa: ARG002
        object.__setattr__(self, "kept", ([plan(epoch) for epoch in range(2)], reference))


def test_the_objective_of_distillation(task, original, run_of):
    """CE(retain) in odd steps of an epoch; in even ones, + weight KL by torch.distributions."""
    run = run_of(task, original, Planned)
    ReferenceDistill(**SHORT, weight=0.3, distill_batch=len(run.forget)).unlearn(run)
    plan, reference = run.kept
    prepared = task.pipeline.prepare
    inputs, targets = task.source.train.at(run.retain[:32], CPU)
    batch = Batch(run.retain[:32], prepared(inputs), targets)
    network = copy.deepcopy(original).eval()  # batch-norm: running ones on retain, here
    CE = F.cross_entropy(network(batch.inputs), targets)
    r = predict(reference, task.source.train, task.pipeline, run.forget)
    alone = copy.deepcopy(original).eval()
    for module in alone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
    s = alone(prepared(task.source.train.at(run.forget, CPU)[0]))
    KL = kl_divergence(Categorical(logits=r), Categorical(logits=s)).mean()
    for (part,) in plan:
        assert torch.equal(part.indices, run.retain)
        steps = [part.objective(network, batch).item() for _ in range(4)]
        wanted = [CE.item(), (CE + 0.3 * KL).item()]
        assert steps == pytest.approx(wanted * 2, rel=1e-5)


def test_without_weight_it_is_finetuning(task, original, bits, same):
    """Neither the reference nor the batches of forget touch a buffer or a draw of training."""
    by_hand = unlearn(
        Experiment.of(method="finetune", epochs=1, lr=0.02, batch_size=64), task, original
    )
    distilled = outcome_of(task, original, method="reference_distill", weight=0.0)
    assert same(bits(by_hand.model), bits(distilled.model))


def test_without_alpha_the_game_is_distillation(task, original, bits, same):
    base = outcome_of(task, original, method="reference_distill")
    still = outcome_of(task, original, method="sg+reference_distill", alpha=0.0)
    assert same(bits(base.model), bits(still.model))
    played = outcome_of(task, original, method="sg+reference_distill", solve_every=2)
    assert not same(bits(base.model), bits(played.model))


def test_its_seconds_are_a_part_of_the_seconds(task, original):
    metrics = outcome_of(task, original, method="sg+reference_distill", solve_every=2).metrics
    assert 0 < metrics["reference_seconds"] < metrics["seconds"] - metrics["game_seconds"]


@pytest.mark.parametrize(
    "scenario", [Scenario(scenario="class", forget_classes=(3,)), Scenario(requests=2)], ids=str
)
def test_other_scenarios(task, original, scenario):
    other = Task.of(task.source, scenario.splits(task.source, 0))
    outcome = outcome_of(other, original, method="sg+reference_distill", solve_every=2)
    assert outcome.unsolved == 0
    assert outcome.metrics["reference_seconds"] > 0


def test_labels_are_drawn_from_the_reference():
    """The mean over draws of CE(s; y) is the sum over classes of r CE(s; y), within 5 errors."""
    generator = torch.Generator().manual_seed(0)
    r, s = torch.tensor([[0.3, 1.2, -0.7]]), torch.tensor([[1.0, -1.0, 0.5]])
    p, losses = r.softmax(1), -s.log_softmax(1)
    mean, draws = float((p * losses).sum()), 4000
    drawn = ReferenceLabels().distance(r.expand(draws, -1), s.expand(draws, -1), generator)
    error = float(((p * losses**2).sum() - mean**2) / draws) ** 0.5
    assert abs(float(drawn) - mean) < 5 * error
