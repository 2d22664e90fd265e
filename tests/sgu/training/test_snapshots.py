"""A run that was cut off and goes on ends with the same bits as an uninterrupted one."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import nn

from sgu.data.examples import Examples
from sgu.data.sources import make_source
from sgu.data.splits.scenarios import Scenario
from sgu.experiment import Experiment
from sgu.files.location import Location
from sgu.models import build
from sgu.task import Task
from sgu.training.clock import Clock
from sgu.training.snapshots import Snapshots, packed, unpacked
from sgu.unlearning import Outcome, unlearn

EPOCHS = 3
RUNS: dict[str, dict[str, Any]] = {
    "finetune": {"method": "finetune"},
    "sg joint": {"solve_every": 2, "audit_batch": 20},
    "sg alternate": {"update": "alternate", "audit_batch": 20},
    "sg warm": {"solve_every": 2, "warm_start": True},
    "sg warm mlp": {
        "solve_every": "epoch", "auditor": "mlp", "warm_start": True, "audit_batch": 20,
    },
    "adamw, one_cycle, augment": {
        "method": "finetune", "optimiser": "adamw", "schedule": "one_cycle", "augment": True,
    },
    "scrub": {"method": "scrub"},
    "random_label": {"method": "random_label"},
    "neggrad_plus": {"method": "neggrad_plus", "augment": True},
    "salun": {"method": "salun"},
    "bad_teacher": {"method": "bad_teacher"},
    "l1_sparse": {"method": "l1_sparse"},
    "game over fisher": {"method": "sg+fisher", "strength": 1e-10, "solve_every": "epoch"},
    "reference_labels": {"method": "reference_labels", "reference_epochs": 1},
    "game over reference_distill, alternate": {
        "method": "sg+reference_distill", "reference_epochs": 1, "update": "alternate",
        "warm_start": True, "audit_batch": 20,
    },
    "requests, game over undo": {"requests": 2, "method": "sg+undo", "solve_every": 2},
    "requests, scrub": {"requests": 2, "method": "scrub"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def after_every_epoch(monkeypatch):
    monkeypatch.setattr("sgu.training.snapshots.SHARE", math.inf)


@pytest.fixture(scope="module")
def task() -> Task:
    """100 train and 100 held-out images of noise, 8x8, of four classes; a fifth is forgotten."""
    generator = torch.Generator().manual_seed(0)

    def noise() -> Examples:
        images = torch.randint(0, 256, (100, 1, 8, 8), generator=generator)
        return Examples(images.to(torch.uint8), torch.arange(100) % 4)

    source = make_source("noise", noise(), noise())
    return Task.of(source, Scenario(forget_fraction=0.2).splits(source, 0))


@pytest.fixture(scope="module")
def original(task: Task) -> nn.Module:
    return build("small_cnn", task.source.shape, 0)


class Killed(BaseException):
    """An exception that no code may catch."""


def settings_of(name: str) -> Experiment:
    shared = {"epochs": EPOCHS, "lr": 0.01, "batch_size": 25}
    return Experiment.of(**shared | RUNS[name])


def task_of(experiment: Experiment, task: Task) -> Task:
    if experiment.requests == 1:
        return task
    scenario = Scenario(forget_fraction=0.2, requests=experiment.requests)
    return Task.of(task.source, scenario.splits(task.source, 0))


def reports_of(experiment, task, original, snapshots=None, stop=math.inf):
    """Return the reports and the outcome of a run, which is killed in report `stop`."""
    reports: list[dict[str, float]] = []

    def report(epoch: dict[str, float]) -> None:
        if epoch["epoch"] >= stop:
            raise Killed
        reports.append(epoch)

    return reports, unlearn(experiment, task, original, report, snapshots)


def measured(outcome: Outcome) -> dict[str, float]:
    return {name: value for name, value in outcome.metrics.items() if "seconds" not in name}


def alike(left: Any, right: Any) -> bool:
    """Return True if both are equal, where NaN equals NaN."""
    return repr(left) == repr(right)


@pytest.mark.parametrize("name", RUNS)
def test_it_goes_on_to_the_same_bits(name, task, original, tmp_path, bits, same):
    experiment = settings_of(name)
    requested = task_of(experiment, task)
    file, drawn = Location.at(tmp_path / "run"), random.Random(name)
    whole, uncut = reports_of(experiment, requested, original)
    before, last = bits(original), EPOCHS * experiment.requests - 1
    for stop in sorted(drawn.sample(range(1, last + 1), min(2, experiment.requests))):
        with pytest.raises(Killed):
            reports_of(experiment, requested, original, Snapshots(file), stop)
    snapshots = Snapshots(file)
    assert snapshots.saved
    reports, outcome = reports_of(experiment, requested, original, snapshots)
    assert same(bits(outcome.model), bits(uncut.model))
    assert alike(measured(outcome), measured(uncut))
    assert alike(reports, whole)
    assert (outcome.unsolved, outcome.epoch_steps) == (uncut.unsolved, uncut.epoch_steps)
    assert same(bits(original), before)


def test_it_trains_no_epoch_twice(task, original, tmp_path, monkeypatch):
    """The run is cut off in the report of epoch 2, after the snapshots of 0 and 1."""
    experiment, file = settings_of("finetune"), Location.at(tmp_path / "run")
    with pytest.raises(Killed):
        reports_of(experiment, task, original, Snapshots(file), stop=2)
    steps = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *a, **k: (steps.append(1), step(*a, **k)))
    outcome = reports_of(experiment, task, original, Snapshots(file))[1]
    assert len(steps) == outcome.epoch_steps


def test_seconds_add_up(task, original, tmp_path):
    experiment, file = settings_of("sg joint"), Location.at(tmp_path / "run")
    with pytest.raises(Killed):
        reports_of(experiment, task, original, Snapshots(file), stop=2)
    seconds = Snapshots(file).saved["clock"]["seconds"]
    before = seconds["all"] - seconds["report"]
    assert 0 < seconds["solve"] < seconds["game"] < before
    outcome = reports_of(experiment, task, original, Snapshots(file))[1]
    assert outcome.metrics["seconds"] > before
    assert outcome.metrics["game_seconds"] > seconds["game"]
    assert outcome.metrics["solve_seconds"] > seconds["solve"]


def test_a_clock_goes_on_from_its_state():
    clock, other = (Clock(torch.device("cpu")) for _ in range(2))
    with clock.part("all"), clock.part("inner"):
        clock.saw(7)
        state = clock.state()
    seconds = state["seconds"]
    assert 0 < seconds["inner"] <= seconds["all"] < 1
    with other.part("all"):
        other.saw(1)
        other.restore({"examples": 7, "seconds": {"all": 100.0, "inner": 50.0}})
    assert 100 < other.seconds("all") < 101
    assert other.seconds("inner") == 50
    assert other.examples == 7
    assert clock.seconds("all") > seconds["all"]


def test_a_state_comes_back_as_it_was():
    view = torch.arange(12.0).view(3, 4).t()
    state = {
        "numbers": [0.1 + 0.2, -7, math.inf, None, True, "text"],
        "tensors": [view, torch.tensor(3), torch.empty(0, 2), view[0]],
        "nested": {"bytes": torch.tensor([1, 255], dtype=torch.uint8), "none": {}},
    }
    back = unpacked(packed(state))
    assert back["numbers"] == state["numbers"]
    for was, now in zip(state["tensors"], back["tensors"], strict=True):
        assert was.dtype == now.dtype
        assert torch.equal(was, now)
    assert back["nested"]["bytes"].tolist() == [1, 255]
    assert back["nested"]["none"] == {}


def test_a_snapshot_is_a_file_of_weights_and_plain_values(task, original, tmp_path):
    """safetensors reads it; it is as large as the weights, their momentum and little more."""
    from safetensors.torch import load_file

    file = Location.at(tmp_path / "run")
    reports_of(settings_of("finetune"), task, original, Snapshots(file))
    tensors = load_file(file.path)
    size = sum(value.nbytes for value in original.state_dict().values())
    assert sum(value.nbytes for value in tensors.values()) < 2 * size + 20_000


def test_snapshots_cost_a_twentieth_at_most(monkeypatch):
    """With a fake clock: an epoch takes 1 s, a snapshot .5 s."""
    now, written = [0.0], []
    monkeypatch.setattr("sgu.training.snapshots.SHARE", 0.05)
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    class Slow:
        def read(self) -> None:
            return None

        def write(self, content: bytes) -> None:
            now[0] += 0.5
            written.append(content)

    snapshots = Snapshots(Slow())
    for _ in range(100):
        now[0] += 1
        snapshots.save()
    assert 8 <= len(written) <= 11
    assert 0.5 * len(written) <= 0.06 * now[0]


TORN = [b"", b"torn", packed({"a": 1})[:-3], save({"b": torch.ones(1)})]


@pytest.mark.parametrize("content", TORN, ids=["empty", "none", "cut off", "of something else"])
def test_a_snapshot_that_cannot_be_read_is_none(tmp_path, content):
    file = Location.at(tmp_path / "run")
    file.write(content)
    assert not Snapshots(file).saved
