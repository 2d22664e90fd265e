"""Training, the game and evaluation on a device: the CPU's numbers, without waits."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pretended
import pytest
import torch
from pretended import counted

import sgu.game
from sgu.auditor import LinearAuditor, MLPAuditor
from sgu.evaluation import all_metrics, selection_metrics
from sgu.game import Game, Match
from sgu.host.devices import full_float32
from sgu.models import build
from sgu.training import loop
from sgu.training.clock import Clock
from sgu.training.inference import predict
from sgu.training.loop import Optimisation, train
from sgu.training.snapshots import packed, unpacked

SETTINGS = Optimisation(epochs=1, lr=1e-3, batch_size=50, augment=True)


@pytest.fixture
def exact(monkeypatch) -> None:
    """Train in float32 on the device too."""
    for module in (sgu.game, loop):
        monkeypatch.setattr(module, "precision", lambda _: full_float32())


def weights(model) -> torch.Tensor:
    return torch.cat([part.detach().cpu().flatten() for part in model.parameters()])


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_training_is_that_of_the_cpu(optimiser, task, there, network):
    settings, model = replace(SETTINGS, optimiser=optimiser), copy.deepcopy(network).cpu()
    for trained, at in ((model, task), (network, there)):
        train(trained, at.source.train, at.splits.forget, at.pipeline, settings, 0)
    apart = (weights(network) - weights(model)).abs()
    close = apart <= 1e-5 + 1e-3 * weights(model).abs()
    if optimiser == "adamw":  # it divides gradients by their size, and so blows up those near 0
        assert close.double().mean() > 0.999
        assert apart.max() < 2 * settings.lr * len(task.splits.forget) / settings.batch_size
    else:
        assert close.all()


@pytest.mark.counts
@pytest.mark.parametrize("augment", [False, True])
def test_a_training_step_waits_for_nothing(augment, there, network):
    settings = replace(SETTINGS, augment=augment, batch_size=20)
    train(network, there.source.train, there.splits.forget, there.pipeline, settings, 0)
    with counted() as count:
        train(network, there.source.train, there.splits.forget, there.pipeline, settings, 0)
    assert count.waits == 1, count.waited  # for the loss of the epoch
    assert count.launches <= 2 * 100


@pytest.mark.counts
def test_a_mapped_set_waits_for_nothing(task, network):
    mapped = copy.copy(task.source.train)
    object.__setattr__(mapped, "file", Path("mapped"))  # stays on the host
    with counted() as count:
        train(network, mapped, task.splits.forget, task.pipeline, SETTINGS, 0)
    assert count.waits == 1, count.waited


def match_of(task, device, **rules) -> Match:
    rules = {"auditor": LinearAuditor(reg=0.1), "audit_batch": 60} | rules
    return Match(Game(**rules), task, 0, Clock(device))


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("statistics", ["batch", "running", "separate"])
def test_a_round_is_that_of_the_cpu(statistics, task, there, network):
    model = copy.deepcopy(network).cpu()
    pulls = []
    for played, at in ((model, task), (network, there)):
        match = match_of(at, at.source.train.inputs.device, statistics=statistics)
        assert int(match.play(played.train()).unsolved) == 0
        pulls.append(torch.cat([w.grad.cpu().flatten() for w in played.parameters()]))
    assert float((pulls[0] - pulls[1]).norm() / pulls[0].norm()) < 1e-2


@pytest.mark.counts
@pytest.mark.parametrize("rules", [{"repeats": 1}, {"warm_start": True, "view": "loss"}])
def test_a_round_waits_three_times_at_most(rules, there, network, device):
    match = match_of(there, device, **rules)
    match.play(network.train())
    with counted() as count:
        match.play(network)
    assert count.waits <= 3, count.waited
    assert count.launches <= 2200  # so few examples go by the dual route


@pytest.mark.parametrize(
    "auditor", [LinearAuditor(reg=0.1), MLPAuditor(hidden=2, reg=0.1)], ids=["linear", "mlp"]
)
def test_a_warm_game_goes_on_from_its_snapshot(auditor, there, network, device):
    rules = {"auditor": auditor, "warm_start": True, "view": "loss", "audit_batch": 40}
    match = match_of(there, device, **rules)
    match.play(network.train())
    again = match_of(there, device, **rules)
    again.restore(unpacked(packed(match.state())))
    expected, played = match.play(network), again.play(network)
    torch.testing.assert_close(played.utility, expected.utility, rtol=1e-4, atol=1e-6)


def test_answers_are_those_of_float32(task, there, network):
    """In bfloat16 margins would be off by .02."""
    with torch.no_grad():
        network[-1].weight.mul_(30)  # logits as large as a trained network's
    answers = predict(network, there.source.train, there.pipeline, there.splits.forget)
    on_cpu = copy.deepcopy(network).cpu()
    expected = predict(on_cpu, task.source.train, task.pipeline, task.splits.forget)
    torch.testing.assert_close(answers.cpu(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.counts
def test_evaluation_waits_once_a_split(there, network):
    for measure, most in ((all_metrics, 4), (selection_metrics, 2)):
        with counted() as count:
            measure(network, there)
        assert count.waits <= most, count.waited


@pytest.mark.counts
def test_a_batch_is_evaluated_without_a_wait(there, network):
    with counted() as count:
        predict(network, there.source.train, there.pipeline, there.splits.forget, batch_size=10)
    assert count.waits == 0, count.waited


def test_metrics_are_the_same_with_the_task_on_either_side(task, there, network):
    assert all_metrics(network, task) == all_metrics(network, there)


@pytest.mark.counts
def test_a_snapshot_is_one_transfer_a_type(network):
    state = {"model": network.state_dict(), "number": 3}
    with counted() as count:
        content = packed(state)
    assert count.waits <= 2, count.waited  # float32 and int64
    for name, value in unpacked(content)["model"].items():
        assert value.equal(state["model"][name].cpu())


def test_mixed_devices_are_refused(device):
    with pytest.raises(RuntimeError):
        torch.ones(3, device=device) + torch.ones(3)
    if device.type == "pretended":
        with pytest.raises(pretended.MixedDevicesError, match=r"tests/device/test_training.py:\d+"):
            torch.ones(3, device=device) @ torch.ones(3)


@pytest.mark.parametrize("model", ["resnet18", "vit_small"])
def test_larger_networks_train_on_it(model, there, device):
    network = build(model, there.source.shape, 0).to(device)
    settings = replace(SETTINGS, batch_size=2)
    train(network, there.source.train, there.splits.forget[:2], there.pipeline, settings, 0)
    assert weights(network).isfinite().all()
