"""Nothing that selects reads test: a study whose test images are noise makes the same choices.

The two studies have the same train, forget, audit and val. Metrics that read test differ between
them, and everything that may select must be the same to the last bit.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from analysis import choose, load_epochs, load_study, pareto_front
from analysis.pareto import candidates, check_selectable, hypervolume, knee
from sgu.data.sources import Examples
from sgu.experiment import Experiment
from sgu.results.schema import EPOCHS, METRICS, SELECTABLE
from sgu.task import Task
from tune.spec.spec import parse_spec
from tune.study import run

TRIALS = 6  # the sampler proposes the first 4 without a look at objectives
SPEC = """
name: blind
experiment: {{data: {data}, pretrain_epochs: 6, epochs: 1, solve_every: 2, forget_fraction: 0.2}}
search:
  alpha: {{low: 0.1, high: 4.0, log: true}}
  lr: {{low: 0.005, high: 0.1, log: true}}
constraints: {{val_acc: {{at_least: 0.12}}, val_mia_acc: {{at_most: 0.1, above: retrain}}}}
oracles: 2
objectives: [val_error, val_mia_advantage]
trials: {trials}
slots: 1
"""
COSTS = {"seconds", "game_seconds", "solve_seconds", "reference_seconds", "peak_memory"}
OBJECTIVES = ("val_error", "val_mia_advantage")
READS_TEST = [name for name in METRICS if METRICS[name].reads_test]


@dataclass(frozen=True)
class Study:
    rows: pd.DataFrame
    epochs: pd.DataFrame


def table(path: Path, examples: Examples) -> None:
    """Write examples as a table of images, as hubs lay it out."""
    encoded = []
    for pixels in examples.inputs.permute(0, 2, 3, 1).numpy():
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG")
        encoded.append({"bytes": content.getvalue()})
    columns = {"img": encoded, "label": examples.targets.tolist()}
    pq.write_table(pa.table(columns), path)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory, task: Task) -> dict[str, Study]:
    """Run a study on images, and one with noise for the images of its test split."""
    folder, by_name = tmp_path_factory.mktemp("data"), {}
    spec = parse_spec(SPEC.format(data=folder, trials=TRIALS), "here")
    source = task.source
    for name in ("clean", "poisoned"):
        heldout = source.heldout
        if name == "poisoned":
            experiment = Experiment(data=str(folder), forget_fraction=0.2)
            inputs, noise = heldout.inputs.clone(), np.random.default_rng(0)
            test = experiment.task().splits.test
            drawn = noise.integers(0, 256, inputs[test].shape, dtype=np.uint8)
            inputs[test] = torch.from_numpy(drawn)
            heldout = Examples(inputs, heldout.targets)
        table(folder / "train-0.parquet", source.train)
        table(folder / "test-0.parquet", heldout)
        address = run(spec, tmp_path_factory.mktemp(name), None, lambda _: None)
        rows = load_study(address).sort_values(["trial_id", "seed"], ignore_index=True)
        epochs = load_epochs(address).sort_values(["trial_id", "seed", "epoch"], ignore_index=True)
        by_name[name] = Study(rows, epochs)
    return by_name


@pytest.mark.long
class TestAPoisonedStudy:
    def test_the_poison_is_in_test_alone(self, studies):
        clean, poisoned = (study.rows for study in studies.values())
        assert set(clean["split_digest"]) == set(poisoned["split_digest"])
        assert set(clean["data_fingerprint"]).isdisjoint(poisoned["data_fingerprint"])
        for name in ("test_acc", "mia_acc", "wasserstein"):
            assert (clean[name] != poisoned[name]).any(), name
        assert clean["test_acc"].mean() > poisoned["test_acc"].mean() + 0.05

    def test_the_same_is_proposed(self, studies):
        clean, poisoned = (study.rows for study in studies.values())
        assert (clean["status"] == "complete").all()
        assert (clean["control"] == False).sum() == TRIALS  # noqa: E712
        assert clean["trial_id"].tolist() == poisoned["trial_id"].tolist()
        assert [json.loads(text) for text in clean["config"]] == [
            json.loads(text) for text in poisoned["config"]
        ]

    def test_all_that_selects_is_the_same_to_the_bit(self, studies):
        clean, poisoned = (study.rows for study in studies.values())
        names = [name for name in SELECTABLE if name not in COSTS]
        pd.testing.assert_frame_equal(clean[names], poisoned[names], check_exact=True)

    def test_each_epoch_reports_the_same(self, studies):
        clean, poisoned = (study.epochs for study in studies.values())
        names = [name for name in EPOCHS.names if name not in COSTS]
        assert len(clean) >= TRIALS
        assert not set(READS_TEST) & set(EPOCHS.names)
        pd.testing.assert_frame_equal(clean[names], poisoned[names], check_exact=True)

    def test_the_same_front_and_the_same_choices(self, studies):
        clean, poisoned = (study.rows for study in studies.values())
        for select in (pareto_front, candidates):
            trials = [select(rows, OBJECTIVES)["trial_id"].tolist() for rows in (clean, poisoned)]
            assert trials[0] == trials[1] != []
        assert hypervolume(clean, OBJECTIVES) == hypervolume(poisoned, OBJECTIVES)
        assert knee(clean, OBJECTIVES)["trial_id"] == knee(poisoned, OBJECTIVES)["trial_id"]
        costs = {name: clean[name] for name in COSTS}  # of equals, the quicker one is chosen
        poisoned = poisoned.assign(**costs)
        for wish in ({"maximise": "val_acc"}, {"minimise": "val_mia_advantage"}):
            ours, theirs = (choose(frame, **wish, verdict="any") for frame in (clean, poisoned))
            assert ours.row["trial_id"] == theirs.row["trial_id"]
            assert ours.reported != theirs.reported


@pytest.mark.parametrize("name", READS_TEST)
def test_a_metric_that_reads_test_is_refused_everywhere(name: str):
    frame = pd.DataFrame()
    spec = SPEC.format(data="embedded", trials=4)
    uses = [
        lambda: parse_spec(spec + f"objectives: [val_error, {name}]\n", "here"),
        lambda: parse_spec(spec.replace("val_acc:", f"{name}:"), "here"),
        lambda: check_selectable(["val_error", name]),  # as `sgu-report` does
        lambda: choose(frame, minimise=name),
        lambda: choose(frame, minimise="val_error", where={name: "<= 1"}),
    ]
    for use in uses:
        with pytest.raises(ValueError, match=f"{name}.*reads the test split"):
            use()
