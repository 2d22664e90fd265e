"""What a study judges its trials by: attacks with shadow models, and residual memory.

The shadow models of a study (`designs.selection_shadows`) are trained on retain and half of forget,
and on no held-out image. So the same models attack forget against val, to select by, and forget
against test, to report. A held-out example is outside for all of them, and a forgotten one for
half: to be as uncertain of both, one network of each pair counts for each held-out example.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sgu.ensembles.designs import Shadows
from sgu.evaluation import Logits
from sgu.metrics.evaluate import Metrics
from sgu.metrics.rates import auc
from sgu.metrics.scored import Scored
from sgu.metrics.shadow import Pool, lira, margins
from sgu.metrics.shadow.rmia import likelihood_ratio
from sgu.results.verdicts import SELECTION, References, residual_memory
from sgu.task import Task

AGAINST = {"val": "val_", "test": ""}
"""The prefix of an attack's metrics by the split that forget is told from."""


@dataclass(frozen=True, eq=False)
class ShadowMargins:
    """Margins under each of K shadow models: of forget (K, m), and of the examples of forget's
    classes in val and in test, by split, (K, n). inside (K, m) bool: trained on the example;
    outside, by split, (K, n) bool: counts as not trained on it."""

    forget: np.ndarray
    heldout: Mapping[str, np.ndarray]
    inside: np.ndarray
    outside: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, design: Shadows, trained: Sequence[Logits], task: Task) -> ShadowMargins:
        """Return the margins under the design's networks, `trained`, in its order."""
        answers = [logits.scored(task, ("forget", *AGAINST)) for logits in trained]
        peers = [{split: _peers(scored, split) for split in AGAINST} for scored in answers]
        heldout = {split: np.stack([_margins(p[split]) for p in peers]) for split in AGAINST}
        rng = np.random.default_rng(len(trained))
        return cls(
            forget=np.stack([_margins(scored["forget"]) for scored in answers]),
            heldout=heldout,
            inside=design.inside,
            outside={split: one_of_each_pair(values, rng) for split, values in heldout.items()},
        )

    def attacked(self, scored: Mapping[str, Scored]) -> Metrics:
        """Return the areas of RMIA and LiRA against a model, for each held-out split scored."""
        metrics = Metrics()
        for split, prefix in AGAINST.items():
            if split in scored:
                pool = self._pool(scored["forget"], _peers(scored, split), split)
                metrics[f"{prefix}rmia_auc"] = auc(likelihood_ratio(pool), pool.members)
                metrics[f"{prefix}lira_auc"] = auc(lira(pool), pool.members)
        return metrics

    def _pool(self, forget: Scored, peers: Scored, split: str) -> Pool:
        nowhere = np.zeros_like(self.outside[split])
        return Pool(
            target=np.concatenate([_margins(forget), _margins(peers)]),
            shadows=np.concatenate([self.forget, self.heldout[split]], axis=1),
            inside=np.concatenate([self.inside, nowhere], axis=1),
            outside=np.concatenate([~self.inside, self.outside[split]], axis=1),
            members=np.repeat([True, False], [len(forget), len(peers)]),
        )


@dataclass(frozen=True, eq=False)
class Selection:
    """Measures of a task's models beyond their own answers. forgotten: examples of forget; shadows,
    references: None gives no attacks with shadow models, or no residual memory."""

    forgotten: int
    shadows: ShadowMargins | None = None
    references: References | None = None

    def metrics(self, scored: Mapping[str, Scored], measured: Metrics) -> Metrics:
        """Return val_rmia_auc, val_lira_auc and val_residual, and against test rmia_auc and
        lira_auc if it is scored. measured: the metrics of the answers.

        A model that has met a part of its requests only is judged on other examples: it has none.
        """
        if len(scored["forget"]) != self.forgotten:
            return {}
        metrics = self.shadows.attacked(scored) if self.shadows else Metrics()
        return metrics | self.residual(measured | metrics)

    def residual(self, metrics: Metrics) -> Metrics:
        """Return val_residual, |mean rho| over the primary metrics of a study."""
        if self.references is None:
            return {}
        rho = residual_memory(metrics, self.references, SELECTION, forgotten=self.forgotten)
        return {} if rho is None else {"val_residual": abs(rho)}


def _peers(scored: Mapping[str, Scored], split: str) -> Scored:
    return scored[split].of_classes(scored["forget"].targets)


def _margins(scored: Scored) -> np.ndarray:
    return margins(scored.logits, scored.targets)


def one_of_each_pair(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a mask (2 P, n) with one network of each pair for each example."""
    first = rng.random((len(values) // 2, values.shape[1])) < 0.5
    return np.stack([first, ~first], axis=1).reshape(values.shape)
