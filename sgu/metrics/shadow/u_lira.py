"""U-LiRA: has the example been unlearned, or was it never there? (Hayes et al. 2024, "Inexact
Unlearning Needs More Careful Evaluations to Avoid a False Sense of Privacy", arXiv 2403.01218).

    score = log N(margin; mean_in, deviation_in^2) - log N(margin; mean_out, deviation_out^2),

`in`: shadow models trained on the example, which the method under audit then unlearned from them;
`out`: those that never had it, from which the method unlearned others. With trained instead of
unlearned shadow models this is online LiRA (arXiv 2112.03570). The attacked model is no shadow
model, so none is left out.
"""

from __future__ import annotations

import numpy as np

from sgu.metrics.shadow.evidence import Evidence
from sgu.metrics.shadow.gaussian import fitted, log_density


def u_lira(evidence: Evidence) -> np.ndarray:
    """Return scores (n,), higher = more like a member that was unlearned."""
    sides = [fitted(evidence.shadows, chosen) for chosen in (evidence.inside, ~evidence.inside)]
    within, without = (log_density(evidence.target, *side) for side in sides)
    return within - without
