"""From stored to network images, on the device, batch by batch; there are no worker processes."""

from dataclasses import dataclass

import torch
from torch import Tensor

SHIFT = 2  # augmentation: a crop moves by up to this many pixels each way


@dataclass(frozen=True, eq=False)
class Pipeline:
    """From stored to network images. mean, std: float32 (C,), in units of a pixel's 0..255."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, images: Tensor) -> "Pipeline":
        """With the channel statistics of images, uint8 (N, C, H, W)."""
        counts = torch.stack(
            [channel.flatten().bincount(minlength=256) for channel in images.unbind(1)]
        )
        levels = torch.arange(256, dtype=torch.float64, device=images.device)
        share = counts.double() / counts.sum(1, keepdim=True)
        mean = share @ levels
        std = (share @ levels**2 - mean**2).clamp(min=1e-6).sqrt()
        return cls(mean.float(), std.float())

    def prepare(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """images, uint8 (n, C, H, W), as float32 of mean 0 and deviation 1.

        generator: flips and shifts each image at random; None leaves them as they are.
        """
        if generator is not None:
            images = _moved(images, generator)
        mean, std = (s.to(images.device).view(1, -1, 1, 1) for s in (self.mean, self.std))
        prepared = (images.float() - mean) / std
        return prepared.contiguous(memory_format=torch.channels_last)


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image flipped with probability 1/2 and shifted by up to SHIFT pixels, edges mirrored."""
    n, channels, height, width = images.shape
    shift = torch.randint(-SHIFT, SHIFT + 1, (2, n, 1), generator=generator)
    flip = torch.randint(0, 2, (n, 1), generator=generator)
    rows = _mirrored(torch.arange(height) + shift[0], height)
    columns = _mirrored(torch.arange(width) + shift[1], width)
    columns = torch.where(flip == 1, width - 1 - columns, columns)
    rows, columns = rows.to(images.device), columns.to(images.device)
    image = torch.arange(n, device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(1, -1, 1, 1)
    return images[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _mirrored(position: Tensor, size: int) -> Tensor:
    """Positions beyond 0..size-1 reflected at the border."""
    return (size - 1) - ((size - 1) - position.abs()).abs()
