"""Per-example attacks with shadow models, by name, and what they find of a model.

They learn nothing from the model they attack: given the shadow models, an example's score is a
formula, and intervals are those of the bootstrap as they are (see `attacks.judging`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sgu.metrics.attacks import Judged, Record, record_of
from sgu.metrics.shadow.evidence import Evidence, margins
from sgu.metrics.shadow.klom import Klom, Spread
from sgu.metrics.shadow.lira import lira
from sgu.metrics.shadow.rmia import rmia
from sgu.metrics.shadow.u_lira import u_lira

__all__ = [
    "SHADOW_ATTACKS",
    "Evidence",
    "Klom",
    "Spread",
    "judged",
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
    """What an attack finds, forget against test, with intervals."""
    if name not in SHADOW_ATTACKS:
        raise ValueError(f"attack is {name!r}: must be one of {', '.join(SHADOW_ATTACKS)}")
    return record_of(judged(SHADOW_ATTACKS[name](seen), seen.members), name, "test", seed)


def judged(scores: np.ndarray, members: np.ndarray) -> Judged:
    """Scores (n,) that nothing was fitted for, of members and as many others. Half of the pool are
    members, so the half that scores higher is called members: no label is used for that."""
    called, everyone = scores > np.median(scores), np.zeros(len(scores), int)
    rows = np.concatenate([np.arange(members.sum())] * 2)
    return Judged(scores, called, members, everyone, rows, widen=1.0)
