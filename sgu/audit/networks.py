"""The networks that an audit compares with: trained as far as they can be, the rest noted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sgu.auditor import AuditorError
from sgu.ensembles import Member, Shadows, ensemble, oracles, originals, shadows, unlearned
from sgu.ensembles.evidence import evidence, klom, memorised
from sgu.ensembles.train import Run
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.metrics import Record
from sgu.metrics.shadow import Klom, shadow_report
from sgu.task import Task
from sgu.training.loop import Diverged

FAILS = (Diverged, AuditorError, ValueError)
"""What training, unlearning or an attack raises where it breaks down."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Notes:
    """What is said, kept once each."""

    say: Say
    lines: list[str] = field(default_factory=list)

    def add(self, what: str, reason: object) -> None:
        line = f"{what}: {' '.join(str(reason).split())}"
        if line not in self.lines:
            self.lines.append(line)
            self.say(line)


@dataclass(frozen=True, eq=False)
class Networks:
    """Retrained models; shadow models as trained, and for each method known as unlearned by it;
    ensembles that were unlearned, by the audited model's name, and of originals. seeds: of their
    trainings, by what they are."""

    task: Task
    notes: Notes
    oracles: list[Logits]
    design: Shadows | None
    shadows: list[Logits] | None
    u_shadows: Mapping[str, list[Logits]]
    ensembles: Mapping[str, list[Logits]]
    seeds: Mapping[str, list[int]]

    def attacks(self, name: str, logits: Logits) -> list[Record]:
        """What the attacks that have shadow models find of an answer to everything."""
        by = {"rmia": self.shadows, "lira": self.shadows, "u_lira": self.u_shadows.get(name)}
        found = []
        for attack, trained in by.items():
            if self.design is None or trained is None:
                continue
            try:
                seen = evidence(logits, trained, self.design, self.task)
                found.append(shadow_report(attack, seen))
            except ValueError as error:
                self.notes.add(f"{attack} left out", error)
        return found

    def klom(self, name: str) -> Klom | None:
        unlearned = self.ensembles.get(name)
        if unlearned is None or len(self.oracles) < 2:
            return None
        return klom(unlearned, self.oracles, self.task)

    def memorisation(self) -> np.ndarray | None:
        """Of each example of `design.forget`, (m,)."""
        if self.design is None or self.shadows is None:
            return None
        return memorised(self.shadows, self.design, self.task)


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains what an audit compares with, as far as that can be trained."""

    task: Task
    cache: Path
    device: torch.device | None
    run: Run
    notes: Notes

    def networks(
        self, experiment: Experiment, count: int, shadow_count: int, known: Mapping[str, Experiment]
    ) -> Networks:
        """`count` retrained models, so many shadow models, and for what is known of each model
        audited: the shadow models unlearned like it, and as many ensembles."""
        retrained = oracles(experiment, self.task, count)
        groups = {f"oracle {number}": [member] for number, member in enumerate(retrained, 1)}
        design = shadows(experiment, self.task, shadow_count // 2) if shadow_count else None
        if design is not None:
            groups["shadow models"] = design.members
            for name, own in known.items():
                groups[f"shadow models unlearned as {name}"] = design.unlearned(own, self.task)
        if known and count > 1:
            groups["originals"] = originals(experiment, self.task, count)
            for name, own in known.items():
                groups[f"ensemble unlearned as {name}"] = unlearned(own, self.task, count)
        found = self.trained(groups)
        alive = [logits[0] for name, logits in found.items() if name.startswith("oracle")]
        if 0 < count != len(alive) < 2:
            self.notes.add("bands left out", f"{len(alive)} retrained models, a band takes 2")
        ensembles = _named(found, "ensemble unlearned as ")
        if "originals" in found:
            ensembles["original"] = found["originals"]
        return Networks(
            task=self.task,
            notes=self.notes,
            oracles=alive if len(alive) > 1 else [],
            design=design,
            shadows=found.get("shadow models"),
            u_shadows=_named(found, "shadow models unlearned as "),
            ensembles=ensembles,
            seeds=_seeds(groups),
        )

    def trained(self, groups: Mapping[str, Sequence[Member]]) -> dict[str, list[Logits]]:
        """The groups that could be trained. All are tried together, as a training that several
        begin with is then done once; where that breaks down, one by one."""
        members = [member for group in groups.values() for member in group]
        try:
            found = iter(ensemble(members, self.task, self.cache, self.device, self.counted))
            return {name: [next(found) for _ in group] for name, group in groups.items()}
        except FAILS:
            alone = {name: self.attempt(name, group) for name, group in groups.items()}
            return {name: logits for name, logits in alone.items() if logits is not None}

    def attempt(self, name: str, group: Sequence[Member]) -> list[Logits] | None:
        try:
            return ensemble(group, self.task, self.cache, self.device, self.counted)
        except FAILS as error:
            self.notes.add(f"{name} left out", error)
            return None

    def counted(self, work: Callable[..., Any], jobs: Sequence[Any]) -> Iterator[Any]:
        """`run`, said as it goes."""
        for done, result in enumerate(self.run(work, jobs), 1):
            self.notes.say(f"networks trained: {done} of {len(jobs)}")
            yield result


def _seeds(groups: Mapping[str, Sequence[Member]]) -> dict[str, list[int]]:
    """Of the trainings; what is unlearned from one has its seed."""
    found: dict[str, list[int]] = {}
    for name, group in groups.items():
        kind = "oracles" if name.startswith("oracle ") else name
        if "unlearned" not in name:
            found.setdefault(kind, []).extend(member.seed for member in group)
    return found


def _named(found: Mapping[str, list[Logits]], prefix: str) -> dict[str, list[Logits]]:
    return {
        name.removeprefix(prefix): each for name, each in found.items() if name.startswith(prefix)
    }
