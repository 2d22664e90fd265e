"""The device of these tests: SGU_TEST_DEVICE, or the pretended one; and what they share."""

from __future__ import annotations

import os
from typing import Any

import pretended
import pytest
import torch
from pretended.graphs import PretendedGraph
from torch import nn

from sgu.host import replay
from sgu.models import build
from sgu.task import Task

NAME = os.environ.get("SGU_TEST_DEVICE", "pretended")
if NAME == "pretended":
    pretended.register()  # now: autograd learns of devices in its first backward pass


@pytest.fixture(autouse=True)
def _counts_are_the_pretended_devices(request: pytest.FixtureRequest) -> None:
    if NAME != "pretended" and request.node.get_closest_marker("counts"):
        pytest.skip("only the pretended device counts")


@pytest.fixture(scope="session")
def device() -> torch.device:
    return torch.device(NAME)


@pytest.fixture(scope="session")
def there(task: Task, device: torch.device) -> Task:
    """The task of the tests, on the device."""
    return task.to(device)


@pytest.fixture
def network(task: Task, device: torch.device) -> nn.Module:
    """An untrained network on the device."""
    return build("small_cnn", task.source.shape, 0).to(device)


class Replays:
    """How often a graph was replayed."""

    def __init__(self) -> None:
        self.count = 0


@pytest.fixture
def replays(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> Replays:
    """Count the replays of graphs, on any device; without a card they are pretended."""
    counted = Replays()
    graph: Any = replay.Graph if device.type == "cuda" else PretendedGraph
    call = graph.__call__

    def counting(self: Any, *arguments: torch.Tensor) -> Any:
        counted.count += 1
        return call(self, *arguments)

    monkeypatch.setattr(graph, "__call__", counting)
    monkeypatch.setattr(replay, "Graph", graph)
    monkeypatch.setattr(replay, "replays", lambda _: True)
    return counted
