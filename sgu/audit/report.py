"""An audit on disk: rows.parquet, and report.html, one page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sgu.audit.figure import figure
from sgu.audit.files import Files
from sgu.audit.findings import BAND, Audit, Audited
from sgu.audit.tables import ALONE, GROUPS, every_metric, sheets, summary
from sgu.ensembles.processes import Trainings
from sgu.evaluation import context
from sgu.files.atomic import atomic_write
from sgu.host.provenance import Started
from sgu.models import Preprocessing
from sgu.results.rows import Row
from sgu.results.schema import AUDITED
from sgu.task import Task
from sgu.training.inference import default_device

COLUMNS: dict[str, pa.DataType] = {
    **dict.fromkeys(("model", "kind", "name", "quantity", "verdict", "suppressed"), pa.string()),
    **dict.fromkeys(("value", "low", "high", *(f"band_{end}" for end in BAND)), pa.float64()),
    **dict.fromkeys(("band_models", "members", "heldout"), pa.int64()),
}
HEAD = ("who was forgotten", "splits", "data", "compared with", "code")
"""Facts in the page's head, beside the files' digests; the others follow the findings."""

SPLITS = ("retain", "forget", "audit", "val", "test")


def written(
    out: Path, audit: Audit, files: Files, task: Task, provenance: Row, command: str
) -> Path:
    """Write an audit into a folder named by its files, settings and code version, and return it.

    command: what repeats it.
    """
    columns = ("config", "code_version", "data_fingerprint", "split_digest")
    whole = [*files.digests().values(), *(provenance[name] for name in columns)]
    first = files.paths[0].stem if files.paths else "standard"
    folder = out / f"{first}-{sha256(' '.join(map(str, whole)).encode()).hexdigest()[:6]}"
    write(folder / "rows.parquet", audit.rows(), provenance)
    with atomic_write(folder / "report.html") as path:
        stated, settings = facts(files, task, provenance), json.loads(provenance["config"])
        path.write_text(page(audit, stated, settings, command), encoding="utf-8")
    return folder


def provenance(
    files: Files, task: Task, begin: Started, how: Trainings, oracles: int, shadows: int
) -> Row:
    """Return the provenance of a result row. threads: of a training; config: the settings of the
    audit, of the networks it compares with, and of each method known."""
    row = context(files.experiment.settings(), task) | begin.provenance(default_device())
    row["architecture"] = row.pop("model")  # a row's model is the one audited
    del row["suppressed"]  # each of an audit's rows has its own
    known = {name: unlearned.settings() for name, unlearned in files.unlearned_by().items()}
    networks = {"oracles": oracles, "shadows": shadows, "jobs": how.jobs, "threads": how.threads}
    config: Row = {"audit": files.settings(), "networks": networks, "unlearned_by": known}
    config["threads"] = torch.get_num_threads()  # of all that is no training
    row["threads"] = how.threads
    if files.stated:
        row |= {"scenario": "stated", "requests": len(task.splits.requests)}
    as_text = {"versions": row["versions"], "config": config}
    return row | {name: json.dumps(value, sort_keys=True) for name, value in as_text.items()}


def write(path: Path, rows: list[Row], provenance: Row) -> None:
    """Write an audit's rows as Parquet, each with the same provenance, plain values."""
    table = pa.Table.from_pylist(rows, pa.schema(list(COLUMNS.items())))
    for name, value in provenance.items():
        table = table.append_column(name, pa.array([value] * len(rows)))
    with atomic_write(path) as unfinished:
        pq.write_table(table, unfinished)


