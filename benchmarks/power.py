"""What do verdicts see at the default study's sizes? `python benchmarks/power.py`.

Trains planted models, retrained with a share of forget left in; mixes answers, a retrained model's
with the original's on a share of forget; and tampers with answers. Counts how often each is called
what beside N retrained models, over random choices of those that were trained (the judged one is
never among them), by the metrics of a study and by those of an audit. Choices share models, so
that shares are of fewer independent cases than verdicts.

--simulate: beside that, draws metrics with the measured covariance of retrained models, and counts
how often an interval holds the truth, and a retrained model is accused.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from sgu.data.splits.stratify import merged, stratified_share
from sgu.ensembles.designs import Shadows, oracles, originals, seeds, selection_shadows, shadows
from sgu.ensembles.evidence import evidence
from sgu.ensembles.processes import processes
from sgu.ensembles.selection import ShadowMargins
from sgu.ensembles.train import Run, ensemble
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.metrics.evaluate import SELECTING, Metrics, loss_auc
from sgu.metrics.rates import auc
from sgu.metrics.shadow import SHADOW_ATTACKS, margins
from sgu.networks.recipe import Recipe
from sgu.networks.references import of_train
from sgu.results.verdicts import REPORTING, SELECTION, Judgement, References, judge
from sgu.task import Task

KEPT = (0.05, 0.1, 0.2, 0.35, 0.5)
SIZES = (3, 4, 6, 9)
DEFAULT = 6  # of the default study: 5 oracles and the retrained model
SIDES = {"study": SELECTION, "audit": REPORTING}
CALLS = ("like retrained", "remembers", "over-forgotten", "undecided", "none")


def planted(experiment: Experiment, task: Task, kept: float, count: int) -> list[Recipe]:
    """Return models retrained with that share of forget left in, each with another part of it."""
    whole = of_train("oracle", experiment.model, task.source, 0, experiment.pretrain_epochs)
    recipes = []
    for seed in seeds(f"planted {kept:g}", experiment.seed, count):
        generator = torch.Generator().manual_seed(seed)
        targets, forget = task.source.train.targets, task.splits.forget
        part = stratified_share(targets, forget, kept, generator)
        recipes.append(replace(whole, seed=seed, indices=merged([task.splits.retain, part])))
    return recipes


@dataclass(frozen=True, eq=False)
class Networks:
    """The answers of all networks of one seed of splits and trainings. helper: one more retrained
    model, which tampering may look at; copied: trained on retain with copies of forget in it, which
    is to be trained on all of train."""

    task: Task
    original: Logits
    helper: Logits
    retrained: list[Logits]
    planted: Mapping[float, list[Logits]]
    copied: list[Logits]
    study: ShadowMargins
    audit: tuple[Shadows, list[Logits]]

    @classmethod
    def trained(cls, experiment: Experiment, models: int, cache: Path, run: Run) -> Networks:
        task, few = experiment.task(cache), max(3, models // 3)
        half = models // 2
        groups = {"retrained": oracles(experiment, task, models - half, "study")}
        groups["retrained"] += oracles(experiment, task, half, "audit")
        groups |= {f"{kept:g}": planted(experiment, task, kept, few) for kept in KEPT}
        study, audit = selection_shadows(experiment, task), shadows(experiment, task)
        groups |= {"study": study.recipes, "audit": audit.recipes}
        groups["copied"] = originals(experiment, task, 4)
        recipes = [recipe for group in groups.values() for recipe in group]
        answers = iter(ensemble(recipes, task, cache, run=run))
        logits = {name: [next(answers) for _ in group] for name, group in groups.items()}
        original, helper = (
            Logits.of(experiment.reference(kind, task, cache).model, task)
            for kind in ("original", "retrain")
        )
        return cls(
            task=task,
            original=original,
            helper=helper,
            retrained=logits["retrained"],
            planted={kept: logits[f"{kept:g}"] for kept in KEPT},
            copied=logits["copied"],
            study=ShadowMargins.of(study, logits["study"], task),
            audit=(audit, logits["audit"]),
        )

    def measured(self, logits: Logits) -> Metrics:
        """Return the primary metrics of a study and of an audit."""
        scored, (design, trained) = logits.scored(self.task), self.audit
        pool = evidence(logits, trained, design, self.task)
        areas = {f"{a}_auc": auc(SHADOW_ATTACKS[a](pool), pool.members) for a in ("rmia", "lira")}
        attacked = self.study.attacked({split: scored[split] for split in SELECTING})
        forget, val, test = (scored[split] for split in (*SELECTING, "test"))
        losses = {"val_loss_auc": loss_auc(forget, val), "loss_auc": loss_auc(forget, test)}
        answers = {"forget_acc": forget.acc, "retain_acc": scored["retain"].acc}
        return answers | losses | attacked | areas

    def mixed(self, kept: float) -> list[Logits]:
        """Return the answers of each retrained model, but the original's on a share of forget."""
        targets, forget, models = self.task.source.train.targets, self.task.splits.forget, []
        for number, model in enumerate(self.retrained):
            generator = torch.Generator().manual_seed(number)
            part = stratified_share(targets, forget, kept, generator)
            train = model.train.clone()
            train[part] = self.original.train[part]
            models.append(Logits(train, model.heldout))
        return models

    def tampered(self) -> dict[str, list[Logits]]:
        """Return answers tampered with, of the original and of models that keep half."""
        models: dict[str, list[Logits]] = {}
        for name, known in {"original": [self.original], "50 %": self.planted[0.5]}.items():
            for tampering, tamper in TAMPERINGS.items():
                models[f"{name}, {tampering}"] = [tamper(model, self) for model in known]
        return models


