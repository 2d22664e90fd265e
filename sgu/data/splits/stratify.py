"""Indices into a data set, drawn at random class by class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def stratified_split(
    targets: Tensor, shares: Sequence[float], generator: torch.Generator, part: str
) -> list[Tensor]:
    """Split the indices into targets (N,) at random by `shares`, class by class; parts ascend.

    part: its name in errors. Raises ValueError if a class is too small for the shares.
    """
    pieces: list[list[Tensor]] = [[] for _ in shares]
    for label in targets.unique().tolist():
        indices = torch.where(targets == label)[0]
        indices = indices[torch.randperm(len(indices), generator=generator)]
        ends = [round(sum(shares[: i + 1]) * len(indices)) for i in range(len(shares))]
        sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        if min(sizes) < 1:
            raise ValueError(
                f"{part} has {len(indices)} examples of class {label}, too few for shares "
                f"{tuple(round(share, 4) for share in shares)}: use more data or larger shares"
            )
        for piece, chosen in zip(pieces, indices.split(sizes), strict=True):
            piece.append(chosen)
    return [merged(piece) for piece in pieces]


def stratified_share(
    targets: Tensor, indices: Tensor, fraction: float, generator: torch.Generator
) -> Tensor:
    """Draw a random `fraction` of each class among `indices`, ascending; never a whole class."""
    parts = stratified_split(targets[indices], (1 - fraction, fraction), generator, "train")
    return indices[parts[1]]


def deal(targets: Tensor, indices: Tensor, parts: int, generator: torch.Generator) -> list[Tensor]:
    """Deal `indices` (n,) into targets (N,) at random to `parts` ascending parts.

    Parts are equal in size and in each class (+- 1). Raises ValueError if one would be empty.
    """
    if not 1 <= parts <= len(indices):
        raise ValueError(
            f"requests = {parts}: must be 1..{len(indices)}, at least one example in each"
        )
    indices = indices[torch.randperm(len(indices), generator=generator)]
    indices = indices[targets[indices].argsort(stable=True)]
    return [indices[first::parts].sort().values for first in range(parts)]


def indices_of_classes(targets: Tensor, classes: Sequence[int]) -> Tensor:
    return torch.where(torch.isin(targets, torch.tensor(list(classes))))[0]


def merged(parts: Sequence[Tensor]) -> Tensor:
    """Return the indices of all parts, ascending."""
    return torch.cat(list(parts)).sort().values
