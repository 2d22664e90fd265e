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
from sgu.audit.findings import BAND, Audit
from sgu.audit.tables import GROUPS, every_metric, sheets, summary
from sgu.ensembles.processes import Trainings
from sgu.evaluation import context
from sgu.files.atomic import atomic_write
from sgu.host.provenance import Started
from sgu.results.rows import Row
from sgu.results.schema import AUDITED
from sgu.task import Task
from sgu.training.inference import default_device

COLUMNS: dict[str, pa.DataType] = {
    **dict.fromkeys(("model", "kind", "name", "quantity", "verdict", "suppressed"), pa.string()),
    **dict.fromkeys(("value", "low", "high", *(f"band_{end}" for end in BAND)), pa.float64()),
    **dict.fromkeys(("band_models", "members", "heldout"), pa.int64()),
}
SPLITS = ("retain", "forget", "audit", "val", "test")


def written(out: Path, found: Audit, asked: Files, task: Task, known: Row, command: str) -> Path:
    """The folder of an audit, named by what was asked: other files, settings or code are another.

    known: its `provenance`; command: what repeats it.
    """
    whole = [*asked.digests().values(), known["config"], known["code_version"]]
    first = asked.paths[0].stem if asked.paths else "standard"
    folder = out / f"{first}-{sha256(' '.join(map(str, whole)).encode()).hexdigest()[:6]}"
    write(folder / "rows.parquet", found.rows(), known)
    with atomic_write(folder / "report.html") as path:
        path.write_text(page(found, asked, task, known, command), encoding="utf-8")
    return folder


def provenance(
    asked: Files, task: Task, begin: Started, how: Trainings, oracles: int, shadows: int
) -> Row:
    """As of a result row. threads: of a training; config: the settings of the audit, of the
    networks it compares with, and of each method known."""
    found = context(asked.experiment.settings(), task) | begin.provenance(default_device())
    found["architecture"] = found.pop("model")  # a row's model is the one audited
    del found["suppressed"]  # each of an audit's rows has its own
    told = {name: own.settings() for name, own in asked.unlearned_by().items()}
    networks = {"oracles": oracles, "shadows": shadows, "jobs": how.jobs, "threads": how.threads}
    config: Row = {"audit": asked.settings(), "networks": networks, "unlearned_by": told}
    config["threads"] = torch.get_num_threads()  # of all that is no training
    found["threads"] = how.threads
    if asked.splits:
        found |= {"scenario": "stated", "requests": len(task.splits.requests)}
    as_text = {"versions": found["versions"], "config": config}
    return found | {name: json.dumps(value, sort_keys=True) for name, value in as_text.items()}


def write(path: Path, rows: list[Row], known: Row) -> None:
    """Rows of an audit as Parquet, each with the same provenance, plain values."""
    table = pa.Table.from_pylist(rows, pa.schema(list(COLUMNS.items())))
    for name, value in known.items():
        table = table.append_column(name, pa.array([value] * len(rows)))
    with atomic_write(path) as unfinished:
        pq.write_table(table, unfinished)


def page(found: Audit, asked: Files, task: Task, known: Row, command: str) -> str:
    """The report, as HTML."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return made.get_template("report.html.j2").render(
        title=", ".join(name for name in found.models if name not in ("original", "retrained")),
        when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        summary=summary(found),
        figure=figure(found),
        sheets=sheets(found),
        every=every_metric(found),
        suppressed=found.suppressed(),
        notes=found.notes,
        terms={name: AUDITED[name].meaning for names in GROUPS.values() for name in names},
        facts=facts(asked, task, known),
        seeds=found.seeds,
        told=json.loads(known["config"]),
        command=command,
    )


def facts(asked: Files, task: Task, known: Row) -> Mapping[str, Any]:
    """Provenance in words."""
    versions, config = (json.loads(known[name]) for name in ("versions", "config"))
    networks = config["networks"]
    sizes = ", ".join(f"{len(getattr(task.splits, split)):,} {split}" for split in SPLITS)
    dirty = {True: " with uncommitted changes", False: "", None: ""}[known["code_dirty"]]
    return {
        **{f"file {path}": f"SHA-256 {digest}" for path, digest in asked.digests().items()},
        "architecture": known["architecture"],
        "data": f"{known['dataset']}, fingerprint {known['data_fingerprint']}",
        "examples": sizes,
        "who was forgotten": f"{_told(asked)}, {known['requests']} request(s), "
        f"{100 * known['forget_fraction']:.1f} % of train",
        "splits": f"digest {known['split_digest']}"
        + ("" if asked.splits else ", a pure function of data, scenario and seed"),
        "compared with": f"{networks['oracles']} oracles, {networks['shadows']} shadow models",
        "seed": asked.experiment.seed,
        "code": f"{known['code_version']}{dirty}",
        "libraries": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "machine": f"{known['device']}, host {known['host']}",
        "threads": f"{known['threads']} for a network trained, {networks['jobs'] or 'many'} at a "
        f"time; {config['threads']} for all else",
        "took": f"{known['wall_seconds']:.0f} s, what the cache had not counted",
    }


def _told(asked: Files) -> str:
    """Who was forgotten, and who says so."""
    if asked.splits:
        return f"as {asked.splits} states"
    untold = ", ".join(asked.untold())
    trust = f" (taken from the options, as the file does not say: {untold})" if untold else ""
    return f"scenario {asked.experiment.scenario}{trust}"
