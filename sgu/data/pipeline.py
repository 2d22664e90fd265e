"""The way from stored to network inputs, on the device, batch by batch, without workers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sgu.host.devices import to_device

SHIFT = 2  # augmentation: a crop moves by up to this many pixels each way
COUNTED = 1 << 22  # pixels whose statistics are taken at a time


def check_stated(mean: Any, std: Any) -> tuple[tuple[float, ...], ...]:
    """Return a stated mean and std of pixels in 0..1, by channel; empty if neither is stated.

    Raises ValueError for one without the other, and for what no pixels have.
    """
    m, s = (() if v is None else tuple(np.asarray(v, float).ravel().tolist()) for v in (mean, std))
    if bool(m) != bool(s):
        raise ValueError(f"mean = {m}, std = {s}: state both, or neither")
    if not all(0 <= value <= 1 for value in m):
        raise ValueError(f"mean = {m}: must be 0..1, as of pixels in 0..1: divide it by 255")
    if not all(value > 0 for value in s):
        raise ValueError(f"std = {s}: must be > 0")
    return (m, s) if m else ()


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The preparation of stored inputs for a network.

    mean, std: of images, float32 (C,), in units of a pixel's 0..255; empty for inputs that are
    handed on as they are. channels_last: the memory layout of images.
    """

    mean: Tensor
    std: Tensor
    channels_last: bool = True

    @classmethod
    def of(cls, inputs: Tensor) -> "Pipeline":
        """Return the pipeline with the channel statistics of images, uint8 (N, C, H, W), or for
        tokens (N, L), which have none.

        Images mapped from a file larger than memory are read part by part.
        """
        if inputs.ndim == 2:
            return cls(torch.empty(0), torch.empty(0))
        counts = _counts(inputs)
        levels = torch.arange(256, dtype=torch.float64, device=inputs.device)
        share = counts.double() / counts.sum(1, keepdim=True)
        mean = share @ levels
        std = (share @ levels**2 - mean**2).clamp(min=1e-6).sqrt()
        return cls(mean.float(), std.float())

    @classmethod
    def stated(
        cls, inputs: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None
    ) -> "Pipeline":
        """Return the pipeline of data of one's own, (N, ...), whose layout a network relies on.

        mean, std: of uint8 inputs, per channel of 0..1, as torchvision's Normalize takes them; both
        None: 0..1. Floats and tokens are handed on as they are, and take none.
        """
        if inputs.dtype != torch.uint8:
            if mean is not None or std is not None:
                raise ValueError(
                    f"mean and std are for uint8 or PIL images, the data are {inputs.dtype}: leave "
                    "them out"
                )
            return cls(torch.empty(0), torch.empty(0), channels_last=False)
        centre, scale = map(torch.tensor, check_stated(mean, std) or ((0.0,), (1.0,)))
        for name, values in (("mean", centre), ("std", scale)):
            if len(values) not in (1, inputs.shape[1]):
                raise ValueError(
                    f"{name} has {len(values)} numbers; need one, or one for each of "
                    f"{inputs.shape[1]} channels"
                )
        return cls(255 * centre, 255 * scale, channels_last=False)

    def to(self, device: torch.device) -> "Pipeline":
        """Return the pipeline with its statistics on `device`."""
        mean, std = (to_device(values, device) for values in (self.mean, self.std))
        return replace(self, mean=mean, std=std)

    def prepare(self, inputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return bytes (n, C, ...) as float32 standardised by channel, tokens as int64, and floats
        as they are.

        generator: flips and shifts each image (n, C, H, W) at random; None leaves them as they are.
        Raises ValueError for other inputs than images with a generator.
        """
        if generator is not None:
            if inputs.ndim != 4:
                raise ValueError("augment = True: texts cannot be flipped or shifted: turn it off")
            inputs = _augmented(inputs, generator)
        if inputs.dtype != torch.uint8:
            return inputs if inputs.is_floating_point() else inputs.long()
        return self.standardised(inputs)

    def standardised(self, inputs: Tensor) -> Tensor:
        """Return pixels 0..255 of any type, (n, C, ...), as float32 standardised by channel."""
        each = (-1, *[1] * (inputs.ndim - 2))
        mean, std = (to_device(s.view(each), inputs.device) for s in (self.mean, self.std))
        prepared = (inputs.float() - mean) / std
        if self.channels_last:
            return prepared.contiguous(memory_format=torch.channels_last)
        return prepared

    def described(self, inputs: Tensor) -> str:
        """Return in words what a network sees of stored inputs (N, ...)."""
        form = f"{str(inputs.dtype).removeprefix('torch.')} {tuple(inputs.shape[1:])}"
        if inputs.dtype != torch.uint8:
            return f"{form}, as the data yield them"
        mean, std = (
            ", ".join(f"{value / 255:.4f}" for value in values.tolist())
            for values in (self.mean, self.std)
        )
        return f"{form}, as (x / 255 - mean) / std with mean {mean}, std {std}"


def _counts(images: Tensor) -> Tensor:
    """Return how often each channel has each level, int64 (C, 256)."""
    channels = images.shape[1]
    counts = torch.zeros(channels, 256, dtype=torch.int64, device=images.device)
    for part in images.split(max(1, COUNTED // images[0].numel())):
        for count, channel in zip(counts, part.unbind(1), strict=True):
            count += channel.flatten().bincount(minlength=256)
    return counts


def _augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Flip each image with probability 1/2 and shift it by up to SHIFT pixels, edges mirrored.

    Measured on one CPU core: .22 ms for 128 images of 32x32; an index for each dimension takes 1.7.
    """
    n, _, height, width = images.shape
    shift = torch.randint(-SHIFT, SHIFT + 1, (2, n, 1), generator=generator)
    flip = torch.randint(0, 2, (n, 1), generator=generator)
    rows = _mirrored(torch.arange(height) + shift[0], height)
    columns = _mirrored(torch.arange(width) + shift[1], width)
    columns = torch.where(flip == 1, width - 1 - columns, columns)
    rows, columns = to_device(rows, images.device), to_device(columns, images.device)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, -1)
    flat = images.flatten(2)
    return flat.gather(2, pixels.expand_as(flat)).view_as(images)


def _mirrored(position: Tensor, size: int) -> Tensor:
    """Return positions with those beyond 0..size-1 reflected at the border."""
    return (size - 1) - ((size - 1) - position.abs()).abs()
