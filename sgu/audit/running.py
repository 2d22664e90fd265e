"""An audit: what every attack finds of models, beside what it finds of retrained ones.

The models need not come from this project; they are read and never changed. What the audit trains
itself, retrained and shadow models, is kept in the cache as logits (see `ensembles`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from sgu.audit.feeding import JUDGED as KEPT
from sgu.audit.feeding import WARNED, fed_otherwise
from sgu.audit.findings import Audit, Audited
from sgu.audit.networks import Networks, Notes, Say, Trainer
from sgu.audit.relearn import SHARE, Relearned, forget_acc, relearned, relearning
from sgu.ensembles.designs import seeds
from sgu.ensembles.train import Run
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.feasible import check_attackable, check_feasible
from sgu.metrics import Record, Slice, against_retrained, attack_table, metrics_of, slices
from sgu.metrics.attacks import against_test
from sgu.metrics.evaluate import against_others, mean_of
from sgu.metrics.scored import Scored
from sgu.networks.recipe import REFERENCES, Recipe
from sgu.networks.references import reference
from sgu.results.null_band import MEMORY, bands
from sgu.results.verdicts import REPORTING, Judgement, References, judge
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.unlearning import unlearn

Metrics = dict[str, float]

JUDGED = (REPORTING, tuple(name for name in MEMORY if not name.startswith("val_")))
"""Metrics of the joint verdict, and all metrics of memory that have one of their own."""


def audit(
    models: Mapping[str, nn.Module],
    experiment: Experiment,
    task: Task,
    cache: Path,
    device: torch.device | None = None,
    *,
    oracle_count: int = 3,
    shadow_count: int = 8,
    with_klom: bool = True,
    unlearned_by: Mapping[str, Experiment] | None = None,
    run: Run = map,
    say: Say = lambda _: None,
) -> Audit:
    """Audit models of one architecture, that of the experiment, on its task, which is on the CPU,
    between the original and the retrained model.

    unlearned_by: how models were unlearned, as far as that is known, for U-LiRA and KLoM; those
    that are not among `models` are unlearned here. oracle_count: retrained models for the bands, 0:
    no bands; shadow_count: 0, or even and >= 4; with_klom: measure KLoM, which trains and unlearns
    `oracle_count` further originals for each method; device: None takes a GPU where there is one,
    where each network is trained; run: as of `ensemble`. What diverges is said and noted, and what
    needs it left out. Raises ValueError if one of `models` has diverged.
    """
    check(oracle_count, shadow_count, experiment.seed)
    check_attackable(task)
    for name, how in (unlearned_by or {}).items():
        if name not in models:
            check_feasible(how, task)
    known, notes, home = dict(unlearned_by or {}), Notes(say), device or default_device()
    for name in models:
        if name not in known:
            notes.add(f"{name}: U-LiRA and KLoM left out", "how it was unlearned is not known")
    say("training the original and the retrained model, or loading them")
    original, retrained = _references(experiment, task, cache, device, run)
    todo = {name: how for name, how in known.items() if name not in models}
    if todo:
        say(f"unlearning by {' and '.join(todo)}")
    work = partial(_unlearned, task=task, original=original, device=device)
    unlearned = (model.to(home) for model in run(work, list(todo.values())))
    audited = dict(models) | dict(zip(todo, unlearned, strict=True))
    audited = {"original": original.to(home)} | audited | {"retrained": retrained.to(home)}
    answers = {name: answers_of(name, model, task) for name, model in audited.items()}
    trainer = Trainer(task, cache, device, run, notes)
    level, steps = SHARE * forget_acc(original, task), relearning(experiment.model)
    networks = trainer.networks(experiment, oracle_count, shadow_count, known, level, with_klom)
    say("measuring how soon each model relearns forget")
    again, begin = dict[str, Relearned](), time.perf_counter()
    for name, model in audited.items():
        again[name] = relearned(model, task, steps, level, experiment.seed)
        passed = time.perf_counter() - begin
        notes.progress(len(again), len(audited), passed, "models that have relearned")
    both = {name: Answer(logits, again[name]) for name, logits in answers.items()}
    return attacked(both, networks, notes)


def attacked(answers: Mapping[str, Answer], networks: Networks, notes: Notes) -> Audit:
    """Return the audit of models by their answers, beside the networks; `original`, if it is one of
    them, is the scale of residual memory."""

    @cache
    def scale(name: str) -> Scale:
        """Return the metrics of the references for a model that was unlearned as `name` was."""
        original = answers.get("original")
        pairs = zip_longest(networks.oracles, networks.relearned)
        return Scale(
            original.measured(name, networks)[0] if original else {},
            [Answer(*pair).measured(name, networks)[0] for pair in pairs],
        )

    findings = dict[str, Audited]()
    for name, answer in answers.items():
        notes.say(f"attacking {name}")
        beside = scale(name if networks.unlearned_as(name) else "")
        if beside.retrained and _elsewhere(name, networks):
            _ask(name, answer.logits, beside.retrained, networks)
        findings[name] = _audited(name, answer, beside, networks)
    return Audit(models=findings, seeds=networks.seeds, notes=notes.lines)


def check(oracle_count: int, shadow_count: int, seed: int, setting: str = "oracles") -> None:
    """Raise ValueError for what no audit can be asked for. setting: the name of the first."""
    if oracle_count == 1 or oracle_count < 0:
        raise ValueError(f"{setting} = {oracle_count}: must be 0, or >= 2 for a spread")
    if shadow_count and (shadow_count < 4 or shadow_count % 2):
        raise ValueError(f"shadows = {shadow_count}: must be 0, or even and >= 4")
    if oracle_count or shadow_count:
        seeds("oracle", seed, oracle_count)  # raises for one that leaves no room


def _references(
    experiment: Experiment, task: Task, cache: Path, device: torch.device | None, run: Run
) -> list[nn.Module]:
    """Return the original and the retrained model, on the CPU."""
    recipes = [experiment.recipe(kind, task) for kind in REFERENCES]
    return list(run(partial(_reference, task=task, cache=cache, device=device), recipes))


def _reference(recipe: Recipe, task: Task, cache: Path, device: torch.device | None) -> nn.Module:
    return reference(recipe, task, cache, device or default_device()).model.cpu()


def _unlearned(
    experiment: Experiment, task: Task, original: nn.Module, device: torch.device | None
) -> nn.Module:
    return unlearn(experiment, task, original.to(device or default_device())).model.cpu()


def answers_of(name: str, model: nn.Module, task: Task) -> Logits:
    """Return a model's answers to everything. Raises ValueError where they are not finite."""
    logits = Logits.of(model, task)
    if not (logits.train.isfinite().all() and logits.heldout.isfinite().all()):
        raise ValueError(f"{name}: its answers are NaN or infinite: it has diverged, lower its lr")
    return logits


