"""Per-example attacks with shadow models, by name, and their results for a model.

They learn nothing from the model they attack: given the shadow models, an example's score is a
formula, so intervals are those of the bootstrap without widening (see `attacks.judging`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sgu.metrics.attacks import Judged, Record
from sgu.metrics.shadow.evidence import Evidence, Pool, margins
from sgu.metrics.shadow.klom import Klom, Spread
from sgu.metrics.shadow.lira import lira, u_lira
from sgu.metrics.shadow.rmia import rmia

SHADOW_ATTACKS: dict[str, Callable[[Evidence], np.ndarray]] = {
    "rmia": rmia,
    "lira": lira,
    "u_lira": u_lira,
}


def shadow_report(name: str, evidence: Evidence) -> Record:
    """Return the results of an attack, forget against test, with intervals."""
    return judged(SHADOW_ATTACKS[name](evidence), evidence.members).record(name)


def judged(scores: np.ndarray, members: np.ndarray) -> Judged:
    """Return scores (n,) of equally many members and others, none of which was fitted. Half of the
    pool are members, so the higher-scoring half is called members, without any label."""
    called, one_fold = scores > np.median(scores), np.zeros(len(scores), int)
    indices = np.concatenate([np.arange(members.sum())] * 2)
    return Judged(scores, called, members, one_fold, indices, widen=1.0)
