"""Replayed steps: graphs that are CUDA's where there is a card, pretended ones elsewhere."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from torch import nn

from sgu.files.location import Location
from sgu.host import replay
from sgu.host.replay import Replayed, steady
from sgu.models import build
from sgu.training.loop import Optimisation, Pass, classification, train
from sgu.training.snapshots import Snapshots

SETTINGS = Optimisation(epochs=2, lr=1e-3, batch_size=20, augment=True)


@pytest.fixture
def place(device) -> torch.device:
    return device if device.type == "cuda" else torch.device("cpu")


def trained(task, place, network, plan, settings=SETTINGS, replayed=True, adjust=None):
    """Return a trained copy of the network, on the CPU; adjust: gets its weights and the step."""
    model = copy.deepcopy(network).to(place)
    with pytest.MonkeyPatch.context() as patch:
        if not replayed:
            patch.setattr(replay, "replays", lambda _: False)
        train(
            model, task.source.train, plan, task.pipeline, settings, 0,
            adjust=adjust and (lambda step, _: adjust(list(model.parameters()), step)),
        )  # fmt: skip
    return model.cpu()


def same(model, other, before, place) -> None:
    """On the CPU to the bit. A card's sums run in any order, and it rounds to bfloat16."""
    states = zip(*(m.state_dict().values() for m in (model, other, before)), strict=True)
    moved = torch.stack([
        torch.stack([(one - old).double().norm(), (two - old).double().norm(),
                     (one - two).double().norm()]) for one, two, old in states
    ]).norm(dim=0)  # fmt: skip
    assert moved[:2].min() > 1e-3
    assert moved[2] <= (0.02 * moved[1] if place.type == "cuda" else 0)


@pytest.fixture
def small(task) -> nn.Module:
    return build("small_cnn", task.source.shape, 0)


def ascent(model, batch):
    return -0.1 * classification(model, batch)


def two_passes(task):
    pure = Pass(task.splits.forget, ascent, batch_size=10, rate=0.5, pure=True)
    return lambda _: [pure, Pass(task.splits.retain[:150])]


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_replayed_training_is_training(optimiser, replays, task, place, small):
    """With two objectives, a short last batch, and gradients that are added to."""
    settings = replace(SETTINGS, optimiser=optimiser)

    def adding(weights: list[nn.Parameter], step: int) -> None:
        if step % 3 == 0:
            (sum(w.square().sum() for w in weights) * 1e-2).backward()

    models = [
        trained(task, place, small, two_passes(task), settings, replayed, adding)
        for replayed in (True, False)
    ]
    expected = sum(
        max(2 * (len(part.indices) // (part.batch_size or settings.batch_size)) - 2, 0)
        for part in two_passes(task)(0)
    )
    assert replays.count == expected > 10
    if optimiser == "sgd" or place.type == "cpu":  # Adam divides small gradients by their size
        same(*models, small, place)


def test_a_run_that_was_cut_off_goes_on(replays, task, place, small, tmp_path):
    """From the snapshot of the first epoch, with graphs of its own."""

    def stopping(epoch: int, _: float) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    file, models = Location.at(tmp_path / "run"), []
    for on_epoch, snapshots in ((None, None), (stopping, file), (None, file)):
        model = copy.deepcopy(small).to(place)
        with suppress(KeyboardInterrupt):
            train(
                model, task.source.train, task.splits.forget, task.pipeline, SETTINGS, 0,
                on_epoch=on_epoch, snapshots=Snapshots(snapshots),
            )  # fmt: skip
        models.append(model.cpu())
    assert replays.count
    same(models[2], models[0], small, place)


def test_what_cannot_be_captured_runs_as_it_is(replays, task, place, small):
    def waiting(model, batch):
        loss = classification(model, batch)
        return loss if loss.item() > -1 else -loss

    plan = lambda _: [Pass(task.splits.forget, waiting, pure=True)]  # noqa: E731
    with pytest.warns(UserWarning, match="without CUDA graphs: .*captur") as warned:
        model = trained(task, place, small, plan)
    assert len([w for w in warned if "CUDA graphs" in str(w.message)]) == 1
    assert replays.count == 0
    same(model, trained(task, place, small, plan, replayed=False), small, place)


def test_a_failed_capture_harms_no_other(replays, place):
    """Neither graphs made before it, nor those after, nor the device's generator."""

    def noise(x):
        return x + torch.rand_like(x)

    x = torch.zeros(1000, device=place)
    before, after = Replayed(noise, place, eager=0), Replayed(noise, place, eager=0)
    first = before(x).clone()
    failing = Replayed(lambda x: x * x.sum().item(), place, eager=0)
    with pytest.warns(UserWarning, match="without CUDA graphs"):
        assert failing(x + 1)[0] == 1000
    drawn = [first, torch.rand_like(x), before(x).clone(), after(x).clone(), after(x).clone()]
    assert replays.count == 4
    means = torch.stack(drawn).mean(1)
    assert ((means - 0.5).abs() < 0.1).all()
    correlations = torch.corrcoef(torch.stack(drawn)) - torch.eye(5, device=place)
    assert correlations.abs().max() < 0.2  # each draws anew
    if place.type == "cuda":
        torch.cuda.empty_cache()


def test_networks_that_may_branch_are_left_alone(small):
    class Branching(nn.Sequential):
        pass

    assert steady(small)
    assert not steady(Branching(small))
    handle = small[0].register_forward_pre_hook(lambda *_: None)
    assert not steady(small)
    handle.remove()
    assert steady(small)
