"""Rows of examples cut into parts, class by class, at random."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def cut(
    targets: Tensor, shares: Sequence[float], generator: torch.Generator, part: str
) -> list[Tensor]:
    """Disjoint, covering, ascending index tensors, one a share; each class is cut alike."""
    pieces: list[list[Tensor]] = [[] for _ in shares]
    for kind in targets.unique().tolist():
        rows = rows_of(targets == kind)
        rows = rows[torch.randperm(len(rows), generator=generator)]
        ends = [round(sum(shares[: i + 1]) * len(rows)) for i in range(len(shares))]
        sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        if min(sizes) < 1:
            raise ValueError(
                f"{part} has {len(rows)} examples of class {kind}, too few for shares "
                f"{tuple(round(share, 4) for share in shares)}: use more data or larger shares"
            )
        for piece, chosen in zip(pieces, rows.split(sizes), strict=True):
            piece.append(chosen)
    return [joined(piece) for piece in pieces]


def share_of(targets: Tensor, rows: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Of each class among the rows a random `fraction`, ascending; some of it is left."""
    shares = (1 - checked_fraction(fraction), fraction)
    return rows[cut(targets[rows], shares, generator, "train")[1]]


def deal(targets: Tensor, rows: Tensor, parts: int, generator: torch.Generator) -> list[Tensor]:
    """Rows (n,) at random in so many parts, of one size and with each class alike (+- 1).

    targets: (N,), of which rows are indices. Each part is ascending.
    """
    if not 1 <= parts <= len(rows):
        raise ValueError(f"requests = {parts}: must be 1..{len(rows)}, an example or more in each")
    rows = rows[torch.randperm(len(rows), generator=generator)]
    rows = rows[targets[rows].argsort(stable=True)]
    return [rows[first::parts].sort().values for first in range(parts)]


def of_classes(targets: Tensor, classes: Sequence[int]) -> Tensor:
    return rows_of(torch.isin(targets, torch.tensor(list(classes))))


def joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)).sort().values


def rows_of(mask: Tensor) -> Tensor:
    return mask.nonzero().squeeze(1)


def checked_fraction(fraction: float) -> float:
    if not 0 < fraction < 1:
        raise ValueError(f"fraction is {fraction}; need 0 < fraction < 1: give the share to forget")
    return fraction
