"""What do methods, references and the game over them come to? `python benchmarks/references.py`.

Each configuration is run once a seed, beside retrained models of its seed, on the embedded data or
what `--data`, `--subset` and `--model` name, on a GPU where there is one.
RMIA and LiRA are offline, so they need only networks that saw neither forget nor test: those are
the retrained models, of which each in turn is left out (of itself, where it is attacked); RMIA's
correction is fitted on forget under the original. It prints means and deviations over the seeds
(examples in thousands), the joint verdict of `sgu.results.verdicts`, and residual memory (0:
retrained, 1: the original) with its interval. Networks and results are kept in the folder
`--cache`: the same command prints a table again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from sgu.ensembles.designs import oracles
from sgu.ensembles.train import ensemble
from sgu.evaluation import Logits
from sgu.experiment import Experiment
from sgu.metrics import metrics_of
from sgu.metrics.evaluate import loss_auc
from sgu.metrics.rates import auc
from sgu.metrics.shadow import Evidence, margins
from sgu.metrics.shadow.lira import lira
from sgu.metrics.shadow.rmia import correction, rmia
from sgu.models import pretraining
from sgu.results.verdicts import REPORTING, References, judge
from sgu.task import Task
from sgu.training.inference import default_device
from sgu.unlearning import unlearn

Settings = dict[str, Any]
Margins = dict[str, np.ndarray]  # by split
OVER: Settings = {"method": "sg+reference_distill"}
CROSS: Settings = {"folds": 2, "repeats": 20}
NOISED: Settings = {"method": "sg+undo", "solve_every": 32}
STEADY: Settings = {"folds": 2, "repeats": 10, "reg": 1.0}  # the rounds of the default study
TABLES: dict[str, dict[str, Settings]] = {
    "lead": {
        "reference_distill": {"method": "reference_distill"},
        **{f"sg+ alpha {alpha}": OVER | {"alpha": alpha} for alpha in (0.5, 1.0, 2.0)},
    },
    "needed": {
        "1 epoch": OVER | {"reference_epochs": 1, "alpha": 2.0},
        "2 epochs": OVER | {"reference_epochs": 2, "alpha": 2.0},
        "3 epochs of unlearning": OVER | {"epochs": 3, "alpha": 2.0},
        "labels": {"method": "sg+reference_labels", "alpha": 2.0},
    },
    "signal": {
        f"alpha {alpha}, reg {reg}": OVER | CROSS | {"alpha": alpha, "reg": reg}
        for reg, alpha in ((0.1, 2.0), (1.0, 2.0), (1.0, 4.0), (0.1, 1.0))
    },
    "undo": {
        "retraining, 5 epochs": {"method": "undo", "noise": 1.0, "distill": 0.0, "epochs": 5},
        "all new, 5 epochs": {"method": "undo", "noise": 1.0, "epochs": 5},
        "undo": {"method": "undo"},
        "undo, 5 epochs": {"method": "undo", "epochs": 5},
        **{f"sg+ alpha {alpha}": NOISED | STEADY | {"alpha": alpha} for alpha in (2.0, 4.0, 8.0)},
        **{f"3 splits, alpha {alpha}": NOISED | {"alpha": alpha} for alpha in (1.0, 2.0, 4.0)},
    },
    "methods": {  # each at one setting at which it works, of its space in studies/methods.yaml
        "finetune": {"method": "finetune", "lr": 0.1},
        "gradient_ascent": {"method": "gradient_ascent", "lr": 0.008},
        "neggrad_plus": {"method": "neggrad_plus", "lr": 0.03},
        "random_label": {
            "method": "random_label",
            "schedule": "cosine",
            "batch_size": 128,
            "least_steps": 1,
        },
        "salun": {"method": "salun"},
        "l1_sparse": {"method": "l1_sparse", "lr": 0.1, "gamma": 3e-4},
        "scrub": {"method": "scrub", "lr": 3e-3},
        "bad_teacher": {"method": "bad_teacher", "lr": 3e-3, "epochs": 2, "retain_share": 1.0},
        "amun": {"method": "amun", "lr": 0.02, "epochs": 5, "radius": 0.01, "steps": 50},
        "influence": {"method": "influence"},
        "fisher": {"method": "fisher", "strength": 1e-9},
        "ssd": {"method": "ssd"},
        "sg": {"method": "sg", "lr": 0.05, "epochs": 5, "alpha": 2.0},
        "reference_distill": {"method": "reference_distill"},
        "sg+reference_distill": OVER | {"alpha": 2.0},
        "undo": {"method": "undo"},
        "sg+undo": NOISED | STEADY | {"alpha": 4.0},
        "sg+undo, 3 splits": NOISED | {"alpha": 4.0},
    },
    "whole": {  # for networks trained for 20 epochs
        "undo": {"method": "undo", "epochs": 8},
        "undo, noise .4": {"method": "undo", "epochs": 8, "noise": 0.4},
        **{
            f"sg+undo, alpha {alpha}": NOISED | STEADY | {"alpha": alpha, "epochs": 8}
            for alpha in (4.0, 16.0)
        },
        "sg": {"method": "sg"},
    },
}
SHOWN = (
    "retain_acc", "forget_acc", "test_acc", "loss_auc", "rmia_auc", "lira_auc", "correlation",
    "mia_acc", "seconds", "examples_seen",
)  # fmt: skip


class Bench:
    """The task of one seed with its original and retrained models, trained or loaded."""

    def __init__(self, seed: int, count: int, cache: Path, shared: Settings):
        self.shared, self.cache = {"seed": seed, **shared}, cache
        base = Experiment(**self.shared)
        self.epochs = base.pretrain_epochs or pretraining(base.model).epochs
        self.task = base.task(cache).to(default_device())
        self.original = base.reference("original", self.task, cache)
        answers = Logits.of(self.original.model, self.task)
        self.retrained = ensemble(oracles(base, self.task, count), self.task, cache)
        self.known = [margins_of(logits, self.task) for logits in self.retrained]
        self.trained = margins_of(answers, self.task)
        p_out = np.mean([expit(own["forget"]) for own in self.known], 0)
        self.a = correction(expit(self.trained["forget"]), p_out)
        self.references = References(
            original=self.measured(answers),
            retrained=[self.measured(logits, k) for k, logits in enumerate(self.retrained)],
        )

    def measured(self, logits: Logits, number: int | None = None) -> dict[str, float]:
        """Return the metrics of a model; number: its own, if it is one of the retrained."""
        scored, own = logits.scored(self.task), margins_of(logits, self.task)
        left_out = range(len(self.known)) if number is None else [number]
        others = [[m for k, m in enumerate(self.known) if k != out] for out in left_out]
        attacked = np.mean([self.attacked(own, known) for known in others], 0)
        expected = np.mean([[m["forget"] for m in known] for known in others], (0, 1))
        return {
            **metrics_of(scored),
            "loss_auc": loss_auc(scored["forget"], scored["test"]),
            **dict(zip(("rmia_auc", "lira_auc"), attacked.tolist(), strict=True)),
            "correlation": float(np.corrcoef(own["forget"], expected)[0, 1]),
            "examples_seen": self.epochs * len(self.task.splits.retain),
            "seconds": logits.seconds,
        }

    def attacked(self, own: Margins, known: list[Margins]) -> tuple[float, float]:
        """Return the areas of offline RMIA and LiRA by `known` networks that saw none of it."""
        pool = [np.concatenate([m["forget"], m["test"]]) for m in (own, *known)]
        members = np.repeat([True, False], [len(own["forget"]), len(own["test"])])
        outside = np.ones((len(known), len(members)), dtype=bool)
        evidence = Evidence(
            target=pool[0],
            population=own["val"],
            shadows=np.stack(pool[1:]),
            shadow_population=np.stack([m["val"] for m in known]),
            inside=~outside,
            outside=outside,
            members=members,
        )
        return auc(rmia(evidence, self.a), members), auc(lira(evidence), members)

    def result(self, settings: Settings) -> dict[str, float]:
        """Return the metrics after unlearning by these settings, from the folder or by a run."""
        experiment = Experiment.of(**self.shared, **settings)
        text = json.dumps(experiment.settings(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        path = self.cache / f"result-{digest}.json"
        if not path.is_file():
            outcome = unlearn(experiment, self.task, self.original.model)
            path.write_text(json.dumps(self.measured(outcome.logits) | outcome.metrics))
        return json.loads(path.read_text())


def margins_of(logits: Logits, task: Task) -> Margins:
    """Return the margins of forget, val and test."""
    scored = logits.scored(task, ("forget", "val", "test"))
    return {split: margins(one.logits, one.targets) for split, one in scored.items()}


def lines(
    name: str, results: Sequence[Mapping[str, float]], benches: list[Bench], judged: bool = True
) -> Iterator[str]:
    """Yield the lines of one configuration: its means and deviations, and its verdict."""
    values = np.array([[result[metric] for metric in SHOWN] for result in results])
    values[:, -1] /= 1000
    spread = zip(values.mean(0), values.std(0, ddof=len(results) > 1), strict=True)
    cells = [f"{mean:6.3f} {sd:5.3f}" for mean, sd in spread]
    yield f"{name:>24} " + "  ".join(cells)
    if judged:
        forgotten = len(benches[0].task.splits.forget)
        references = [bench.references for bench in benches]
        classes = benches[0].task.source.num_classes
        verdict = judge(results, references, REPORTING, forgotten=forgotten, classes=classes)
        parts = [f"{r.metric} {' '.join(r.per_cent())}" for r in verdict.by_metric.values()]
        yield f"{'':>24} {verdict.verdict}; residual memory in %: {', '.join(parts)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", nargs="?", choices=TABLES, default="lead")
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--cache", type=Path, default=Path("results/cache"))
    parser.add_argument("--retrained", type=int, default=4, help="retrained models a seed")
    parser.add_argument("--data", default="embedded")
    parser.add_argument("--subset", type=int)
    parser.add_argument("--model", default="small_cnn")
    parser.add_argument("--pretrain-epochs", type=int)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.cache.mkdir(parents=True, exist_ok=True)
    shared = {name: getattr(args, name) for name in ("data", "subset", "model", "pretrain_epochs")}
    benches = [Bench(seed, args.retrained, args.cache, shared) for seed in args.seeds]
    print(f"{'mean and sd over seeds':>24} " + "  ".join(f"{name:>12}" for name in SHOWN))
    retrained = [
        np.mean([list(map(m.get, SHOWN)) for m in b.references.retrained], 0) for b in benches
    ]
    as_results = [dict(zip(SHOWN, row, strict=True)) for row in retrained]
    originals = [bench.references.original for bench in benches]
    for name, results in (("original", originals), ("retrained", as_results)):
        print(*lines(name, results, benches, judged=False), sep="\n")
    for name, settings in TABLES[args.table].items():
        results = [bench.result(settings) for bench in benches]
        print(*lines(name, results, benches), sep="\n", flush=True)


if __name__ == "__main__":
    main()
