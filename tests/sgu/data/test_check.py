"""All faults of a folder in one go, and the folders that are read though they have no test part."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from sgu.cli import app
from sgu.data.check import check_folder
from sgu.data.sources import load_source
from sgu.experiment import Experiment
from sgu.files.errors import DataError

SIDE = 8


def save(path: Path, seed: int, side: int = SIDE, width: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (side, width or side, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images of a cat and of a dog for training, four of each held out."""
    numbers = iter(range(100))
    for part, count in (("train", 6), ("test", 4)):
        for name in ("cat", "dog"):
            for i in range(count):
                save(tmp_path / "photos" / part / name / f"{i}.png", next(numbers))
    return tmp_path / "photos"


def test_a_good_folder_has_no_fault_and_a_picture(folder):
    checked = check_folder(str(folder))
    assert (checked.faults, checked.notes) == ([], [])
    assert checked.counts == {"train": {"cat": 6, "dog": 6}, "test": {"cat": 4, "dog": 4}}
    assert (checked.sizes, checked.channels) == ({(SIDE, SIDE): 20}, {"colour": 20})
    sheet = np.asarray(checked.sheet())  # the second line begins with the first dog
    first = np.asarray(Image.open(folder / "train" / "dog" / "0.png").resize((64, 64), 2))
    assert np.array_equal(sheet[70 : 70 + 64, 120 : 120 + 64], first)


def test_all_faults_are_told_at_once(folder):
    train, test = folder / "train", folder / "test"
    (train / "cat" / "0.png").write_bytes((train / "cat" / "1.png").read_bytes()[:90])
    (test / "dog" / "0.png").write_bytes(b"nothing of the kind")
    (train / "dog" / "list.txt").write_text("")
    (train / "dog" / "Thumbs.db").write_bytes(b"")  # no fault: Windows writes it
    (test / "cat" / ".DS_Store").write_bytes(b"")  # nor this: macOS does
    save(train / "dog" / "2019.png" / "0.png", 52)
    (train / "notes.txt").write_text("")
    (test / "emu").mkdir()
    save(train / "owl" / "0.png", 50)
    save(train / "cat" / "wide.png", 51, width=2 * SIDE)
    Image.open(train / "cat" / "2.png").convert("L").save(train / "cat" / "2.png")
    shutil.copy(train / "dog" / "1.png", test / "dog" / "again.png")
    shutil.copy(train / "dog" / "2.png", train / "cat" / "other.png")
    checked = check_folder(str(folder))
    for wanted in (
        "train/cat/0.png: corrupt image",
        "test/dog/0.png: no image of a known format",
        "train/dog/list.txt: no image by its name",
        "train/dog/2019.png: a folder in a class, which is not read",
        "train/notes.txt: is no directory of a class",
        "test/emu: no image of this class",
        "test/emu: a class that",
        "train/owl: a class that",
        "train, class owl: 1 of 5 images needed",
        f"2 sizes of images: resize all to one, or say {folder}@64",
    ):
        assert any(wanted in fault for fault in checked.faults), wanted
    assert len(checked.faults) == 10
    for wanted in (
        f"2 times across train and test: {train}/dog/1.png = {test}/dog/again.png",
        f"2 times within train, as cat and as dog: {train}/cat/other.png = {train}/dog/2.png",
        "grey images among coloured ones, which count as coloured: 1",
    ):
        assert any(wanted in note for note in checked.notes), wanted
    resized = check_folder(f"{folder}@4")
    assert len(resized.faults) == 9  # all but the sizes


def test_the_command_prints_all_and_ends_with_2(folder, tmp_path):
    words = ["data", "check", str(folder), "--out", str(tmp_path)]
    good = CliRunner().invoke(app, words)
    assert good.exit_code == 0, good.output
    assert "faults: none" in good.output
    (folder / "test" / "dog" / "0.png").write_bytes(b"")
    bad = CliRunner().invoke(app, [*words, "--json"])
    assert bad.exit_code == 2
    found: dict[str, Any] = json.loads(bad.stdout)
    assert found["counts"]["test"] == {"cat": 4, "dog": 3}
    assert "test/dog/0.png: no image of a known format" in found["faults"][0]
    assert Path(found["samples"]).is_file()
    assert "give a folder" in CliRunner().invoke(app, ["data", "check", "embedded"]).output


def test_a_share_is_held_out_where_there_is_no_test_part(folder):
    whole = load_source(str(folder)).train
    shutil.rmtree(folder / "test")
    flat = folder.with_name("flat")
    shutil.copytree(folder / "train", flat)
    (flat / "forget.csv").write_text("path\n")  # beside the classes: no class
    for place in (folder, flat):
        source = load_source(str(place), holdout=0.5)
        assert source.train.targets.tolist() == source.heldout.targets.tolist() == [0] * 3 + [1] * 3
        assert {*source.train.names, *source.heldout.names} == set(whole.names)
        for part in (source.train, source.heldout):
            for name, inputs in zip(part.names, part.inputs, strict=True):
                assert torch.equal(inputs, whole.inputs[whole.names.index(name)])
        again = load_source(str(place), holdout=0.5)
        assert again.fingerprint == source.fingerprint
        with pytest.raises(DataError, match=r"--holdout 0\.2"):
            load_source(str(place))
        with pytest.raises(DataError, match=r"holdout = 0\.01: .* too few for shares"):
            load_source(str(place), holdout=0.01)
    assert "too few to be held out" in check_folder(str(flat), 0.2).faults[0]


def test_held_out_images_are_not_forgotten(folder, tmp_path):
    shutil.rmtree(folder / "test")
    listed, settings = tmp_path / "forget.txt", {"data": str(folder), "holdout": 0.5}
    heldout = load_source(str(folder), holdout=0.5).heldout.names[0]
    listed.write_text(f"train/{heldout}")
    with pytest.raises(ValueError, match="is held out, nobody was trained on it"):
        Experiment(**settings, forget=str(listed)).task()


def test_what_has_a_test_part_takes_no_holdout(folder):
    for data in (str(folder), "embedded"):
        with pytest.raises(DataError, match=r"leave (it|them) out"):
            load_source(data, holdout=0.2)
    with pytest.raises(ValueError, match=r"holdout = 1.0: must be between 0 and 1"):
        Experiment(holdout=1)


def test_unreadable_images_are_left_out_and_named(folder, tmp_path, monkeypatch):
    broken = folder / "train" / "cat" / "3.png"
    broken.write_bytes(b"nothing")
    (folder / "test" / "dog" / "list.txt").write_text("")
    (folder / "test" / "dog" / "2019").mkdir()
    names = [f"{label}/{i}.png" for label in ("cat", "dog") for i in range(6)]
    names.remove("cat/3.png")
    for limit in ("1000000", "1"):  # in memory, and on disk
        monkeypatch.setenv("SGU_MEMORY_LIMIT", limit)
        monkeypatch.setenv("SGU_DATA", str(tmp_path))
        with pytest.warns(UserWarning, match="left out") as told:
            source = load_source(str(folder), skip_corrupt=True)
        texts = " ".join(str(warning.message) for warning in told)
        assert f"left out 1 of 12 images: {broken}: no image of a known format" in texts
        for left_out in ("list.txt: no image by its name", "2019: a folder in a class"):
            assert f"left out {folder}/test/dog/{left_out}" in texts
        assert list(source.train.names) == names
        assert len(source.train) == 11
        assert source.train.targets.tolist() == [0] * 5 + [1] * 6
