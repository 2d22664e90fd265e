"""Which networks an evaluation asks for: retrained, unlearned, and shadow models.

Shadow models: with forget F and as many test examples T, the pool is F u T, and network k is
trained on retain u S_k, S_k a random half of the pool. Halves come in pairs, one the complement of
the other, so that each example of the pool is inside for one network of each pair and outside for
the other; classes are dealt alike. So |S_k| = |F|: a shadow model is trained on as many
examples as the original and forgets as many. (Where test has fewer, F is thinned to them.) T is of
the classes of F, as in every attack: where a class is forgotten, an attack against all classes
would tell the class, not who was trained on. Audit examples are not in the pool: the game's auditor
takes them for non-members.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sgu.data.splits.stratify import deal, merged
from sgu.ensembles.member import Member
from sgu.experiment import Experiment
from sgu.networks.references import recipe
from sgu.task import Task

OWN_SEEDS = 2**30
"""An experiment's seed is below it, those of ensembles are not: so no member of an ensemble has the
seed of the reference that it is to be compared with."""


def seeds(kind: str, own: int, count: int) -> range:
    """`count` seeds that follow one another, from 2^30 + (sha256 of "kind own", modulo 2^29) on."""
    if not 0 <= own < OWN_SEEDS:
        raise ValueError(f"seed = {own}: must be 0..{OWN_SEEDS - 1} where there are ensembles")
    drawn = int(hashlib.sha256(f"{kind} {own}".encode()).hexdigest(), 16)
    first = OWN_SEEDS + drawn % 2**29
    return range(first, first + count)


def oracles(experiment: Experiment, task: Task, count: int = 3) -> list[Member]:
    """Retrained models: on the same retain, other seeds of the training."""
    return _trained("oracle", experiment, task, [task.splits.retain] * count)


def originals(experiment: Experiment, task: Task, count: int = 3) -> list[Member]:
    """Originals of other seeds: what `unlearned` starts from."""
    everything = torch.arange(len(task.source.train))
    return _trained("original", experiment, task, [everything] * count)


def unlearned(experiment: Experiment, task: Task, count: int = 3) -> list[Member]:
    """Originals of other seeds, from each of which forget is unlearned: for KLoM."""
    return [
        replace(member, kind="unlearned", experiment=experiment, splits=task.splits)
        for member in originals(experiment, task, count)
    ]


@dataclass(frozen=True, eq=False)
class Shadows:
    """Shadow models of 2 P halves of a pool of m forget and m test examples.

    members: as trained, (2 P,); forget (m,): rows of train; test (m,): rows of held-out;
    inside (2 P, 2 m) bool: whether a network was trained on an example, forget's first.
    """

    members: list[Member]
    forget: Tensor
    test: Tensor
    inside: np.ndarray

    def unlearned(self, experiment: Experiment, task: Task) -> list[Member]:
        """Each network after it has unlearned its half of the pool, in as many requests as the
        task has: for U-LiRA. Its training costs nothing when it is run with `members`."""
        count, made = len(task.splits.requests), []
        targets = _targets(task)
        for member in self.members:
            half = member.rows[~torch.isin(member.rows, task.splits.retain)]
            requests = deal(targets, half, count, torch.Generator().manual_seed(member.seed))
            splits = replace(task.splits, forget=half, requests=tuple(requests))
            made.append(replace(member, kind="u_shadow", experiment=experiment, splits=splits))
        return made


def shadows(experiment: Experiment, task: Task, pairs: int = 4) -> Shadows:
    """2 x `pairs` networks; each example of the pool is inside for half of them."""
    if pairs < 2:
        raise ValueError(f"pairs = {pairs}: must be >= 2, as a spread takes two networks a side")
    generator = torch.Generator().manual_seed(seeds("halves", experiment.seed, 1)[0])
    splits, targets, first = task.splits, _targets(task), len(task.source.train)
    peers = splits.test[torch.isin(targets[first + splits.test], targets[splits.forget])]
    size = min(len(splits.forget), len(peers))
    forget, test = (_some(rows, size, generator) for rows in (splits.forget, peers))
    pool = torch.cat([forget, first + test])
    halves = [half for _ in range(pairs) for half in deal(targets, pool, 2, generator)]
    inside = torch.stack([torch.isin(pool, half) for half in halves]).numpy()
    rows = [merged([splits.retain, half]) for half in halves]
    return Shadows(_trained("shadow", experiment, task, rows), forget, test, inside)


def _trained(kind: str, experiment: Experiment, task: Task, rows: list[Tensor]) -> list[Member]:
    """Trained by the recipe of the original, on other seeds."""
    made = recipe("original", experiment.model, task, experiment.seed, experiment.pretrain_epochs)
    return [
        Member(
            kind=kind,
            model=experiment.model,
            seed=seed,
            data_fingerprint=task.source.fingerprint,
            rows=chosen,
            optimisation=made.optimisation,
        )
        for seed, chosen in zip(seeds(kind, experiment.seed, len(rows)), rows, strict=True)
    ]


def _targets(task: Task) -> Tensor:
    """Of train and then held-out."""
    return torch.cat([part.targets.cpu() for part in (task.source.train, task.source.heldout)])


def _some(rows: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """`size` of the rows at random, ascending."""
    return rows[torch.randperm(len(rows), generator=generator)[:size]].sort().values
