"""Per-example attacks with shadow models, by name, and what they find of a model.

They learn nothing from the model they attack: given the shadow models, an example's score is a
formula, and intervals are those of the bootstrap as they are (see `attacks.judging`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sgu.metrics.attacks import Judged, Record
from sgu.metrics.rates import LOW_FPR, f1, too_few
from sgu.metrics.shadow.evidence import Evidence, evidence, margins
from sgu.metrics.shadow.klom import Klom, Spread, klom
from sgu.metrics.shadow.lira import lira
from sgu.metrics.shadow.rmia import rmia
from sgu.metrics.shadow.u_lira import u_lira

__all__ = [
    "SHADOW_ATTACKS",
    "Evidence",
    "Klom",
    "Spread",
    "evidence",
    "klom",
    "lira",
    "margins",
    "rmia",
    "shadow_report",
    "u_lira",
]

SHADOW_ATTACKS: dict[str, Callable[[Evidence], np.ndarray]] = {
    "rmia": rmia,
    "lira": lira,
    "u_lira": u_lira,
}


def shadow_report(name: str, seen: Evidence, seed: int = 0) -> Record:
    """What an attack finds, forget against test. Half of the pool are members, so the half that
    scores higher is called members: no label is used for that."""
    if name not in SHADOW_ATTACKS:
        raise ValueError(f"attack is {name!r}: must be one of {', '.join(SHADOW_ATTACKS)}")
    return record_of(SHADOW_ATTACKS[name](seen), seen.members, name, seed)


def record_of(scores: np.ndarray, members: np.ndarray, attack: str, seed: int) -> Record:
    """Scores (n,) that nothing was fitted for, of members and as many others, as a record."""
    size, called = int(members.sum()), scores > np.median(scores)
    everyone, rows = np.zeros(len(scores), int), np.concatenate([np.arange(size)] * 2)
    judged = Judged(scores, called, members, everyone, rows, widen=1.0)
    acc = float((called == members).mean())
    reasons = {each: too_few(fpr, size) for each, fpr in LOW_FPR.items()}
    rates = {
        each: None if reasons[each] else judged.tpr_at(fpr, seed) for each, fpr in LOW_FPR.items()
    }
    return Record(
        attack=attack,
        against="test",
        acc=acc,
        auc=judged.auc(seed=seed),
        f1=f1(called, members),
        advantage=abs(2 * acc - 1),
        **rates,
        suppressed={each: reason for each, reason in reasons.items() if reason},
        members=size,
        heldout=size,
    )
