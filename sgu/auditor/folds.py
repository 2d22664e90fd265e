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


def draw_folds(
    counts: Tensor, folds: int, heldout_share: float, generator: torch.Generator
) -> Folds:
    """Draw a stratified shuffle split of every group, `folds` times.

    counts: (groups,) examples a side; the indices of a side go through it group by group.
    Raises ValueError where a group is too small to be both fitted and judged.
    """
    if int(counts.min()) < 2:
        raise ValueError(
            f"a group has {int(counts.min())} examples a side; need >= 2 to fit and judge an "
            "auditor: raise audit_batch, or forget more"
        )
    held = (counts * heldout_share).round().long().clamp(min=1).minimum(counts - 1)
    slot = torch.arange(int(counts.max()))
    keys = torch.rand(2, folds, len(counts), len(slot), generator=generator)
    order = keys.masked_fill(slot >= counts[:, None], 2.0).argsort(-1)  # padding sorts last
    side = torch.arange(2).view(2, 1, 1, 1) * counts.sum()
    indices = order + side + (counts.cumsum(0) - counts)[:, None]

    def cut(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        place = torch.arange(int(count.max())).expand(len(counts), -1)
        used = (place < count[:, None]).expand(2, folds, -1, -1)
        at = (first[:, None] + place).clamp(max=len(slot) - 1).expand(2, folds, -1, -1)
        drawn = torch.where(used, indices.gather(-1, at), 0)
        problems = len(counts) * folds
        return tuple(t.movedim(0, 2).reshape(problems, -1) for t in (drawn, used))  # type: ignore

    judged, judged_used = cut(torch.zeros_like(held), held)
    fitted, fitted_used = cut(held, counts - held)
    return Folds(fitted, fitted_used, judged, judged_used)
