"""Evidence for attacks: what shadow models and ensembles answer on a task's examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import expit

from sgu.ensembles.designs import Shadows
from sgu.evaluation import Logits
from sgu.metrics.shadow import Evidence, Klom, margins
from sgu.metrics.shadow.klom import SPLITS, klom_of
from sgu.task import Task


def evidence(model: Logits, trained: Sequence[Logits], design: Shadows, task: Task) -> Evidence:
    """Return the evidence against a model, from the design's shadow models, in its order, as
    trained or as unlearned. The population is val: not test, which is in the pool, nor audit, which
    a game plays with."""
    if len(trained) != len(design.recipes):
        raise ValueError(f"{len(trained)} shadow models; the design has {len(design.recipes)}")
    val, heldout = task.splits.val, task.source.heldout.labels

    def population(logits: Logits) -> np.ndarray:
        return margins(logits.heldout[val].numpy(), heldout[val].numpy())

    return Evidence(
        target=of_pool(model, design, task),
        population=population(model),
        shadows=np.stack([of_pool(logits, design, task) for logits in trained]),
        shadow_population=np.stack([population(logits) for logits in trained]),
        inside=design.inside,
        outside=design.outside,
        members=np.repeat([True, False], len(design.forget)),
    )


def memorised(trained: Sequence[Logits], design: Shadows, task: Task) -> np.ndarray:
    """Return how much each of the pool's forget examples is memorised, (m,), at most 1: the mean
    p_y of the shadow models trained on it less that of the others, as `sgu.networks.memorisation`
    has it of networks of its own."""
    m = len(design.forget)
    p = expit(np.stack([of_pool(logits, design, task)[:m] for logits in trained]))
    inside = design.inside[:, :m]
    within = np.where(inside, p, 0).sum(0) / inside.sum(0)
    without = np.where(inside, 0, p).sum(0) / (~inside).sum(0)
    return within - without


def of_pool(model: Logits, design: Shadows, task: Task) -> np.ndarray:
    """Return the margins of the design's pool, (n,), forget's first."""
    sides = (task.source.train, design.forget), (task.source.heldout, design.test)
    targets = torch.cat([examples.labels[indices] for examples, indices in sides])
    logits = torch.cat([model.train[design.forget], model.heldout[design.test]])
    return margins(logits.numpy(), targets.numpy())


def klom(unlearned: Sequence[Logits], retrained: Sequence[Logits], task: Task) -> Klom:
    """Return KLoM of two ensembles, of two models or more each, of any seeds."""
    return klom_of(_margins(unlearned, task), _margins(retrained, task))


def _margins(networks: Sequence[Logits], task: Task) -> dict[str, np.ndarray]:
    """Return the margins (networks, n) of each split."""
    scored = [logits.scored(task, SPLITS) for logits in networks]
    return {
        split: np.stack([margins(one[split].logits, one[split].targets) for one in scored])
        for split in SPLITS
    }
