"""The networks that an audit compares with: trained as far as they can be, the rest noted."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sgu.audit.relearn import Relearned, relearned, relearning
from sgu.auditor import AuditorError
from sgu.duration import to_go
from sgu.ensembles.designs import Shadows, oracles, originals, shadows, unlearned
from sgu.ensembles.evidence import evidence, klom, memorised
from sgu.ensembles.train import Run, ensemble
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.metrics import Record
from sgu.metrics.shadow import SHADOW_ATTACKS, Klom, shadow_report
from sgu.networks.recipe import Kind, Recipe
from sgu.networks.references import reference
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.training.loop import Diverged

FAILS = (Diverged, AuditorError, ValueError)
"""What training, unlearning or an attack raises where it breaks down."""
PLURAL: dict[str, str] = {"oracle": "oracles", "shadow": "shadow models", "start": "originals"}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Notes:
    """The lines of an audit's notes, none twice."""

    say: Say
    lines: list[str] = field(default_factory=list)

    def add(self, what: str, reason: object) -> None:
        line = f"{what}: {' '.join(str(reason).split())}"
        if line not in self.lines:
            self.lines.append(line)
            self.say(line)

    def progress(
        self, done: int, count: int, seconds: float, what: str = "networks trained"
    ) -> None:
        """Say how many networks are trained, and how long the rest will take."""
        self.say(f"{what}: {done} of {count}{to_go(done, count, seconds)}")


@dataclass(frozen=True)
class Group:
    """Networks that an audit needs together. by: the audited model as which they are unlearned."""

    kind: Kind
    by: str | None = None

    def __str__(self) -> str:
        name = "ensemble" if self.kind == "start" and self.by else PLURAL[self.kind]
        return f"{name} unlearned as {self.by}" if self.by else name


SHADOWS = Group("shadow")


