"""Image folders: a directory for each class; errors name the unfit file."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sgu.data.sources import load_source
from sgu.files.errors import DataError


def pixels(seed: int, side: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of classes cat and dog: images 0..3 for training, 4..7 held out."""
    for seed in reversed(range(8)):
        part, name = ("train", "test")[seed // 4], ("cat", "dog")[seed // 2 % 2]
        path = tmp_path / part / name / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(seed)).save(path)
    return tmp_path


def fails(folder: Path, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_source(str(folder))


def test_images_come_by_class_and_name(folder):
    (folder / "train" / "cat" / ".hidden").write_bytes(b"")
    source = load_source(str(folder))
    images = np.stack([pixels(seed) for seed in range(4)])
    assert np.array_equal(source.train.inputs.permute(0, 2, 3, 1).numpy(), images)
    assert source.train.targets.tolist() == source.heldout.targets.tolist() == [0, 0, 1, 1]
    assert (source.classes, source.name) == (("cat", "dog"), folder.name)


@pytest.mark.parametrize("name", ["val", "validation"])
def test_the_held_out_part_may_be_a_validation(folder, name):
    inputs = load_source(str(folder)).heldout.inputs
    (folder / "test").rename(folder / name)
    assert torch.equal(load_source(str(folder)).heldout.inputs, inputs)
    (folder / name).rename(folder / "other")
    fails(folder, "has none of test, val, validation: add one as test.CLASS.FILE")


def test_a_corrupt_image_is_named(folder):
    whole = (folder / "train" / "dog" / "3.png").read_bytes()
    (folder / "train" / "dog" / "3.png").write_bytes(whole[: len(whole) // 2])
    fails(folder, r"train/dog/3\.png: corrupt image")


def test_an_image_of_another_size_is_named(folder):
    Image.fromarray(pixels(0, 5)).save(folder / "test" / "cat" / "5.png")
    fails(folder, r"test/cat/5\.png: image \(C, H, W\) \(3, 5, 5\) among \(3, 4, 4\): resize")


@pytest.mark.parametrize(("part", "other"), [("train", "test"), ("test", "train")])
def test_a_class_of_one_part_only_is_named(folder, part, other):
    (folder / part / "emu").mkdir()
    Image.fromarray(pixels(9)).save(folder / part / "emu" / "9.png")
    fails(folder, rf"{part}/emu: a class that .*{other} lacks")


def test_an_empty_class_and_empty_folders_are_named(folder, tmp_path):
    for file in (folder / "test" / "dog").iterdir():
        file.unlink()
    fails(folder, "test/dog: no image of this class")
    bare = tmp_path / "bare"
    (bare / "train").mkdir(parents=True)
    (bare / "test").mkdir()
    fails(bare, "train: empty; need one directory of images for each class")
    (bare / "train").rmdir()
    fails(bare, r"bare: no train-\*\.parquet.*train/CLASS/FILE")


def test_what_is_no_image_is_named(folder):
    (folder / "train" / "readme.txt").write_text("")
    fails(folder, r"train/readme\.txt: is no directory of a class")
    (folder / "train" / "readme.txt").rename(folder / "train" / "cat" / "readme.txt")
    fails(folder, r"train/cat/readme\.txt: no image by its name")


def test_a_file_that_is_there_twice_is_named(folder):
    os.link(folder / "train" / "cat" / "0.png", folder / "test" / "cat" / "z.png")
    fails(folder, r"test/cat/z\.png: the same file as .*train/cat/0\.png")


def test_a_link_to_nothing_is_named(folder):
    (folder / "test" / "dog" / "lost.png").symlink_to(folder / "nothing.png")
    fails(folder, r"test/dog/lost\.png: cannot be reached")
