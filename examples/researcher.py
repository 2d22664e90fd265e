"""A researcher: a network, a Dataset and a training loop of one's own, and indices to forget.

    .venv/bin/python examples/researcher.py

Two ways to unlearn: one call, or the game as a term in one's own loop. Then the audit, whose
retrained models come from the same training function. A minute or two on one CPU core.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset

import sgu


class Photos(Dataset[tuple[Tensor, int]]):
    """Images as this researcher prepares them: floats in -1..1."""

    def __init__(self, part: sgu.Examples):
        self.images, self.labels = part.inputs, part.targets

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index] / 127.5 - 1, int(self.labels[index])


class Network(nn.Module):
    """Two convolutions, dropout, and one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.dropout, self.head = nn.Dropout(0.1), nn.Linear(32 * 8 * 8, 10)

    def forward(self, x: Tensor) -> Tensor:
        for convolution in (self.first, self.second):
            x = F.max_pool2d(F.relu(convolution(x)), 2)
        return self.head(self.dropout(x.flatten(1)))


def fit(data: Dataset[tuple[Tensor, int]], seed: int, epochs: int) -> Network:
    """Train a network on all of a Dataset."""
    torch.manual_seed(seed)
    model = Network()
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for images, labels in DataLoader(data, 64, shuffle=True):
            optimiser.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimiser.step()
    return model


def fine_tune_with_the_game(
    model: nn.Module, data: Dataset[tuple[Tensor, int]], task: sgu.Task, epochs: int
) -> sgu.GameTerm:
    """Go on training on what may be remembered, with the game's term; change `model` in place."""
    torch.manual_seed(0)
    term = sgu.GameTerm(task, alpha=2.0, reg=0.1, solve_every=2)
    optimiser = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9)
    for _ in range(epochs):
        for images, labels in DataLoader(data, 64, shuffle=True):
            optimiser.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            term(model)
            optimiser.step()
    return term


def main(subset: int = 1000, epochs: int = 15, retrained: int = 4, shadows: int = 8) -> sgu.Report:
    """Run the example on so many of the embedded images, and return its audit."""
    source = sgu.load_source("embedded", subset)
    train, heldout = Photos(source.train), Photos(source.heldout)
    forget = torch.randperm(subset, generator=torch.Generator().manual_seed(0))[: subset // 6]
    model = fit(train, seed=1, epochs=epochs)

    task = sgu.Task.of(train, heldout, forget=forget)
    done = sgu.unlearn(model, task, method="sg", alpha=2.0, lr=0.02, epochs=3, solve_every=2)
    print(done)

    mine = copy.deepcopy(model)
    print(fine_tune_with_the_game(mine, Subset(train, task.splits.retain.tolist()), task, 3))

    report = sgu.audit(
        {"before": model, "unlearned": done.model, "mine": mine},
        task,
        train=lambda indices, seed: fit(Subset(train, indices), seed, epochs),
        retrained=retrained,
        shadows=shadows,
        say=print,
    )
    print(report)
    return report


if __name__ == "__main__":
    main().html("results/researcher.html")
