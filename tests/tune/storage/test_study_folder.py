"""A study deletes nothing but what it has written, and mixes with nobody's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tune.spec.errors import SpecError
from tune.spec.spec import Spec
from tune.storage import lock
from tune.storage.study_folder import WRITTEN, StudyFolder

SPEC = Spec.model_validate({"name": "mini"})


def written(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("content")


@pytest.mark.parametrize(
    "files",
    [
        ["notes.txt", "photos/a.jpg"],
        ["spec.yaml"],  # another program's
        ["trials/patient-1.csv", ".hidden", "epochs/x"],
        ["train/cat/1.png", "test/cat/1.png"],  # a data set of the study's name
    ],
)
def test_a_folder_that_is_no_study_is_refused_and_left_as_it_is(tmp_path, files):
    written(tmp_path / "mini", *files)
    with pytest.raises(SpecError, match=r"holds no study but .* other things .*another folder"):
        StudyFolder(str(tmp_path), "mini").check()
    assert {str(p.relative_to(tmp_path / "mini")) for p in (tmp_path / "mini").rglob("*.*")} >= {
        file for file in files if "." in file
    }


@pytest.mark.parametrize("content", ["[" * 3000, "a: [", "\x00", "- mini", "name: other"])
def test_a_file_that_names_no_study_makes_none(tmp_path, content):
    written(tmp_path / "mini", "spec.yaml")
    (tmp_path / "mini" / "spec.yaml").write_text(content)
    with pytest.raises(SpecError, match="holds no study"):
        StudyFolder(str(tmp_path), "mini").check()


def test_what_a_lock_or_a_cut_off_write_left_is_nobodys(tmp_path):
    written(tmp_path / "mini", lock.NAME, "_host-1-2_spec.yaml")
    StudyFolder(str(tmp_path), "mini").check()


@pytest.mark.parametrize("place", ["local", "s3"])
def test_of_a_study_only_what_it_wrote_is_deleted(tmp_path, request, place):
    root = str(tmp_path) if place == "local" else request.getfixturevalue("bucket")("results")
    folder = StudyFolder(root, "mini")
    folder.keep(SPEC)
    theirs = ["notes.txt", "photos/a.jpg", "trials.csv"]
    ours = [name if "." in name else f"{name}/0.parquet" for name in WRITTEN]
    for name in (*theirs, *ours):
        folder.files.inside(name).write(b"content")
    folder.check()
    folder.clear()
    assert folder.begun
    assert all(folder.files.inside(name).read() for name in theirs)
    assert not any(folder.files.inside(name).read() for name in ours)


def test_studies_take_no_name_of_another_command():
    for name in ("cache", "audit", "compare"):
        with pytest.raises(ValueError, match="choose another name"):
            Spec.model_validate({"name": name})
