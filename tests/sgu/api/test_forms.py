"""Data of any form, by every door of the library: tokens, bytes, floats, PIL images; dropout."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import sgu

COUNT, CLASSES = 90, 3


class Tokens(nn.Module):
    """A text classifier with dropout; 0 is padding."""

    def __init__(self):
        super().__init__()
        self.embedding, self.dropout = nn.EmbeddingBag(40, 8, padding_idx=0), nn.Dropout(0.3)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.dropout(self.embedding(tokens)))


def of_images(size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 8), nn.ReLU(), nn.Dropout(0.3),
                         nn.Linear(8, CLASSES))  # fmt: skip


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, (COUNT, *shape), generator=torch.Generator().manual_seed(3)).byte()


def pictures(mode: str) -> list[Image.Image]:
    channels = {"L": (), "RGB": (3,)}[mode]
    return [Image.fromarray(one) for one in np.asarray(noise(6, 6, *channels))]


TOKENS = noise(7).long() % 40
FORMS = {
    "tokens, int32": (TOKENS.int(), Tokens),
    "bytes, three channels": (noise(3, 6, 6), lambda: of_images(108)),
    "floats, double, oblong": (noise(1, 4, 9).double() / 255, lambda: of_images(36)),
    "PIL, grey": (pictures("L"), lambda: of_images(36)),
    "PIL, colour": (pictures("RGB"), lambda: of_images(108)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_goes_through_unlearning_the_term_and_the_audit(form):
    inputs, make = FORMS[form]
    labels = [i % CLASSES for i in range(COUNT)]
    task = sgu.Task.of(
        list(zip(inputs, labels, strict=True)), list(zip(inputs, labels, strict=True)),
        forget=range(30),
    )  # fmt: skip
    torch.manual_seed(0)
    model = make()
    done = sgu.unlearn(model, task, epochs=1, batch_size=20, solve_every=1)
    assert done.notes == ()

    examples, retained = task.source.train, task.splits.retain
    mine, term = copy.deepcopy(model).train(), sgu.GameTerm(task, solve_every=1)
    batch, targets = examples.at(retained[:20], "cpu")
    F.cross_entropy(mine(task.pipeline.prepare(batch)), targets).backward()
    plain = [weights.grad.clone() for weights in mine.parameters()]
    assert torch.isfinite(term(mine))
    assert any(not torch.equal(p.grad, g) for p, g in zip(mine.parameters(), plain, strict=True))

    report = sgu.audit({"mine": done.model, "before": model}, task)
    assert report.findings.models["mine"].metrics["forget_acc"] == done.metrics["forget_acc"]


def test_a_network_sees_bytes_as_torchvision_gives_them():
    """PIL images and bytes as 0..1, and standardised where a mean and a deviation are stated."""
    pixels, labels = noise(3, 6, 6), torch.arange(COUNT) % CLASSES
    for data in ((pixels, labels), list(zip(pictures_of(pixels), labels.tolist(), strict=True))):
        for stated in ({}, {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}):
            task = sgu.Task.of(data, data, forget=[0, 1, 2], **stated)
            mean, std = (torch.tensor(stated.get(n, d)) for n, d in (("mean", 0.0), ("std", 1.0)))
            wanted = (pixels / 255 - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
            seen = task.pipeline.prepare(task.source.train.inputs)
            torch.testing.assert_close(seen, wanted, rtol=1e-5, atol=1e-5)


def pictures_of(pixels: Tensor) -> list[Image.Image]:
    return [Image.fromarray(one.permute(1, 2, 0).numpy()) for one in pixels]
