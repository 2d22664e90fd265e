"""An audit: what every attack finds of models, beside what it finds of retrained ones.

The models need not come from this project; they are read and never changed. What the audit trains
itself, retrained and shadow models, is kept in the cache as logits (see `ensembles`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import nn

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
from sgu.metrics.evaluate import against_others, loss_auc, mean_of
from sgu.metrics.scored import Scored
from sgu.networks.recipe import REFERENCES, Recipe
from sgu.networks.references import recipe, reference
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
    check(experiment, oracle_count, shadow_count)
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
    answers = {name: _answers(name, model, task) for name, model in audited.items()}
    trainer = Trainer(task, cache, device, run, notes)
    networks = trainer.networks(experiment, oracle_count, shadow_count, known)
    level, steps = SHARE * forget_acc(original, task), relearning(experiment.model)
    findings = dict[str, Audited]()
    for name, model in audited.items():
        say(f"attacking {name}")
        again = relearned(model, task, steps, level, experiment.seed)
        original_metrics = findings["original"].metrics if findings else None
        findings[name] = _audited(name, answers[name], again, networks, notes, original_metrics)
    return Audit(models=findings, seeds=networks.seeds, notes=notes.lines)


def check(experiment: Experiment, oracle_count: int, shadow_count: int) -> None:
    """Raise ValueError for what no audit can be asked for."""
    if oracle_count == 1 or oracle_count < 0:
        raise ValueError(f"oracles = {oracle_count}: must be 0, or >= 2 for a spread")
    if shadow_count and (shadow_count < 4 or shadow_count % 2):
        raise ValueError(f"shadows = {shadow_count}: must be 0, or even and >= 4")
    if oracle_count or shadow_count:
        seeds("oracle", experiment.seed, oracle_count)  # raises for one that leaves no room


def _references(
    experiment: Experiment, task: Task, cache: Path, device: torch.device | None, run: Run
) -> list[nn.Module]:
    """Return the original and the retrained model, on the CPU."""
    model, seed, epochs = experiment.model, experiment.seed, experiment.pretrain_epochs
    recipes = [recipe(kind, model, task, seed, epochs) for kind in REFERENCES]
    return list(run(partial(_reference, task=task, cache=cache, device=device), recipes))


def _reference(recipe: Recipe, task: Task, cache: Path, device: torch.device | None) -> nn.Module:
    return reference(recipe, task, cache, device or default_device()).model.cpu()


def _unlearned(
    experiment: Experiment, task: Task, original: nn.Module, device: torch.device | None
) -> nn.Module:
    return unlearn(experiment, task, original.to(device or default_device())).model.cpu()


def _answers(name: str, model: nn.Module, task: Task) -> Logits:
    logits = Logits.of(model, task)
    if not (logits.train.isfinite().all() and logits.heldout.isfinite().all()):
        raise ValueError(f"{name}: its answers are NaN or infinite: it has diverged, lower its lr")
    return logits


def _audited(
    name: str,
    logits: Logits,
    again: Relearned,
    networks: Networks,
    notes: Notes,
    original: Mapping[str, float] | None,
) -> Audited:
    """Audit one model, from its answers and how soon it relearned. original: metrics of the
    original; None for the original itself."""
    scored = logits.scored(networks.task)
    metrics, shadowed = measured(name, logits, networks)
    retrained = [measured(name, oracle, networks)[0] for oracle in networks.oracles]
    if retrained:
        metrics |= against_retrained(metrics, mean_of(retrained))
    band, klom = bands(against_others(retrained)) if retrained else {}, networks.klom(name)
    metrics |= {"klom": klom.forget.mean} if klom else {}
    metrics |= {"relearn_steps": again.mean} if again.mean is not None else {}
    records: list[Record] = []
    parts: list[Slice] = []
    try:
        records = attack_table(scored)
        parts = _slices(scored, networks)
    except ValueError as error:
        notes.add("attacks on one model left out", error)
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
    return judge([metrics], [references], REPORTING, forgotten=forgotten, classes=classes)


def measured(name: str, logits: Logits, networks: Networks) -> tuple[Metrics, list[Record]]:
    """Return all metrics that answers alone give, and the attacks with shadow models, for a model
    that was unlearned as the model `name` was."""
    scored, shadowed = logits.scored(networks.task), networks.attacks(name, logits)
    aucs = {f"{record.attack}_auc": record.auc.value for record in shadowed}
    stay = against_test("loss", scored, "retain").auc().value
    aucs |= {"retain_mia_auc": stay, "loss_auc": loss_auc(scored)}
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
