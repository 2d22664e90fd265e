"""`sgu.audit`: the audit of networks of one's own, beside ones that the user's training gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from torch import nn

from sgu.api.fitting import check_network, check_task
from sgu.api.networks import Compared, Train, compared
from sgu.api.tables import WIDTH
from sgu.audit.findings import Audit
from sgu.audit.networks import Networks, Notes
from sgu.audit.report import page
from sgu.audit.running import Answer, answers_of, attacked
from sgu.audit.running import check as check_counts
from sgu.audit.terminal import show
from sgu.data.splits.splits import PARTS
from sgu.files.atomic import atomic_write
from sgu.host.provenance import code_version, versions
from sgu.task import Task

if TYPE_CHECKING:
    import pandas as pd

RESERVED = ("original", "retrained")
"""Names of the networks that are audited as a scale, and so of none of the user's."""


@dataclass(frozen=True, eq=False)
class Report:
    """The audit of networks, with a verdict on each.

    findings: every number, see `sgu.audit.findings`; facts: of which data, code and libraries;
    compared: the networks that it compares with, for another audit; None without `train`.
    """

    findings: Audit
    facts: Mapping[str, Any]
    settings: Mapping[str, Any]
    compared: Compared | None

    @property
    def verdicts(self) -> dict[str, str]:
        """Return the joint verdict on each network and its reasons, in a sentence or two."""
        without = "No verdict: there are no retrained models to compare with: give train."
        return {
            name: audited.judgement.text() if audited.judgement else without
            for name, audited in self.findings.models.items()
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row a number: model, kind, name, value, and its band, verdict and interval."""
        import pandas as pd

        return pd.DataFrame(self.findings.rows())

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, which JSON takes."""
        return {
            "verdicts": self.verdicts,
            "rows": self.findings.rows(),
            "notes": list(self.findings.notes),
            "facts": dict(self.facts),
            "settings": dict(self.settings),
        }

    def html(self, path: str | Path) -> Path:
        """Write the report as one page that needs nothing else, and return its path.

        Raises ValueError if the path is a folder.
        """
        if Path(path).is_dir():
            raise ValueError(f"{path} is a folder: name a file in it, such as report.html")
        with atomic_write(Path(path)) as unfinished:
            text = page(self.findings, self.facts, self.settings)
            unfinished.write_text(text, encoding="utf-8")
        return Path(path)

    def __str__(self) -> str:
        console = Console(file=StringIO(), width=WIDTH)
        show(self.findings, console)
        return console.file.getvalue().strip()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        said = (f"{name}: {text.partition(':')[0]}" for name, text in self.verdicts.items())
        return f"Report({', '.join(said)})"


def audit(
    models: Mapping[str, nn.Module],
    task: Task,
    *,
    train: Train | None = None,
    retrained: int = 4,
    shadows: int = 8,
    seed: int = 0,
    against: Report | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Return what attacks find of networks, and whether each is like one that never saw forget.

    models: by name; each gives logits (n, C) for a batch of what the task's data yield. They are
    read and never changed, and may be of any architecture.
    train: called as train(indices, seed), a list of indices into the task's train and a number; it
    returns a network trained on those examples in the user's own way. It trains
    2 + `retrained` + `shadows` networks: the original and the retrained control that the report
    shows beside the models, the retrained models that make the null band (>= 3 for a verdict), and
    the shadow models of RMIA and LiRA (0, or even and >= 4). Without `train`: no band, no verdict.
    seed: of the halves, and what the seeds of the trainings follow from.
    against: an earlier report on the same task, whose networks are used again, with no training.
    say: called with a line of progress.
    The verdict is `sgu.results.verdicts.judge`'s, on forget accuracy, the loss, RMIA and LiRA.
    Raises ValueError for a network that does not fit, or has diverged.
    """
    if not isinstance(models, Mapping):
        kind = type(models).__name__
        raise ValueError(f'models is a {kind}; need networks by name, such as {{"mine": model}}')
    check_task(task)
    for name, model in models.items():
        if name in RESERVED:
            raise ValueError(f"{name} is the name of a network that train gives: choose another")
        check_network(model, task, name)
    check_counts(retrained, shadows, seed, "retrained")
    notes = Notes(say)
    answers = {name: Answer(answers_of(name, model, task), None) for name, model in models.items()}
    networks = _again(against, task) if against else None
    if train and not against:
        networks = compared(task, train, retrained, shadows, seed, notes)
    if networks is None:
        notes.add("no bands and no verdict", "train was not given, so nothing was retrained")
        findings = attacked(answers, Networks(task, notes, [], None, {}, {}), notes)
    else:
        original, control = Answer(networks.original, None), Answer(networks.retrained, None)
        answers = {"original": original, **answers, "retrained": control}
        findings = attacked(answers, replace(networks.networks, notes=notes), notes)
    counts = {"retrained": retrained, "shadows": shadows, "seed": seed}
    return Report(findings, _facts(task, models), counts, networks)


def _again(report: Report, task: Task) -> Compared:
    """Return the networks of an earlier report. Raises ValueError for one on another task."""
    if report.compared is None:
        raise ValueError("against has no networks, as it was made without train: give train")
    before = report.compared.networks.task
    ids = [(t.source.fingerprint, t.splits.digest) for t in (before, task)]
    if ids[0] != ids[1]:
        raise ValueError("against is a report on another task: give train")
    return report.compared


def _facts(task: Task, models: Mapping[str, nn.Module]) -> dict[str, Any]:
    """Return where the report comes from, in words."""
    version, dirty = code_version()
    source, splits = task.source, task.splits
    kinds = dict.fromkeys(type(model).__name__ for model in models.values())
    return {
        "data": f"{source.name}, fingerprint {source.fingerprint}",
        "architecture": ", ".join(kinds),
        "inputs": task.pipeline.described(source.train.inputs),
        "examples": ", ".join(f"{len(getattr(splits, name)):,} {name}" for name in PARTS),
        "splits": f"digest {splits.digest}",
        "code": version + (" with uncommitted changes" if dirty else ""),
        "libraries": ", ".join(f"{name} {number}" for name, number in versions().items()),
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
