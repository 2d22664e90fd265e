"""An audit: what every attack finds of models, beside what it finds of retrained ones.

The models need not come from this project; they are read and never changed. What the audit trains
itself, retrained and shadow models, is kept in the cache as logits (see `ensembles`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

import torch
from torch import nn

from sgu.audit.feeding import WARNED, fed_otherwise
from sgu.audit.findings import Audit, Audited
from sgu.audit.networks import Networks, Notes, Say, Trainer
from sgu.audit.relearn import SHARE, Relearned, forget_acc, relearned, relearning
from sgu.ensembles.designs import seeds
from sgu.ensembles.train import Run
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.metrics import Record, Slice, against_retrained, attack_table, metrics_of, slices
from sgu.metrics.attacks import against_test
from sgu.metrics.evaluate import against_others, mean_of
from sgu.metrics.scored import Scored
from sgu.networks.recipe import REFERENCES, Recipe
from sgu.networks.references import reference
from sgu.results.null_band import bands, verdicts
from sgu.results.verdicts import REPORTING, Judgement, References, judge
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.unlearning import unlearn

Metrics = dict[str, float]


def audit(
    models: Mapping[str, nn.Module],
    experiment: Experiment,
    task: Task,
    cache: Path,
    device: torch.device | None = None,
    *,
    oracle_count: int = 3,
    shadow_count: int = 8,
    unlearned_by: Mapping[str, Experiment] | None = None,
    run: Run = map,
    say: Say = lambda _: None,
) -> Audit:
    """Audit models of one architecture, that of the experiment, on its task, which is on the CPU,
    between the original and the retrained model.

    unlearned_by: how models were unlearned, as far as that is known, for U-LiRA and KLoM; those
    that are not among `models` are unlearned here. oracle_count: retrained models for the bands, 0:
    no bands; shadow_count: 0, or even and >= 4; device: None takes a GPU where there is one, where
    each network is trained; run: as of `ensemble`. What diverges is said and noted, and what needs
    it left out. Raises ValueError if one of `models` has diverged.
    """
    check(oracle_count, shadow_count, experiment.seed)
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
    networks = trainer.networks(experiment, oracle_count, shadow_count, known)
    level, steps = SHARE * forget_acc(original, task), relearning(experiment.model)

    def again(name: str) -> Relearned:
        return relearned(audited[name], task, steps, level, experiment.seed)

    return attacked(answers, again, networks, notes)


def attacked(
    answers: Mapping[str, Logits],
    again: Callable[[str], Relearned | None],
    networks: Networks,
    notes: Notes,
) -> Audit:
    """Return the audit of models by their answers, `original` first, beside the networks.

    again: how soon a model relearns, by its name; None: it was not measured.
    """

    @cache
    def retrained(name: str) -> list[Metrics]:
        return [measured(name, oracle, networks)[0] for oracle in networks.oracles]

    findings = dict[str, Audited]()
    for name, logits in answers.items():
        notes.say(f"attacking {name}")
        original = findings["original"].metrics if "original" in findings else None
        others = retrained(name if networks.unlearned_as(name) else "")
        if others and name not in ("original", "retrained"):
            _ask(name, logits, others, networks)
        findings[name] = _audited(name, logits, again(name), networks, others, original)
    return Audit(models=findings, seeds=networks.seeds, notes=notes.lines)


def check(oracle_count: int, shadow_count: int, seed: int) -> None:
    """Raise ValueError for what no audit can be asked for."""
    if oracle_count == 1 or oracle_count < 0:
        raise ValueError(f"oracles = {oracle_count}: must be 0, or >= 2 for a spread")
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


def _ask(name: str, logits: Logits, retrained: list[Metrics], networks: Networks) -> None:
    """Note a model that does worse on retain than retrained models."""
    task = networks.task
    metrics = {"retain_acc": logits.scored(task, ("retain",))["retain"].acc}
    if reason := fed_otherwise(metrics, retrained, task.source.num_classes, WARNED):
        networks.notes.add(name, reason)


def _audited(
    name: str,
    logits: Logits,
    again: Relearned | None,
    networks: Networks,
    retrained: list[Metrics],
    original: Mapping[str, float] | None,
) -> Audited:
    """Audit one model, from its answers and how soon it relearned. retrained: metrics of retrained
    models; original: those of the original; None for the original itself."""
    scored = logits.scored(networks.task)
    metrics, shadowed = measured(name, logits, networks)
    if retrained:
        metrics |= against_retrained(metrics, mean_of(retrained))
    band, klom = bands(against_others(retrained)) if retrained else {}, networks.klom(name)
    metrics |= {"klom": klom.forget.mean} if klom else {}
    metrics |= {"relearn_steps": again.mean} if again and again.mean is not None else {}
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
        verdicts=verdicts(metrics, band),
        attacks=[*records, *shadowed],
        slices=parts,
        relearned=again,
        klom=klom,
        judgement=_judged(metrics, original or metrics, retrained, networks.task),
    )


def _judged(
    metrics: Metrics, original: Mapping[str, float], retrained: list[Metrics], task: Task
) -> Judgement | None:
    """Return the joint verdict on a model; None without retrained models."""
    if not retrained:
        return None
    references = References(original=original, retrained=retrained)
    forgotten, classes = len(task.splits.forget), task.source.num_classes
    if reason := fed_otherwise(metrics, retrained, classes):
        return Judgement(verdict=None, reason=reason, models=len(retrained))
    return judge([metrics], [references], REPORTING, forgotten=forgotten, classes=classes)


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
    return [*parts, *slices(scored, "class")]
