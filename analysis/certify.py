"""The audit of a choice by networks that had no part in it.

`sgu` unlearns the chosen configuration again and saves the model, and `sgu audit` judges it beside
retrained and shadow models of other seeds than the study's. Both run as commands, which anybody can
repeat; the audit's page is the certificate.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.choose import Choice

SAME = 1e-6
"""Most that a metric of the model made again may differ by on the machine of the study."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What an audit found. verdict: None where there is none; text: the verdict and its reasons;
    page: the audit's report; model: the audited weights."""

    verdict: str | None
    text: str
    page: Path
    model: Path


def certify(
    choice: Choice,
    folder: Path,
    cache: Path,
    *,
    oracles: int,
    shadows: int,
    say: Callable[[str], object],
) -> Certificate:
    """Make the chosen model again, audit it, and return the certificate.

    folder: of the model and the audit; cache: of trained networks; oracles, shadows: numbers of
    retrained and shadow models; say: called with each command and each line of progress.
    Raises ValueError where a command fails.
    """
    model = folder / f"trial-{choice.row['trial_id']}.safetensors"
    kept = f"--cache {shlex.quote(str(cache))}"
    path, out = (shlex.quote(str(place)) for place in (model, folder))
    threads = f"--threads {choice.row['threads']:.0f}"
    made = _run(f"{choice.command()} {threads} {kept} --save {path}", say)
    if difference := _difference(choice, made["metrics"]["unlearned"]):
        say(difference)
    networks = f"--oracles {oracles} --shadows {shadows}"
    audited = _run(f"sgu audit {path} {networks} --no-klom {kept} --out {out}", say)
    judged = audited["verdicts"][model.stem]
    page = Path(audited["written"]) / "report.html"
    return Certificate(verdict=judged["verdict"], text=judged["text"], page=page, model=model)


def _run(command: str, say: Callable[[str], object]) -> dict[str, Any]:
    """Run a command of `sgu`, whose progress goes to stderr; return what it prints as JSON."""
    say(f"$ {command}")
    words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", *words, "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"`{' '.join(words[:2])}` ended with code {done.returncode}, see above")
    return json.loads(done.stdout)


def _difference(choice: Choice, metrics: dict[str, float]) -> str:
    """Return a line if the model made again is not the study's: on another machine, say."""
    moved = [
        f"{name} {metrics[name]:.4f}, was {choice.row[name]:.4f}"
        for name in ("val_acc", "forget_acc", "retain_acc")
        if choice.row["seeds"] == 1 and abs(metrics[name] - choice.row[name]) > SAME
    ]
    return f"the model made again differs from the study's: {'; '.join(moved)}" if moved else ""
