"""A study goes on only with the data that it was begun on, told by their content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from sgu.experiment import Experiment
from sgu.models import build, save_model
from tune.checks import check_same_data
from tune.cli import app
from tune.prepare import StudyTask
from tune.spec.errors import SpecError
from tune.spec.spec import Spec
from tune.storage.study_folder import StudyFolder, rows_of

SPEC = Spec.model_validate({"name": "mini", "experiment": {"data": "embedded"}})


@pytest.fixture
def begun(tmp_path, task, trial_row) -> Any:
    """Return a function that checks a study with one row of the task, but for these columns."""

    def check(base: Experiment = Experiment(), **columns: Any) -> None:  # noqa: B008 - frozen
        folder = StudyFolder(str(tmp_path), "mini")
        same = {"data_fingerprint": task.source.fingerprint, "split_digest": task.splits.digest}
        folder.store.trial(trial_row("0000", same | columns))
        tasks = [StudyTask("embedded", base, task)]
        check_same_data(folder, SPEC, tasks, rows_of(folder.address))

    return check


def test_a_study_on_the_same_data_goes_on(begun):
    begun()
    begun(data_fingerprint=None)
    begun(cell="another/sg", data_fingerprint="f" * 16)  # another data set of the study
    begun(seed=7, split_digest="f" * 16)  # another seed has other splits


@pytest.mark.parametrize(
    ("column", "what"), [("data_fingerprint", "other data"), ("split_digest", "other splits")]
)
@pytest.mark.parametrize("cell", ["embedded/sg", "embedded"])
def test_other_data_and_other_splits_are_refused(begun, column, what, cell):
    with pytest.raises(SpecError, match=f"was begun on {what} .*ffff, now .*: give the study anot"):
        begun(**{column: "f" * 16, "cell": cell})


def test_another_original_under_the_same_name_is_refused(begun, task, tmp_path):
    file = tmp_path / "mine.safetensors"
    save_model(file, build("small_cnn", task.source.shape, 0), {})
    base = Experiment(original=str(file))
    digest = base.recipe("original", task).digest
    begun(base, original_digest=digest)
    begun(base, original_digest="f" * 16, method="retrain")  # a retrained model has its own
    save_model(file, build("small_cnn", task.source.shape, 1), {})
    with pytest.raises(SpecError, match=r"was begun on other original .*mine.safetensors \("):
        begun(base, original_digest=digest)


def folder_of_images(root: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    for part in ("train", "test"):
        for name in "ab":
            place = root / "shapes" / part / name
            place.mkdir(parents=True, exist_ok=True)
            for i in range(10):
                Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(place / f"{i}.png")
    return root / "shapes"


@pytest.mark.parametrize("command", ["run", "resume"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_changed_data_are_refused_before_ray_starts(
    tmp_path, trial_row, monkeypatch, command, elsewhere
):
    """The folder's images are other ones, or a relative path leads to another folder."""
    data, other = folder_of_images(tmp_path, 0), folder_of_images(tmp_path / "elsewhere", 1)
    settings = {"data": "shapes" if elsewhere else str(data), "pretrain_epochs": 1}
    spec = {"name": "mini", "experiment": settings, "trials": 2}
    (tmp_path / "mini.yaml").write_text(yaml.safe_dump(spec))
    monkeypatch.chdir(tmp_path)
    folder = StudyFolder(str(tmp_path / "results"), "mini")
    folder.keep(Spec.model_validate(spec))
    row = trial_row("0000", {"cell": "shapes/sg", "data_fingerprint": "0" * 16})
    folder.store.trial(row)
    monkeypatch.chdir(other.parent if elsewhere else tmp_path)
    before = folder.files.inside("spec.yaml").read()
    words = [str(tmp_path / "mini.yaml"), "--set", "trials=3"] if command == "run" else ["mini"]
    words += ["--results", str(tmp_path / "results")]
    result = CliRunner().invoke(app, [command, *words])
    assert result.exit_code == 2, result.output
    assert "was begun on other data" in result.stderr or "another study" in result.stderr
    assert result.stderr.count("\n") == 1
    assert folder.files.inside("spec.yaml").read() == before
