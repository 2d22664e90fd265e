"""`sgu.unlearn` on any network: what the commands do, and nothing to the network itself."""

from __future__ import annotations

import copy
import json
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import sgu
from sgu.experiment import Experiment
from sgu.methods import METHODS
from sgu.results.schema import METRICS
from sgu.unlearning import unlearn as run

SHORT = {"epochs": 1, "batch_size": 60, "solve_every": 2}


def settings_of(method: str) -> dict[str, object]:
    return SHORT if METHODS[method.removeprefix("sg+")]().epochs else {}


@pytest.mark.parametrize("method", [*METHODS, "sg+random_label"])
def test_every_method_works_on_any_network_and_leaves_it_as_it_is(method, before, own, bits, same):
    model = copy.deepcopy(before).train()
    old = bits(model)
    done = sgu.unlearn(model, own, method, **settings_of(method))
    assert same(bits(model), old)
    assert model.training
    assert done.model is not model
    if method != "ssd":  # its published threshold reaches no weight here
        assert not same(bits(done.model), old)
    assert set(done.metrics) <= set(METRICS)


@pytest.mark.parametrize("method", ["sg", "influence", "ssd", "salun", "undo"])
def test_frozen_weights_stay_as_they_are(method, before, own, bits, same):
    model = copy.deepcopy(before)
    model.conv.requires_grad_(False)
    settings = {"select": 0.1} if method == "ssd" else settings_of(method)
    done = sgu.unlearn(model, own, method, **settings).model
    assert same(bits(done.conv), bits(before.conv))
    assert not torch.equal(done.head.weight, before.head.weight)


def test_it_is_the_command_to_the_last_digit(task, original):
    """The same data as a user's own Dataset, normalised beforehand: equal to 1e-6."""
    experiment = Experiment.of(alpha=2.0, epochs=2, lr=0.05, solve_every=2, batch_size=64)
    wanted = run(experiment, task, original).metrics
    parts = [
        TensorDataset(task.pipeline.prepare(part.inputs), part.targets)
        for part in (task.source.train, task.source.heldout)
    ]
    own = sgu.Task.of(*parts, forget=task.splits.forget)
    done = sgu.unlearn(original, own, alpha=2.0, epochs=2, lr=0.05, solve_every=2, batch_size=64)
    for name, value in wanted.items():
        if not name.endswith("seconds"):
            assert done.metrics[name] == pytest.approx(value, abs=1e-6), name


def test_a_seed_decides_dropout_too_and_the_global_generator_stays(before, own, bits, same):
    state = torch.get_rng_state()
    first, again = (sgu.unlearn(before, own, **SHORT, seed=3).model for _ in range(2))
    assert same(bits(first), bits(again))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_result_is_a_table_a_frame_and_json(before, own):
    done = sgu.unlearn(before, own, "finetune", epochs=1)
    assert f"forget_acc      │ {done.before['forget_acc']:.3f}" in str(done)
    frame = done.to_frame()
    assert frame.loc["test_acc", "unlearned"] == done.metrics["test_acc"]
    assert json.loads(json.dumps(done.to_dict()))["settings"]["method"] == "finetune"
    assert not {"data", "model", "alpha"} & set(done.settings)
    assert done.settings["split_digest"] == own.splits.digest


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"solve_every": 20}, "never played: solve_every = 20, and there are 12 steps in all"),
        ({"solve_every": 8}, "an epoch has 6 steps, fewer than solve_every = 8"),
    ],
)
def test_a_game_that_is_not_played_is_said(before, own, settings, message):
    with pytest.warns(UserWarning, match=message):
        done = sgu.unlearn(before, own, epochs=2, batch_size=32, **settings)
    assert message in done.notes[0]


def test_a_game_that_is_played_in_every_epoch_says_nothing(before, own):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sgu.unlearn(before, own, epochs=1, batch_size=32, solve_every=6)
        sgu.unlearn(before, own, epochs=1, solve_every="epoch")
        sgu.unlearn(before, own, epochs=1, alpha=0.0)


FLAT = nn.Flatten(), nn.Linear(64, 3)


def test_oblong_bytes_and_more_logits_than_classes():
    data = torch.randint(0, 256, (60, 1, 5, 9)).byte(), torch.arange(60) % 2
    model = nn.Sequential(nn.Flatten(), nn.Linear(45, 5))
    done = sgu.unlearn(model, sgu.Task.of(data, data, forget=range(20)), epochs=1, solve_every=1)
    assert done.notes == ()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Flatten(), "has no parameters"),
        (nn.Linear(7, 3), r"cannot take what train yields, torch.float32 \(1, 8, 8\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), "C >= 3, the largest label"),
        (nn.Conv2d(1, 3, 3), "need logits"),
        ("model.pt", "is a str; need a torch.nn.Module"),
        (SimpleNamespace(model=nn.Linear(64, 3)), "need a torch.nn.Module: give its .model"),
        (nn.Sequential(*FLAT, nn.Softmax(1)), "gives probabilities; need logits"),
        (nn.Sequential(*FLAT).requires_grad_(False), "all weights of the model are frozen"),
    ],
)
def test_a_network_that_does_not_fit_is_named(own, model, message):
    with pytest.raises(ValueError, match=message):
        sgu.unlearn(model, own)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "cifar10"}, "data = 'cifar10': the network and the task say it"),
        ({"method": "forgetting"}, "must be one of finetune, sg"),
        ({"epoch": 3}, "sg has no setting 'epoch'"),
        ({"alpha": -1}, "alpha = -1.0: must be >= 0"),
    ],
)
def test_unknown_settings_are_named(before, own, settings, message):
    with pytest.raises(ValueError, match=message):
        sgu.unlearn(before, own, **settings)
