"""The audit: complete rows, a band that holds a retrained model, a report that says where its
numbers come from, errors of one line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console
from torch import nn
from typer.testing import CliRunner

from sgu.audit import Audit, audit
from sgu.audit.figure import figure
from sgu.audit.report import write
from sgu.audit.tables import sheets, summary
from sgu.audit.terminal import show
from sgu.cli import app
from sgu.ensembles.designs import oracles
from sgu.evaluation import all_metrics
from sgu.experiment import Experiment
from sgu.metrics import ATTACKS
from sgu.models import build, save_model
from sgu.networks.references import recipe, reference
from sgu.networks.training import trained
from sgu.task import Task
from sgu.training.loop import Diverged
from sgu.unlearning import unlearn

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")
WORDS = ["--subset", "200", "--pretrain-epochs", "2", "--oracles", "2", "--shadows"]
EXPERIMENT = Experiment.of(subset=200, pretrain_epochs=2, method="finetune", epochs=1, lr=0.01)


@pytest.fixture(scope="module")
def small() -> Task:
    return EXPERIMENT.task()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def models(small: Task, cache: Path) -> dict[str, nn.Module]:
    """One unlearned, and the first of the retrained models that the band is made of."""
    original = reference(recipe("original", "small_cnn", small, 0, 2), small, cache, CPU).model
    oracle, *_ = oracles(EXPERIMENT, small, 2)
    retrained = trained(oracle, small.source, small.pipeline, CPU).model
    return {"finetune": unlearn(EXPERIMENT, small, original).model, "oracle": retrained}


@pytest.fixture(scope="module")
def run_audit(small, cache) -> Callable[..., Audit]:
    options = {"oracle_count": 2, "shadow_count": 4, "unlearned_by": {"finetune": EXPERIMENT}}
    options |= {"cache": cache, "device": CPU}
    return lambda given, **changed: audit(given, EXPERIMENT, small, **options | changed)


@pytest.fixture(scope="module")
def before(models, bits) -> dict[str, Any]:
    return {name: bits(model) for name, model in models.items()}


@pytest.fixture(scope="module")
def audited(run_audit, models, before) -> Audit:
    assert before.keys()
    return run_audit(models)


def test_every_model_has_every_row(audited, models, small):
    assert audited.notes == ["oracle: U-LiRA and KLoM left out: how it was unlearned is not known"]
    assert list(audited.models) == ["original", *models, "retrained"]
    for name, one in audited.models.items():
        shadowed = ["rmia", "lira"] + ["u_lira"] * (name == "finetune")
        assert [record.attack for record in one.attacks] == [*ATTACKS, *shadowed]
        assert {part.by for part in one.slices} == {"correct", "class", "percentile"}
        assert all(record.retain_mia_auc for record in one.attacks if record.attack in ATTACKS)
        assert set(one.bands) <= set(one.metrics) | {"relearn_steps"}
        assert ("u_lira_auc" in one.bands) == (name == "finetune")
        assert ("klom" in one.metrics) == (name in ("original", "finetune"))
        assert len(one.relearned.steps) == 3
    for name, model in models.items():
        expected, metrics = all_metrics(model, small), audited.models[name].metrics
        assert {key: metrics[key] for key in expected} == pytest.approx(expected, abs=1e-6)
    assert audited.models["original"].relearned.mean == 0
    sizes = {name: len(seeds) for name, seeds in audited.seeds.items()}
    assert sizes == {"oracles": 2, "shadow models": 4, "originals": 2}


def test_gaps_are_to_the_mean_of_the_retrained_models(audited):
    """The distance of one of two models from their mean is half of theirs from each other."""
    for name in ("finetune", "oracle"):
        one = audited.models[name]
        names = ("forget_acc", "retain_acc", "test_acc", "mia_acc")
        gaps = [abs(one.metrics[metric] - one.bands[metric].mean) for metric in names]
        assert one.metrics["avg_gap"] == pytest.approx(sum(gaps) / 4)
        assert "avg_gap" not in one.bands


def test_three_retrained_models_give_the_distances_a_band(small, cache):
    three = audit({}, EXPERIMENT, small, cache, CPU, oracle_count=3, shadow_count=0)
    for one in three.models.values():
        assert {"avg_gap", "tow"} <= one.bands.keys()
        assert one.bands["avg_gap"].mean > 0
        assert "relearn_steps" in one.bands or one.relearned.mean is None
        assert one.judgement is not None
        assert one.judgement.models == 3
        assert one.judgement.reason.startswith("20 forgotten examples; need 50")


def test_one_of_the_band_s_own_models_is_inside_it(audited):
    one = audited.models["oracle"]
    assert len(one.bands) > 15
    assert {band.side(one.metrics[name]) for name, band in one.bands.items()} == {""}


def test_rows_are_written_and_read(audited, tmp_path: Path):
    path, rows = tmp_path / "deep" / "rows.parquet", audited.rows()
    write(path, rows, {"code_version": "x", "code_dirty": None})
    read = pq.read_table(path).to_pylist()
    assert len(read) == len(rows)
    for ours, theirs in zip(rows, read, strict=True):
        assert theirs["code_version"] == "x"
        assert {name: theirs[name] for name in ours} == ours
    assert [file.name for file in path.parent.iterdir()] == ["rows.parquet"]
    for row in read:
        assert (row["value"] is None) == (row["suppressed"] is not None)
        assert (row["low"] is None) or row["low"] <= row["value"] <= row["high"]
    kinds = {(row["kind"], row["quantity"]) for row in read}
    assert {("metric", None), ("attack", "tpr_at_1"), ("relearn", "order 0")} < kinds
    assert {(part, "mean") for part in ("klom",)} < kinds


@pytest.mark.parametrize("width", [84, 130])
def test_all_of_it_is_shown(audited, width: int):
    console = Console(width=width, record=True, file=StringIO())
    show(audited, console)
    text = console.export_text()
    for word in (
        "forget_acc",
        "null band",
        "relearn_steps",
        "u_lira",
        "those who stay",
        "percentile",
    ):
        assert word in text
    assert "needs 400 or more" in text  # why a rate is suppressed
    assert "how it was unlearned is not known" in text  # why something is left out
    assert "…" not in text  # nothing is cut off
    assert max(map(len, text.splitlines())) <= width


def test_a_table_has_a_cell_for_each_column_and_the_summary_says_why_there_is_no_verdict(audited):
    for sheet in sheets(audited):
        assert {len(row) for row in sheet.rows} <= {1, len(sheet.columns)}
    first, *_ = summary(audited)["original"]
    assert first == "No verdict: 2 retrained models; need 3 or more."
    assert figure(audited) is None


@pytest.mark.usefixtures("audited")
def test_no_model_is_changed(before, models, bits, same):
    assert all(same(before[name], bits(model)) for name, model in models.items())


@pytest.mark.long
def test_what_diverges_is_named_and_the_rest_goes_on(models, run_audit, audited, small, tmp_path):
    said: list[str] = []
    wild = Experiment.of(**EXPERIMENT.settings() | {"lr": 1e30})
    fine = {"finetune": models["finetune"]}
    broken = run_audit(fine, unlearned_by={"finetune": wild}, say=said.append)
    assert "models that have relearned: 3 of 3" in said
    notes = broken.notes
    what = ["shadow models unlearned as finetune", "ensemble unlearned as finetune"]
    assert [note.split(" left out: ")[0] for note in notes] == what
    assert set(notes) < set(said)
    assert "klom" not in broken.models["finetune"].metrics
    assert broken.models["retrained"] == audited.models["retrained"]

    def run(work: Callable[..., Any], jobs: list[Any]) -> Iterator[Any]:
        for job in jobs:
            if getattr(job, "seed", None) == oracles(EXPERIMENT, small, 2)[1].seed:
                raise Diverged("loss is nan")
            yield work(job)

    fewer = audit({}, EXPERIMENT, small, tmp_path, CPU, oracle_count=2, shadow_count=0, run=run)
    assert fewer.notes[0] == "oracle 2 left out: loss is nan"
    assert fewer.notes[1].startswith("bands left out: 1 retrained model")


def test_a_model_that_has_diverged_is_an_error(small, cache):
    model = build("small_cnn", small.source.shape, 0)
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(ValueError, match="mine: its answers are NaN"):
        audit({"mine": model}, EXPERIMENT, small, cache, CPU, oracle_count=0, shadow_count=0)


def command(words: list[str], cache: Path, out: Path) -> Any:
    options = ["--jobs", "1", "--cache", str(cache), "--out", str(out)]
    return CliRunner().invoke(app, ["audit", *words, *options])


@pytest.mark.long
def test_any_checkpoint_is_audited_and_one_that_says_how_it_was_unlearned_by_u_lira(
    models, small, cache, audited, tmp_path: Path
):
    any_file, own_file = (str(tmp_path / f"{name}.safetensors") for name in ("any", "own"))
    save_model(Path(any_file), models["finetune"], {})
    save_model(Path(own_file), models["finetune"], {"settings": json.dumps(EXPERIMENT.settings())})
    result = command([any_file, own_file, *WORDS, "4", "--json"], cache, tmp_path / "out")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    ours = [row for row in shown["rows"] if row["model"] == "any"]
    metrics = {row["name"]: row["value"] for row in ours if row["kind"] == "metric"}
    attacks = {row["name"] for row in ours if row["kind"] == "attack"}
    assert attacks == {*ATTACKS, "rmia", "lira"}
    expected = all_metrics(models["finetune"], small)
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    written = Path(shown["written"]) / "rows.parquet"
    rows = pq.read_table(written).to_pylist()
    assert len(rows) == len(shown["rows"])
    assert json.loads(rows[0]["config"])["audit"]["subset"] == 200
    (value,) = (r["value"] for r in rows if r["model"] == "own" and r["name"] == "u_lira_auc")
    assert value == pytest.approx(audited.models["finetune"].metrics["u_lira_auc"], abs=1e-9)
    page = written.with_name("report.html").read_text()
    splits = small.splits
    for fact in (
        sha256(Path(own_file).read_bytes()).hexdigest(),
        splits.digest,
        rows[0]["code_version"],
        rows[0]["data_fingerprint"],
        f"{len(splits.retain)} retain, {len(splits.forget)} forget",
        *(str(oracle.seed) for oracle in oracles(EXPERIMENT, small, 2)),
        "needs 400 or more",
        f"audit {any_file} {own_file} --subset 200 --pretrain-epochs 2 --oracles 2 --shadows 4",
        '"method": "finetune"',
    ):
        assert fact in page, fact
    outside = [word for word in ("http:", "https:", "src=", "<script") if word in page]
    assert outside == []  # it needs nothing else


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("mine", ["--subset", "300"], "subset = 200"),
        ("mine", ["--subset", "200", "--forget-fraction", "0.2"], "forget_fraction = 0.1"),
        ("missing", [], "no such file"),
        ("text", [], "is no safetensors file"),
        ("foreign", [], "has no setting 'nothing'"),
        ("other", ["--subset", "200"], "holds another model than"),
        ("elsewhere", ["--subset", "200"], "is of other data (0123, these are "),
        ("others", ["--subset", "200"], "has forgotten other examples (splits 4567, now "),
        ("mine", [*WORDS, "3"], "shadows = 3: must be 0, or even and >= 4"),
        ("original", [], "name of two models"),
    ],
)
def test_what_is_wrong_is_one_line(name, words, said, models, cache, tmp_path: Path):
    settings = json.dumps(EXPERIMENT.settings())
    save_model(tmp_path / "mine.safetensors", models["finetune"], {"settings": settings})
    save_model(tmp_path / "foreign.safetensors", models["finetune"], {"settings": '{"nothing":1}'})
    save_model(tmp_path / "other.safetensors", nn.Linear(2, 2), {})
    foreign = {"elsewhere": {"data_fingerprint": "0123"}, "others": {"split_digest": "4567"}}
    for other, info in foreign.items():
        save_model(tmp_path / f"{other}.safetensors", models["finetune"], info)
    (tmp_path / "text.safetensors").write_text("no model at all")
    result = command([str(tmp_path / f"{name}.safetensors"), *words], cache, tmp_path / "out")
    assert result.exit_code == 2
    assert said in result.output
    assert result.output.count("\n") == 1
    assert not (tmp_path / "out").exists()