def page(
    audit: Audit, facts: Mapping[str, Any], settings: Mapping[str, Any], command: str = ""
) -> str:
    """Return the report, as HTML. facts: where it comes from, in words; `data` and `architecture`
    among them; command: what repeats it, if a command does."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return templates.get_template("report.html.j2").render(
        title=", ".join(name for name in audit.models if name not in ALONE),
        when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        claims=claims(audit),
        summary=summary(audit),
        figure=figure(audit),
        sheets=sheets(audit),
        every=every_metric(audit),
        suppressed=audit.suppressed(),
        notes=audit.notes,
        terms={name: AUDITED[name].meaning for names in GROUPS.values() for name in names},
        facts=facts,
        seeds=audit.seeds,
        head=HEAD,
        settings=settings,
        command=command,
    )


def claims(audit: Audit) -> list[str]:
    """Return what is certified of each audited model: like retrained or not, or why nothing is."""
    return [
        f"{name} {_claim(findings)}" for name, findings in audit.models.items() if name not in ALONE
    ]


def _claim(findings: Audited) -> str:
    judged = findings.judgement
    if judged is None:
        return "was compared with no retrained models, so nothing is claimed of it."
    if judged.verdict is None or judged.joint is None:
        return f"has no verdict: {judged.reason}."
    words = {"like retrained": "is", "undecided": "is not shown to be"}
    value, low, high = judged.joint.per_cent()
    why = {"remembers": "it remembers", "over-forgotten": "it has been made to forget too much"}
    reason = f": {why[judged.verdict]}" if judged.verdict in why else ""
    advice = f" {judged.joint.advice}" if judged.joint.advice else ""
    return (
        f"{words.get(judged.verdict, 'is not')} like retrained within ±{100 * judged.margin:.0f} %"
        f"{reason}. Its residual memory is {value} % ({low} to {high}); {judged.models} retrained "
        f"models see {100 * judged.sees:.0f} % or more.{advice}{_cost(findings)}"
    )


def _cost(findings: Audited) -> str:
    """Return what the model's accuracy on test is, beside the retrained models'."""
    band = findings.bands.get("test_acc")
    if band is None:
        return ""
    own, retrained = (f"{100 * acc:.1f} %" for acc in (findings.metrics["test_acc"], band.mean))
    return f" It is right on {own} of test, retrained models on {retrained}."


def facts(files: Files, task: Task, row: Row) -> Mapping[str, Any]:
    """Return the provenance in words."""
    versions, config = (json.loads(row[name]) for name in ("versions", "config"))
    networks = config["networks"]
    sizes = ", ".join(f"{len(getattr(task.splits, split)):,} {split}" for split in SPLITS)
    return {
        **{f"file {Path(path).name}": f"SHA-256 {sha}" for path, sha in files.digests().items()},
        "architecture": row["architecture"],
        **{f"inputs of {name}": words for name, words in files.fed().items()},
        "inputs of the others": str(Preprocessing()),
        "data": f"{row['dataset']}, fingerprint {row['data_fingerprint']}",
        "examples": sizes,
        "who was forgotten": f"{_forgotten(files, task)}, {row['requests']} request(s), "
        f"{100 * row['forget_fraction']:.1f} % of train",
        "splits": f"digest {row['split_digest']}"
        + ("" if files.stated else ", a pure function of data, scenario and seed"),
        "compared with": f"{networks['oracles']} oracles, {networks['shadows']} shadow models",
        "seed": files.experiment.seed,
        "code": row["code_version"] + (" with uncommitted changes" if row["code_dirty"] else ""),
        "libraries": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "machine": f"{row['device']}, host {row['host']}",
        "threads": f"{row['threads']} for a network trained, {networks['jobs'] or 'many'} at a "
        f"time; {config['threads']} for all else",
        "took": f"{row['wall_seconds']:.0f} s, what the cache had not counted",
    }


def _forgotten(files: Files, task: Task) -> str:
    """Return who was forgotten, and who says so."""
    if files.stated:
        return f"as {files.stated} states"
    classes = files.experiment.forgetting().of(task.source)
    scenario = f"scenario {files.experiment.scenario}" + (f", {classes}" if classes else "")
    names = ", ".join(files.undocumented())
    if not names:
        return scenario
    return f"{scenario} (taken from the options, as the file does not say: {names})"