class Scale(NamedTuple):
    """The metrics that a model is judged beside: of the original and of the retrained models."""

    original: Metrics
    retrained: list[Metrics]


class Answer(NamedTuple):
    """The answers of a model to all examples, and how soon it relearned forget; None: not
    measured."""

    logits: Logits
    again: Relearned | None

    def measured(self, name: str, networks: Networks) -> tuple[Metrics, list[Record]]:
        """Return what `measured` returns, with the steps of relearning."""
        metrics, shadowed = measured(name, self.logits, networks)
        steps = self.again.mean if self.again else None
        return metrics | ({} if steps is None else {"relearn_steps": steps}), shadowed


def _elsewhere(name: str, networks: Networks) -> bool:
    """Return True for a model of which it is not known how it was trained and fed."""
    return name not in ("original", "retrained", *networks.made_here)


def _ask(name: str, logits: Logits, retrained: Sequence[Metrics], networks: Networks) -> None:
    """Note a model that does worse on retain than retrained models."""
    task = networks.task
    metrics = {"retain_acc": logits.scored(task, ("retain",))["retain"].acc}
    if reason := fed_otherwise(metrics, retrained, task.source.num_classes, WARNED):
        networks.notes.add(name, reason)


def _audited(name: str, answer: Answer, scale: Scale, networks: Networks) -> Audited:
    """Audit one model beside the original and the retrained models."""
    scored, retrained = answer.logits.scored(networks.task), scale.retrained
    metrics, shadowed = answer.measured(name, networks)
    if retrained:
        metrics |= against_retrained(metrics, mean_of(retrained))
    band, klom = bands(against_others(retrained)) if retrained else {}, networks.klom(name)
    metrics |= {"klom": klom.forget.mean} if klom else {}
    keeps = WARNED if _elsewhere(name, networks) else KEPT
    joint, single = (_judged(metrics, scale, names, networks.task, keeps) for names in JUDGED)
    records: list[Record] = []
    parts: list[Slice] = []
    try:
        records = attack_table(scored)
        parts = _slices(scored, networks)
    except ValueError as error:
        networks.notes.add("attacks on one model left out", error)
    return Audited(
        metrics=metrics,
        bands=band,
        attacks=[*records, *shadowed],
        slices=parts,
        relearned=answer.again,
        klom=klom,
        judgement=joint if retrained else None,
        residuals={name: single.by_metric[name] for name in single.by_metric if name != "joint"},
        blind=single.blind if retrained else (),
    )


def _judged(
    metrics: Metrics, scale: Scale, names: Sequence[str], task: Task, keeps: float
) -> Judgement:
    """Return the verdict by these metrics; keeps: the share of retain for *like retrained*."""
    forgotten, classes = len(task.splits.forget), task.source.num_classes
    references = References(original=scale.original, retrained=scale.retrained)
    judged = judge([metrics], [references], names, forgotten=forgotten, classes=classes)
    others, share = scale.retrained, keeps if judged.verdict == "like retrained" else KEPT
    if judged.verdict and (reason := fed_otherwise(metrics, others, classes, share)):
        return Judgement(verdict=None, reason=reason, models=len(others))
    return judged


def measured(name: str, logits: Logits, networks: Networks) -> tuple[Metrics, list[Record]]:
    """Return all metrics that answers alone give, and the attacks with shadow models, for a model
    that was unlearned as the model `name` was."""
    scored, shadowed = logits.scored(networks.task), networks.attacks(name, logits)
    aucs = {f"{record.attack}_auc": record.auc.value for record in shadowed}
    aucs["retain_mia_auc"] = against_test("loss", scored, "retain").auc().value
    return metrics_of(scored) | aucs, shadowed


def _slices(scored: Mapping[str, Scored], networks: Networks) -> list[Slice]:
    """Return the attack's slices by correctness, memorisation and class."""
    memorised, design = networks.memorisation(), networks.design
    parts = slices(scored, "correct")
    if memorised is not None and design is not None:
        forget = networks.task.splits.forget
        pool = scored["forget"].take(torch.isin(forget, design.forget).numpy())
        parts += slices({**scored, "forget": pool}, memorised)
    named = networks.task.source.named
    return [*parts, *(replace(s, name=named(int(s.name))) for s in slices(scored, "class"))]
