"""The AUC of an attack on parts of forget: by class, by correctness, by memorisation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sgu.metrics.attacks import Judged, against_test
from sgu.metrics.intervals import Estimate
from sgu.metrics.scored import Scored

MIN_SIDE = 20
"""The fewest members or non-members of a slice: below, the interval of an AUC of .5 is +-.3."""

By = Literal["class", "correct"] | np.ndarray
Masks = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The attack on a part of forget; auc is None where `suppressed` gives a reason."""

    by: str
    name: str
    auc: Estimate | None
    suppressed: str | None
    members: int
    heldout: int


def slices(scored: Mapping[str, Scored], by: By, bins: int = 4) -> list[Slice]:
    """Return the AUC of the attack on the loss, cross-fitted over forget against test, by part.

    by: "class" or "correct", within which members and non-members are compared; or scores
    (forget,), of memorisation say, whose quantiles split forget into `bins` equal parts, each
    compared with all non-members. Raises ValueError for anything else.
    """
    members = scored["forget"]
    parts = list(_parts(by, members, scored["test"].of_classes(members.targets), bins))
    judged = against_test("loss", scored, "forget")
    criterion = by if isinstance(by, str) else "percentile"
    return [_slice(criterion, name, judged, masks) for name, masks in parts]


def _slice(by: str, name: str, judged: Judged, masks: Masks) -> Slice:
    """Return the judged examples that are in the masks of forget and of the held-out ones."""
    truth, chosen = judged.members, np.empty(len(judged.members), bool)
    for side, mask in zip((truth, ~truth), masks, strict=True):
        chosen[side] = mask[judged.indices[side]]
    members, heldout = int((chosen & truth).sum()), int((chosen & ~truth).sum())
    few = min(members, heldout) < MIN_SIDE
    reason = f"{members} members and {heldout} non-members; need {MIN_SIDE} of both"
    return Slice(
        by=by,
        name=name,
        auc=None if few else judged.auc(chosen),
        suppressed=reason if few else None,
        members=members,
        heldout=heldout,
    )


def _parts(by: By, members: Scored, heldout: Scored, bins: int) -> Iterator[tuple[str, Masks]]:
    """Yield the name and the masks of each part."""
    if isinstance(by, np.ndarray):
        everyone = np.ones(len(heldout), bool)
        for name, mask in _quantiles(by, len(members), bins):
            yield name, (mask, everyone)
    elif by == "class":
        for target in np.unique(members.targets).tolist():
            yield str(target), (members.targets == target, heldout.targets == target)
    elif by == "correct":
        for name, right in (("wrong", False), ("right", True)):
            yield name, (members.correct == right, heldout.correct == right)
    else:
        raise ValueError(f"by = {by!r}: must be class, correct, or scores of forget's examples")


def _quantiles(scores: np.ndarray, size: int, bins: int) -> Iterator[tuple[str, np.ndarray]]:
    if scores.shape != (size,) or not np.isfinite(scores).all():
        raise ValueError(
            f"by is {scores.dtype} {scores.shape}; need a finite score for each of forget's "
            f"{size} examples"
        )
    ranks = np.empty(size, int)
    ranks[np.argsort(scores, kind="stable")] = np.arange(size)
    for part in range(bins):
        name = f"{100 * part / bins:.0f}-{100 * (part + 1) / bins:.0f} %"
        yield name, ranks * bins // size == part
