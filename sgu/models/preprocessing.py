"""The preprocessing that a network brings with it: how it was fed when it was trained.

The product hands on (p - M) / S of pixels p in 0..255, with the statistics of its own data. A
network trained on (p / 255 - mean) / std, at another size, is wrapped so that it sees that:

    (p / 255 - mean) / std = x S / (255 std) + (M / 255 - mean) / std,    x = (p - M) / S.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgu.data.pipeline import Pipeline, check_stated


@dataclass(frozen=True)
class Preprocessing:
    """mean, std: per channel of 0..1, as torchvision's Normalize takes them; none: as the product
    prepares its data. size: pixels of a side to which images are resized; None: as they are."""

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    size: int | None = None

    def __post_init__(self) -> None:
        mean, std = check_stated(self.mean, self.std) or ((), ())
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)
        if self.size is not None and self.size < 1:
            raise ValueError(f"size = {self.size}: must be >= 1")

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Preprocessing:
        """Return what the keys mean, std and size of a file's metadata say, plain or as JSON."""
        names = [name for name in ("mean", "std", "size") if info.get(name) not in (None, "")]
        values = {name: info[name] for name in names}
        return cls(**{k: json.loads(v) if isinstance(v, str) else v for k, v in values.items()})

    def __bool__(self) -> bool:
        return bool(self.mean or self.size)

    def info(self) -> dict[str, str]:
        """Return what `of` reads, as the metadata of a file."""
        return {name: json.dumps(value) for name, value in vars(self).items() if value}

    def __str__(self) -> str:
        words = []
        if self.mean:
            mean, std = (", ".join(f"{v:g}" for v in values) for values in (self.mean, self.std))
            words.append(f"(x / 255 - mean) / std with mean {mean}, std {std}")
        words += [f"resized to {self.size} x {self.size}"] if self.size else []
        return "; ".join(words) or "the data's own mean and deviation, by channel"

    def around(self, network: nn.Module, pipeline: Pipeline) -> nn.Module:
        """Return the network, fed as this says from what the pipeline prepares."""
        if not self:
            return network
        wrapped = Preprocessed(network, self, len(pipeline.mean))
        if self.mean:
            wrapped.fit(pipeline)
        return wrapped


class Preprocessed(nn.Module):
    """A network behind its own preprocessing; channels: of the images."""

    def __init__(self, network: nn.Module, stated: Preprocessing, channels: int):
        super().__init__()
        self.network, self.stated = network, stated
        self.register_buffer("factor", torch.ones(channels, 1, 1))
        self.register_buffer("shift", torch.zeros(channels, 1, 1))

    def fit(self, pipeline: Pipeline) -> None:
        """Set factor and shift, in double precision, for what the pipeline prepares."""
        M, S = pipeline.mean.double().cpu(), pipeline.std.double().cpu()
        mean, std = (
            torch.tensor(v, dtype=torch.float64) for v in (self.stated.mean, self.stated.std)
        )
        if len(mean) not in (1, len(M)) or len(std) not in (1, len(M)):
            raise ValueError(f"mean has {len(mean)} and std {len(std)} numbers; need {len(M)} each")
        self.get_buffer("factor").copy_((S / (255 * std)).view(-1, 1, 1))
        self.get_buffer("shift").copy_(((M / 255 - mean) / std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.get_buffer("factor") + self.get_buffer("shift")
        if self.stated.size:
            x = F.interpolate(x, self.stated.size, mode="bilinear", antialias=True)
        return self.network(x)


def bare(model: nn.Module) -> tuple[nn.Module, Preprocessing]:
    """Return a network without its preprocessing, and that."""
    if isinstance(model, Preprocessed):
        return model.network, model.stated
    return model, Preprocessing()
