"""A task of one's own data, a network with dropout, and a training loop, as a user writes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from sgu.task import Task

CLASSES = 3


class Network(nn.Module):
    """Convolution, dropout and a linear layer, which needs contiguous inputs for its `view`."""

    def __init__(self, channels: int = 1, side: int = 8):
        super().__init__()
        self.conv, self.dropout = nn.Conv2d(channels, 8, 3, padding=1), nn.Dropout(0.2)
        self.head = nn.Linear(8 * side * side, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        return self.head(self.dropout(x.view(len(x), -1)))


def noise(count: int, channels: int, side: int, seed: int) -> tuple[Tensor, Tensor]:
    """Float images of noise around a level that tells the class, so that forgetting shows."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % CLASSES
    images = torch.randn(count, channels, side, side, generator=generator)
    return images + 0.25 * targets[:, None, None, None], targets


@pytest.fixture(scope="session")
def data() -> tuple[TensorDataset, TensorDataset]:
    """240 train and 180 held-out images."""
    return TensorDataset(*noise(240, 1, 8, 0)), TensorDataset(*noise(180, 1, 8, 1))


@pytest.fixture(scope="session")
def own(data) -> Task:
    """The task of forgetting the first 60."""
    return Task.of(*data, forget=range(60))


@pytest.fixture(scope="session")
def fit(data) -> Callable[..., nn.Module]:
    """Train on the images at some indices until they are known by heart."""
    images, targets = data[0].tensors

    def train(indices: list[int], seed: int, epochs: int = 40) -> nn.Module:
        torch.manual_seed(seed)
        model, chosen = Network(), torch.tensor(indices)
        optimiser = torch.optim.Adam(model.parameters(), 5e-3)
        for _ in range(epochs):
            for batch in chosen[torch.randperm(len(chosen))].split(60):
                optimiser.zero_grad()
                F.cross_entropy(model(images[batch]), targets[batch]).backward()
                optimiser.step()
        return model

    return train


@pytest.fixture(scope="session")
def before(fit) -> nn.Module:
    return fit(list(range(240)), 7)
