"""U-LiRA: has the example been unlearned, or was it never there? (Hayes et al. 2024, "Inexact
Unlearning Needs More Careful Evaluations to Avoid a False Sense of Privacy", arXiv 2403.01218).

    score = log N(margin; mean_in, deviation_in^2) - log N(margin; mean_out, deviation_out^2),

`in`: over shadow models trained on the example, from which the method under audit then unlearned
it; `out`: over those that never had it, from which the method unlearned others. With shadow models
as trained in place of unlearned ones this is online LiRA (arXiv 2112.03570). The model attacked is
none of the shadow models, so none is left out.
"""

from __future__ import annotations

import numpy as np

from sgu.metrics.shadow.evidence import Evidence
from sgu.metrics.shadow.gaussian import fitted, log_density


def u_lira(seen: Evidence) -> np.ndarray:
    """(n,), higher = more like a member that was unlearned."""
    sides = [fitted(seen.shadows, chosen) for chosen in (seen.inside, ~seen.inside)]
    within, without = (log_density(seen.target, *side) for side in sides)
    return within - without
