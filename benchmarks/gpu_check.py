"""One check of a machine with a GPU, of 8 minutes at most: tests, engine, training steps and runs.

    python benchmarks/gpu_check.py [--data cifar10] [--subset 20000] [--out results/gpu] [--small]

It writes gpu.json and gpu.md, a page of figures, after each part, so that one that is cut off has
left what it found; a part that fails is a line of the page. It needs torch, torchvision, pytest and
what `sgu` imports, but neither Ray nor Optuna nor an anchor. Small: on any device, a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from sgu.auditor import LinearAuditor, MLPAuditor, linear
from sgu.evaluation import all_metrics
from sgu.experiment import Experiment
from sgu.host import replay
from sgu.host.provenance import code_version, device_name, versions
from sgu.models import build
from sgu.networks.references import recipe, reference
from sgu.task import Task
from sgu.training.clock import Clock
from sgu.training.loop import Optimisation, train
from sgu.unlearning import unlearn

ROOT = Path(__file__).parents[1]
SHOWN = ("retain_acc", "forget_acc", "val_acc", "test_acc", "mia_acc")
Row = dict[str, Any]


@dataclass
class Check:
    """What is asked for, and the rows found so far, by part."""

    device: torch.device
    data: str
    subset: int | None
    out: Path
    small: bool
    limit: float
    rows: dict[str, list[Row]] = field(default_factory=dict)
    begin: float = field(default_factory=time.perf_counter)

    @property
    def late(self) -> bool:
        return time.perf_counter() - self.begin > self.limit

    def seconds(self, run: Callable[[], Any]) -> tuple[float, Any]:
        """Return the seconds of a function, on CUDA by events of the device, and its answer."""
        clock = Clock(self.device)
        with clock.part("run"):
            answer = run()
        return clock.seconds("run"), answer

    def run(self, name: str, part: Callable[[Check], Iterator[Row]]) -> None:
        """Add the rows of a part, and write down all so far after each."""
        rows = self.rows.setdefault(name, [])
        try:
            for row in part(self):
                rows.append(row)
                self.write()
        except Exception as error:  # the other parts are worth their time all the same
            traceback.print_exc()
            rows.append({"failed": f"{type(error).__name__}: {str(error)[:300]}"})
        self.write()

    def write(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        about: Row = {"device": device_name(self.device), "code": code_version()[0]} | versions()
        about["seconds"] = round(time.perf_counter() - self.begin, 1)
        content = {"about": about, "parts": self.rows}
        (self.out / "gpu.json").write_text(json.dumps(content, indent=1))
        (self.out / "gpu.md").write_text(page(about, self.rows))


def tests(check: Check) -> Iterator[Row]:
    """The tests of tests/device on this device."""
    if check.small:
        return
    command = [sys.executable, "-m", "pytest", "-q", "tests/device", "-p", "no:cacheprovider"]
    environment = {"SGU_TEST_DEVICE": str(check.device), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        ["env", *(f"{name}={value}" for name, value in environment.items()), *command],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    summary = ended.stdout.strip().splitlines()[-1:]
    yield {"exit": ended.returncode, "summary": " ".join(summary)}
    yield from ({"failed": line} for line in lines[:20])


def engine(check: Check) -> Iterator[Row]:
    """One audit pass, solve and gradient, at the shapes of benchmarks/auditor.py."""
    shapes = [(12, 30, 4)] if check.small else [(30, 70, 11), (150, 140, 11), (1500, 14, 101)]
    auditors = {
        "l2": LinearAuditor(), "l1": LinearAuditor(penalty="l1", reg=1e-3),
        "logistic": LinearAuditor(loss="logistic"), "mlp": MLPAuditor(hidden=4, reg=0.1),
    }  # fmt: skip
    for problems, n, d in shapes:
        generator = torch.Generator().manual_seed(0)
        members = (torch.arange(n) % 2).expand(problems, n).to(check.device)
        x = torch.randn(problems, n, d, generator=generator).to(check.device)
        x = x + 0.3 * members[..., None]
        for name, auditor in auditors.items():
            if name != "mlp" or problems <= 30:
                yield {"auditor": name, "problems": problems, "n": n, "d": d} | passes(
                    check, auditor, x, members
                )


def passes(check: Check, auditor: Any, x: torch.Tensor, members: torch.Tensor) -> Row:
    """Return the median milliseconds of a pass, of those after the first, and the share solved."""

    def audit() -> Any:
        leaf = x.detach().requires_grad_()
        fit = auditor.fit(leaf, members)
        fit.decision(x).square().mean().backward()
        return fit

    times = [check.seconds(audit) for _ in range(2 if check.small else 12)]
    fit = times[-1][1]
    return {
        "ms": round(1e3 * statistics.median(seconds for seconds, _ in times[1:]), 2),
        "iterations": getattr(fit, "iterations", None),
        "solved": float(fit.converged.double().mean()),
    }


def steps(check: Check) -> Iterator[Row]:
    """Milliseconds of a training step: as it is (on CUDA a graph), without graphs, and compiled."""
    name, images, size = ("small_cnn", 100, 50) if check.small else ("resnet18", 12800, 128)
    task = Task.load("embedded", subset=400 if check.small else 4000).to(check.device)
    indices = torch.arange(images) % len(task.source.train)
    for way in ("plain",) if check.small else ("plain", "without graphs", "compiled"):
        model = build(name, task.source.shape, 0).to(check.device)
        settings = Optimisation(
            epochs=1, lr=0.01, batch_size=size, augment=True, compile=way == "compiled"
        )  # fmt: skip

        def epoch(model: Any = model, settings: Optimisation = settings) -> None:
            train(model, task.source.train, indices, task.pipeline, settings, 0)

        with replaying(way != "without graphs"):
            first, _ = check.seconds(epoch)
            seconds = statistics.median(check.seconds(epoch)[0] for _ in range(3))
        milliseconds = 1e3 * seconds * size / images
        yield {"model": name, "steps": way, "ms": milliseconds, "first_epoch_s": first}


@contextmanager
def replaying(yes: bool) -> Iterator[None]:
    """Replay graphs inside, where there is CUDA, or do not."""
    modules, kept = (replay, linear), replay.replays
    for module in modules:
        module.replays = kept if yes else lambda _: False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.replays = kept  # type: ignore[attr-defined]


def runs(check: Check) -> Iterator[Row]:
    """Original and retrained, then finetune and sg at two audit batches, each evaluated, and
    finetune without graphs. solve_share: of the seconds of unlearning."""
    epochs, batch = (1, 40) if check.small else (30, 1000)
    model = "small_cnn" if check.small else "resnet18"
    shared = {"data": check.data, "subset": check.subset, "model": model}
    task = Task.load(check.data, subset=check.subset).to(check.device)
    references = {}
    for kind in ("original", "retrain"):
        asked = recipe(kind, model, task, 0, 1 if check.small else 20)
        network = reference(asked, task, check.out / "cache", check.device)
        references[kind] = network.model
        seconds, metrics = check.seconds(lambda: all_metrics(references[kind], task))  # noqa: B023
        yield _run(kind, network.seconds, metrics) | {"evaluation_s": seconds}
    base = Experiment.of(**shared, method="sg", epochs=epochs, audit_batch=batch)
    for name, experiment in {
        f"sg, audit_batch {batch}": base,
        "finetune": replace(base, method="finetune", alpha=0.0),
        f"sg, audit_batch {batch * 2}": replace(base, audit_batch=batch * 2),
        "finetune, without graphs": replace(base, method="finetune", alpha=0.0),
    }.items():
        if check.small and "without" in name:
            continue
        if check.late:
            yield {"run": name, "failed": "left out: the time was up"}
            continue
        with replaying("without" not in name):
            wall, outcome = check.seconds(
                lambda: unlearn(experiment, task, references["original"], lambda _: None)  # noqa: B023
            )
        cost = {part: outcome.metrics[f"{part}_seconds"] for part in ("game", "solve")}
        yield (
            _run(name, outcome.metrics["seconds"], outcome.metrics)
            | cost
            | {
                "solve_share": cost["solve"] / outcome.metrics["seconds"],
                "with_evaluation_s": wall,
                "unsolved": outcome.unsolved,
            }
        )


def _run(name: str, seconds: float, metrics: Row) -> Row:
    return {"run": name, "seconds": seconds} | {metric: metrics[metric] for metric in SHOWN}


PARTS: dict[str, Callable[[Check], Iterator[Row]]] = {
    "tests": tests, "engine": engine, "steps": steps, "runs": runs,
}  # fmt: skip


def page(about: Row, parts: dict[str, list[Row]]) -> str:
    """Return the figures as Markdown, a table a part."""
    lines = [f"# {about['device']}", "", ", ".join(f"{k} {v}" for k, v in about.items()), ""]
    for name, rows in parts.items():
        columns = list(dict.fromkeys(column for row in rows for column in row))
        lines += [f"## {name}", "", PARTS[name].__doc__ or "", ""]
        if rows:
            lines += [_line(columns), _line(["---"] * len(columns))]
        lines += [_line([_text(row.get(column)) for column in columns]) for row in rows] + [""]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", default="embedded", help="cifar10, or a folder of it")
    parser.add_argument("--subset", type=int)
    parser.add_argument("--out", type=Path, default=Path("results/gpu"))
    parser.add_argument("--small", action="store_true", help="a minute, on any device")
    parser.add_argument("--limit", type=float, default=460, help="seconds; no run begins later")
    asked = parser.parse_args(words)
    check = Check(
        torch.device(asked.device), asked.data, asked.subset, asked.out, asked.small, asked.limit
    )
    for name in asked.parts or PARTS:
        check.run(name, PARTS[name])
    print((asked.out / "gpu.md").read_text())


if __name__ == "__main__":
    main()
