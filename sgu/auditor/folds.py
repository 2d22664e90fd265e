"""The examples that each auditor problem is fitted on, and those it is judged on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Folds:
    """Indices into a round's examples, members first, then as many non-members.

    fitted: (problems, n) and judged: (problems, k); the masks `fitted_used` and `judged_used` tell
    indices from padding. Problems are ordered (fold, group).
    """

    fitted: Tensor
    fitted_used: Tensor
    judged: Tensor
    judged_used: Tensor


def shuffle_splits(
    counts: Tensor, folds: int, heldout_share: float, generator: torch.Generator
) -> Folds:
    """Draw a stratified shuffle split of every group, `folds` times: a share is judged, some twice.

    counts: (groups,) examples a side; the indices of a side go through it group by group.
    Raises ValueError where a group is too small to be both fitted and judged.
    """
    held = (counts * heldout_share).round().long().clamp(min=1).minimum(counts - 1)
    return _drawn(counts, torch.zeros_like(held)[None], held[None], folds, generator)


def cross_fits(counts: Tensor, folds: int, repeats: int, generator: torch.Generator) -> Folds:
    """Draw a stratified partition of every group into folds, `repeats` times: in each, every
    example is judged once, by an auditor fitted on the other folds.

    counts: as of `shuffle_splits`, with its error. A group of fewer examples a side than folds has
    some folds with none to judge.
    """
    ends = counts * torch.arange(folds + 1)[:, None] // folds  # (folds + 1, groups)
    return _drawn(counts, ends[:-1], ends.diff(dim=0), repeats, generator)


def _drawn(
    counts: Tensor, first: Tensor, held: Tensor, orders: int, generator: torch.Generator
) -> Folds:
    """Return folds in `orders` random orders of every group: the places from `first` on, `held` of
    them, (cuts, groups) each, are judged, and those after them, in a circle, fitted."""
    if int(counts.min()) < 2:
        raise ValueError(
            f"a group has {int(counts.min())} examples a side; need >= 2 to fit and judge an "
            "auditor: raise audit_batch, or forget more"
        )
    slot = torch.arange(int(counts.max()))
    keys = torch.rand(2, orders, len(counts), len(slot), generator=generator)
    order = keys.masked_fill(slot >= counts[:, None], 2.0).argsort(-1)  # padding sorts last
    side = torch.arange(2).view(2, 1, 1, 1) * counts.sum()
    indices = (order + side + (counts.cumsum(0) - counts)[:, None])[:, :, None]
    shape = (2, orders, *first.shape)

    def cut(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        place = torch.arange(int(count.max()))
        used = (place < count[..., None]).expand(*shape, -1)
        at = ((first[..., None] + place) % counts[:, None]).expand(*shape, -1)
        drawn = torch.where(used, indices.expand(*shape, -1).gather(-1, at), 0)
        return tuple(t.movedim(0, 3).reshape(-1, 2 * len(place)) for t in (drawn, used))  # type: ignore

    judged, judged_used = cut(first, held)
    fitted, fitted_used = cut(first + held, counts - held)
    return Folds(fitted, fitted_used, judged, judged_used)