def temperature(model: Logits, _: Networks) -> Logits:
    """Return answers that are less sure."""
    return Logits(model.train / 4, model.heldout / 4)


def labels_only(model: Logits, _: Networks) -> Logits:
    """Return labels alone, as probabilities near 0 and 1."""
    train, heldout = (
        10.0 * F.one_hot(logits.argmax(1), logits.shape[1])
        for logits in (model.train, model.heldout)
    )
    return Logits(train, heldout)


def remapped(model: Logits, networks: Networks) -> Logits:
    """Return answers whose margins on forget are a retrained model's, in the model's own order."""
    rows = networks.task.splits.forget
    targets = networks.task.source.train.targets[rows]
    ours, theirs = (
        margins(m.train[rows].numpy(), targets.numpy()) for m in (model, networks.helper)
    )
    moved = np.sort(theirs)[ours.argsort().argsort()] - ours
    train = model.train.clone()
    train[rows, targets] += torch.from_numpy(moved).float()
    return Logits(train, model.heldout)


def swapped(model: Logits, networks: Networks) -> Logits:
    """Return answers with the two highest logits swapped for so many right answers on forget, at
    random, that a retrained model's accuracy is left."""
    rows = networks.task.splits.forget
    targets = networks.task.source.train.targets[rows]
    right, theirs = (m.train[rows].argmax(1) == targets for m in (model, networks.helper))
    wrong = max(0, int(right.sum() - theirs.sum()))
    order = torch.randperm(int(right.sum()), generator=torch.Generator().manual_seed(0))
    chosen = rows[right][order[:wrong]]
    train, top = model.train.clone(), model.train[chosen].topk(2).indices
    train[chosen[:, None], top] = model.train[chosen[:, None], top.flip(1)]
    return Logits(train, model.heldout)


TAMPERINGS = {
    "temperature 4": temperature,
    "labels only": labels_only,
    "margins remapped": remapped,
    "top logits swapped": swapped,
}