@dataclass(frozen=True, eq=False)
class Networks:
    """The answers of retrained models (`oracles`), and of shadow models and originals, as trained
    and as unlearned like the models audited. seeds: of their trainings, by what they are;
    relearned: how soon each of the retrained models relearns forget; made_here: the models of which
    it is known how they were unlearned."""

    task: Task
    notes: Notes
    oracles: list[Logits]
    design: Shadows | None
    groups: Mapping[Group, list[Logits]]
    seeds: Mapping[str, list[int]]
    relearned: Sequence[Relearned] = ()
    made_here: Collection[str] = ()

    def unlearned_as(self, name: str) -> bool:
        """Return True if there are shadow models that were unlearned as the model `name` was."""
        return Group("shadow", name) in self.groups

    def attacks(self, name: str, logits: Logits) -> list[Record]:
        """Return what the attacks by shadow models find of an answer to everything."""
        records = []
        for attack in SHADOW_ATTACKS:
            trained = self.groups.get(Group("shadow", name) if attack == "u_lira" else SHADOWS)
            if self.design is None or trained is None:
                continue
            try:
                pool = evidence(logits, trained, self.design, self.task)
                records.append(shadow_report(attack, pool))
            except ValueError as error:
                self.notes.add(f"{attack} left out", error)
        return records

    def klom(self, name: str) -> Klom | None:
        """Return the KLoM of an audited model, if an ensemble was unlearned as it was."""
        ensemble = self.groups.get(Group("start", None if name == "original" else name))
        if ensemble is None or len(self.oracles) < 2:
            return None
        return klom(ensemble, self.oracles, self.task)

    def memorisation(self) -> np.ndarray | None:
        """Return the memorisation of each example of `design.forget`, (m,)."""
        if self.design is None or SHADOWS not in self.groups:
            return None
        return memorised(self.groups[SHADOWS], self.design, self.task)


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains what an audit compares with, as far as that can be trained."""

    task: Task
    cache: Path
    device: torch.device | None
    run: Run
    notes: Notes

    def networks(
        self,
        experiment: Experiment,
        count: int,
        shadow_count: int,
        known: Mapping[str, Experiment],
        level: float,
        with_klom: bool = True,
    ) -> Networks:
        """Return `count` retrained models, `shadow_count` shadow models, and for each model whose
        unlearning is known: the shadow models unlearned like it, and as many ensembles for
        KLoM.

        level: accuracy on forget at which the retrained models have relearned it.
        """
        task, groups = self.task, dict[Group, Sequence[Recipe]]()
        recipes = oracles(experiment, task, count)
        alive = self.retrained(recipes, level, experiment.seed)
        design = shadows(experiment, task, shadow_count // 2) if shadow_count else None
        if design is not None:
            groups[SHADOWS] = design.recipes
            groups |= {Group("shadow", k): design.unlearned(e, task) for k, e in known.items()}
        if with_klom and known and count > 1:
            groups[Group("start")] = originals(experiment, task, count)
            groups |= {Group("start", k): unlearned(e, task, count) for k, e in known.items()}
        if 0 < count != len(alive) < 2:
            self.notes.add("bands left out", f"{len(alive)} retrained models, a band takes 2")
        alive = alive if len(alive) > 1 else []
        seeds = _seeds({Group("oracle"): recipes} | groups)
        logits, again = [answer for answer, _ in alive], [steps for _, steps in alive]
        trained = self.trained(groups)
        return Networks(task, self.notes, logits, design, trained, seeds, again, known)

    def retrained(
        self, recipes: Sequence[Recipe], level: float, seed: int
    ) -> list[tuple[Logits, Relearned]]:
        """Return the answers of retrained models, and how soon each relearns forget. All are tried
        together; if that breaks down, one by one."""
        work = partial(
            _retrained, task=self.task, cache=self.cache, device=self.device, level=level, seed=seed
        )
        try:
            return list(self.counted(work, recipes))
        except FAILS:
            alive = list[tuple[Logits, Relearned]]()
        for number, recipe in enumerate(recipes, 1):
            try:
                alive += self.run(work, [recipe])
            except FAILS as error:
                self.notes.add(f"oracle {number} left out", error)
        return alive

    def trained(self, groups: Mapping[Group, Sequence[Recipe]]) -> dict[Group, list[Logits]]:
        """Return the groups that could be trained. All are tried together, as a training that
        several begin with is then done once; if that breaks down, one by one."""
        recipes = [recipe for group in groups.values() for recipe in group]
        try:
            answers = iter(self.ensemble(recipes))
            return {name: [next(answers) for _ in group] for name, group in groups.items()}
        except FAILS as error:
            if len(groups) > 1:
                alone = [self.trained({name: group}) for name, group in groups.items()]
                return {name: logits for group in alone for name, logits in group.items()}
            self.notes.add(f"{next(iter(groups))} left out", error)
            return {}

    def ensemble(self, recipes: Sequence[Recipe]) -> list[Logits]:
        return ensemble(recipes, self.task, self.cache, self.device, self.counted)

    def counted(self, work: Callable[..., Any], jobs: Sequence[Any]) -> Iterator[Any]:
        """Run the jobs, and say after each how many are done."""
        begin = time.perf_counter()
        for done, result in enumerate(self.run(work, jobs), 1):
            self.notes.progress(done, len(jobs), time.perf_counter() - begin)
            yield result


def _retrained(
    recipe: Recipe, task: Task, cache: Path, device: torch.device | None, level: float, seed: int
) -> tuple[Logits, Relearned]:
    """Return a retrained model's answers and how soon it relearns; its weights are kept, as those
    of the reference with another seed."""
    kept = replace(recipe, kind="retrain", forgotten=task.splits.digest)
    network = reference(kept, task, cache, device or default_device())
    again = relearned(network.model, task, relearning(recipe.model), level, seed)
    return Logits.of(network.model, task, network.seconds), again


def _seeds(groups: Mapping[Group, Sequence[Recipe]]) -> dict[str, list[int]]:
    """Return the seeds of the trainings; what is unlearned from one has its seed."""
    seeds: dict[str, list[int]] = {}
    for group, recipes in groups.items():
        if group.by is None:
            seeds.setdefault(PLURAL[group.kind], []).extend(recipe.seed for recipe in recipes)
    return seeds
