"""CIFAR and SVHN in their real formats, made small; the md5 sums of the small files are patched in,
so that torchvision's own check stays in force."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from torchvision.datasets import CIFAR10, CIFAR100, SVHN

from sgu.data.sources import load_source
from sgu.files.errors import DataError

NOWHERE = "http://127.0.0.1:9"  # refuses at once
NAMES = [f"class {i}" for i in range(10)]


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def put(path: Path, data: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.md5(data).hexdigest()


def batch(count: int, seed: int, labels: str = "labels", classes: int = 10) -> bytes:
    targets = [index % classes for index in range(count)]
    return pickle.dumps({"data": images(count, seed).reshape(count, -1), labels: targets})


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SGU_DATA", str(tmp_path / "root"))
    for cifar in (CIFAR10, CIFAR100):
        monkeypatch.setattr(cifar, "url", f"{NOWHERE}/{cifar.filename}")
    return tmp_path / "root"


@pytest.fixture
def cifar10_files(root, monkeypatch) -> Path:
    """The folder of five batches of 10 images and a test batch of 10, seeds 1 to 6."""
    folder = root / CIFAR10.base_folder
    sums = [[n, put(folder / n, batch(10, i))] for i, (n, _) in enumerate(CIFAR10.train_list, 1)]
    monkeypatch.setattr(CIFAR10, "train_list", sums)
    monkeypatch.setattr(
        CIFAR10, "test_list", [["test_batch", put(folder / "test_batch", batch(10, 6))]]
    )
    meta = put(folder / "batches.meta", pickle.dumps({"label_names": NAMES}))
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": meta})
    return folder


@pytest.fixture
def archive(cifar10_files, monkeypatch) -> bytes:
    """The archive of the files; the files themselves are deleted."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(cifar10_files, CIFAR10.base_folder)
    for file in cifar10_files.iterdir():
        file.unlink()
    cifar10_files.rmdir()
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(buffer.getvalue()).hexdigest())
    return buffer.getvalue()


def check_cifar10() -> None:
    source = load_source("cifar10")
    whole = np.concatenate([images(10, seed) for seed in range(1, 6)])
    assert np.array_equal(source.train.inputs.numpy(), whole)
    assert np.array_equal(source.heldout.inputs.numpy(), images(10, 6))
    assert source.train.targets.tolist() == list(range(10)) * 5
    assert source.classes == tuple(NAMES)


@pytest.mark.usefixtures("cifar10_files")
def test_cifar10_gives_what_its_batches_hold():
    check_cifar10()


def test_cifar100_has_the_fine_classes(root, monkeypatch):
    folder, names = root / CIFAR100.base_folder, [f"fine {i}" for i in range(100)]
    sums = {
        n: put(folder / n, batch(100, s, "fine_labels", 100))
        for n, s in (("train", 1), ("test", 2))
    }
    meta = put(folder / "meta", pickle.dumps({"fine_label_names": names}))
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": meta})
    source = load_source("cifar100")
    assert np.array_equal(source.heldout.inputs.numpy(), images(100, 2))
    assert (source.num_classes, source.classes[99]) == (100, "fine 99")
    assert source.train.targets.tolist() == list(range(100))


def svhn_file(path: Path, count: int, seed: int) -> str:
    """Write a file as published: X (32, 32, 3, N), y (N, 1), 10 for the digit 0."""
    buffer = io.BytesIO()
    digits = np.arange(count)[:, None] % 10 + 1
    scipy.io.savemat(buffer, {"X": images(count, seed).transpose(2, 3, 1, 0), "y": digits})
    return put(path, buffer.getvalue())


@pytest.fixture
def svhn_files(root, monkeypatch) -> Path:
    parts = {
        part: [f"{NOWHERE}/{name}", name, svhn_file(root / name, 20, seed)]
        for seed, (part, name) in enumerate(
            (("train", "train_32x32.mat"), ("test", "test_32x32.mat"))
        )
    }
    monkeypatch.setattr(SVHN, "split_list", {**SVHN.split_list, **parts})
    return root


@pytest.mark.usefixtures("svhn_files")
def test_svhn_gives_what_its_matrices_hold():
    source = load_source("svhn")
    assert np.array_equal(source.train.inputs.numpy(), images(20, 0))
    assert np.array_equal(source.heldout.inputs.numpy(), images(20, 1))
    assert source.train.targets.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0] * 2
    assert source.train.targets.dtype == torch.int64


def test_a_damaged_file_is_named_and_not_unpickled(cifar10_files):
    path = cifar10_files / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1])
    (cifar10_files / "test_batch").unlink()
    message = (
        r"cifar10: .*data_batch_3 is damaged, .*test_batch is missing in .*download failed.*: "
        r"put cifar-10-python\.tar\.gz or .* there, set SGU_DATA .* --data"
    )
    with pytest.raises(DataError, match=message):
        load_source("cifar10")


def test_offline_without_the_files_is_one_error_that_leaves_nothing(svhn_files):
    (svhn_files / "test_32x32.mat").unlink()
    with pytest.raises(DataError, match=r"svhn: test_32x32\.mat is missing in .*refused"):
        load_source("svhn")
    assert [path.name for path in svhn_files.iterdir()] == ["train_32x32.mat"]


def test_the_archive_in_the_root_is_enough(root, archive):
    (root / CIFAR10.filename).write_bytes(archive)
    check_cifar10()


def test_a_download_replaces_a_damaged_archive_and_the_next_try_needs_none(
    root, archive, served, monkeypatch
):
    folder, url = served
    (root / CIFAR10.filename).write_bytes(archive[:-9])
    put(folder / CIFAR10.filename, archive[:-5])  # cut short: it is noticed, and tried again
    monkeypatch.setattr(CIFAR10, "url", f"{url}/{CIFAR10.filename}")
    with pytest.raises(DataError, match="download failed"):
        load_source("cifar10")
    assert [path.name for path in root.iterdir()] == [CIFAR10.filename]
    assert (root / CIFAR10.filename).read_bytes() == archive[:-9]  # left as the user put it
    put(folder / CIFAR10.filename, archive)
    check_cifar10()
    monkeypatch.setattr(CIFAR10, "url", f"{NOWHERE}/{CIFAR10.filename}")
    check_cifar10()


def test_a_root_that_cannot_be_made_is_one_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SGU_DATA", str(tmp_path / "file" / "below"))
    with pytest.raises(DataError, match=r"svhn: .* is missing in .*, and the download failed"):
        load_source("svhn")