@dataclass(frozen=True, eq=False)
class Case:
    """Models of one kind, each with the retrained ones that it is judged beside, as metrics."""

    models: list[tuple[Metrics, list[Metrics]]]
    original: Metrics
    forgotten: int
    classes: int

    def judgements(self, primary: Sequence[str], size: int, choices: int) -> Iterator[Judgement]:
        """Yield the verdict on each model beside random choices of `size` retrained ones."""
        rng = np.random.default_rng(size)
        sizes = {"forgotten": self.forgotten, "classes": self.classes}
        for model, others in self.models:
            for chosen in _choices(len(others), size, choices, rng):
                retrained = [others[k] for k in chosen]
                references = References(original=self.original, retrained=retrained)
                yield judge([model], [references], primary, **sizes)


def _choices(count: int, size: int, most: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return all choices of `size` out of `count`, or `most` of them at random."""
    if comb(count, size) <= most:
        return list(combinations(range(count), size))
    return [tuple(rng.permutation(count)[:size].tolist()) for _ in range(most)]


def cases(networks: Networks) -> dict[str, Case]:
    """Return what is judged, by name. No model is beside itself, nor a mixture beside its own."""
    kinds = {f"{100 * kept:.0f} % kept": models for kept, models in networks.planted.items()}
    kinds |= {"original": [networks.original]} | networks.tampered()
    copied = [networks.measured(model) for model in networks.copied]
    retrained = [networks.measured(model) for model in networks.retrained]
    others = [retrained[:k] + retrained[k + 1 :] for k in range(len(retrained))]
    judged = {"0 % kept": list(zip(retrained, others, strict=True))}
    for name, models in kinds.items():
        judged[name] = [(networks.measured(model), retrained) for model in models]
    for kept in KEPT:
        mixed = [networks.measured(model) for model in networks.mixed(kept)]
        judged[f"{100 * kept:.0f} % mixed in"] = list(zip(mixed, others, strict=True))
    judged["copies of forget in retain"] = [(metrics, retrained) for metrics in copied]
    judged["the same, beside such models"] = [
        (metrics, copied[:k] + copied[k + 1 :]) for k, metrics in enumerate(copied)
    ]
    original, classes = networks.measured(networks.original), networks.task.source.num_classes
    forgotten = len(networks.task.splits.forget)
    return {name: Case(models, original, forgotten, classes) for name, models in judged.items()}


def jointly(by_seed: Sequence[Mapping[str, Case]], choices: int) -> None:
    """Print how often each kind of model is called what."""
    for side, primary in SIDES.items():
        print(f"\n{side}: joint verdicts, % ({', '.join(primary)})")
        print(f"{'':36}{'N':>3}{'models':>8}" + "".join(f"{call:>16}" for call in CALLS))
        for name in by_seed[0]:
            for size in SIZES:
                called = [
                    str(judged.verdict or "none")
                    for seed in by_seed
                    for judged in seed[name].judgements(primary, size, choices)
                ]
                if called:
                    models = sum(len(seed[name].models) for seed in by_seed)
                    print(f"{name:36}{size:3}{models:8}{_shares(Counter(called))}", flush=True)


def by_metric(by_seed: Sequence[Mapping[str, Case]], choices: int) -> None:
    """Print the mean residual memory by each metric, and how often it alone is called what."""
    for side, primary in SIDES.items():
        print(f"\n{side}, N = {DEFAULT}: each metric alone, %")
        print(f"{'':36}{'metric':>14}{'mean':>6}" + "".join(f"{call:>16}" for call in CALLS[:-1]))
        for name in by_seed[0]:
            judged = [
                judgement.by_metric
                for seed in by_seed
                for judgement in seed[name].judgements(primary, DEFAULT, choices)
            ]
            for metric in ("joint", *primary) if any(judged) else ():
                found = [residuals[metric] for residuals in judged if metric in residuals]
                if found:
                    mean = 100 * np.mean([residual.value for residual in found])
                    counts = Counter(str(residual.verdict) for residual in found)
                    print(f"{name:36}{metric:>14}{mean:6.0f}" + _shares(counts, CALLS[:-1]))


def _shares(counts: Mapping[str, int], calls: Sequence[str] = CALLS) -> str:
    total = sum(counts.values())
    return "".join(f"{100 * counts.get(call, 0) / total:16.1f}" for call in calls)


def simulated(by_seed: Sequence[Mapping[str, Case]], count: int) -> None:
    """Print what intervals and verdicts promise and hold where metrics are normal, with the
    deviations and correlations of the retrained models and the distances of the originals."""
    for side, primary in SIDES.items():
        print(f"\n{side}, simulated: intervals that hold the truth, and joint verdicts, %")
        names = ("joint", *primary)
        print(f"{'kept':>6}{'N':>3}" + "".join(f"{name:>15}" for name in (*names, *CALLS)))
        centre, length, covariance = _measured_spread(by_seed, primary)
        rng = np.random.default_rng(0)
        for kept in (0.0, 0.2, 0.35, 0.5):
            for size in SIZES:
                drawn = centre + rng.multivariate_normal(0 * centre, covariance, (count, size + 1))
                drawn[:, 0] += kept * length
                models = [
                    [dict(zip(primary, row, strict=True)) for row in d] for d in drawn.tolist()
                ]
                case = replace(
                    by_seed[0]["0 % kept"],
                    models=[(model, retrained) for model, *retrained in models],
                    original=dict(zip(primary, (centre + length).tolist(), strict=True)),
                )
                _print_simulated(list(case.judgements(primary, size, 1)), kept, size, names)


def _measured_spread(
    by_seed: Sequence[Mapping[str, Case]], primary: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the retrained models' mean and the originals' distance from it, (K,), and the
    covariance within seeds, (K, K)."""
    cases = [seed["0 % kept"] for seed in by_seed]
    values = [np.array([[m[name] for name in primary] for m, _ in case.models]) for case in cases]
    originals = np.array([[case.original[name] for name in primary] for case in cases])
    means = np.array([of_seed.mean(0) for of_seed in values])
    apart = np.concatenate([of_seed - of_seed.mean(0) for of_seed in values])
    covariance = apart.T @ apart / (len(apart) - len(cases))
    return means.mean(0), (originals - means).mean(0), covariance


def _print_simulated(
    judged: Sequence[Judgement], kept: float, size: int, names: Sequence[str]
) -> None:
    found = [judgement.by_metric for judgement in judged]
    line = f"{kept:6.2f}{size:3}"
    for name in names:
        of_metric = [residuals[name] for residuals in found if name in residuals]
        inside = [residual.low <= kept <= residual.high for residual in of_metric]
        line += f"{100 * np.mean(inside):15.1f}" if inside else f"{'-':>15}"
    calls = Counter(str(judgement.verdict or "none") for judgement in judged)
    print(line + "".join(f"{100 * calls[call] / len(judged):15.1f}" for call in CALLS), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="of splits and trainings")
    parser.add_argument("--models", type=int, default=14, help="retrained; a third of each planted")
    parser.add_argument("--choices", type=int, default=30, help="of N retrained models, a model")
    parser.add_argument("--cache", type=Path, default=Path("results/cache"))
    parser.add_argument("--threads", type=int, default=2, help="trainings at a time")
    parser.add_argument("--quick", action="store_true", help="1,000 images, one seed, 7 models")
    parser.add_argument("--simulate", type=int, nargs="?", const=1000, metavar="DRAWS")
    args = parser.parse_args()
    begin, run = time.perf_counter(), processes(args.threads)
    subset, models = (1000, 7) if args.quick else (None, args.models)
    by_seed = []
    for seed in range(1 if args.quick else args.seeds):
        experiment = Experiment(seed=seed, subset=subset)
        by_seed.append(cases(Networks.trained(experiment, models, args.cache, run)))
        print(f"seed {seed}: {time.perf_counter() - begin:.0f} s", flush=True)
    jointly(by_seed, args.choices)
    by_metric(by_seed, args.choices)
    if args.simulate:
        simulated(by_seed, args.simulate)


if __name__ == "__main__":
    main()
