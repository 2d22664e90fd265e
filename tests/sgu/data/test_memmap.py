"""Sets larger than memory: the same examples on disk, loaded in bounded memory."""

import math
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from sgu.data import decode, memmap
from sgu.data.examples import Examples
from sgu.data.pipeline import Pipeline
from sgu.data.sources import Source, load_source
from sgu.data.splits.splits import random_splits
from sgu.files.errors import DataError
from sgu.models import build
from sgu.training.loop import Optimisation, train


def write(path: Path, images: list[bytes], labels: list[int], rows_a_group: int = 7) -> None:
    table = pa.table({"image": pa.array(images, pa.binary()), "label": pa.array(labels)})
    plain = {"use_dictionary": False, "compression": "none"}
    pq.write_table(table, path, row_group_size=rows_a_group, write_batch_size=64, **plain)


def noise(seed: int, side: int, file_format: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = pa.BufferOutputStream()
    Image.fromarray(pixels).save(buffer, file_format)
    return buffer.getvalue().to_pybytes()


def write_part(path: Path, seed: int, first_label: int = 0) -> None:
    labels = [(first_label + row) % 4 for row in range(40)]
    write(path, [noise(seed + row, 16) for row in range(40)], labels)


@pytest.fixture
def data(tmp_path, monkeypatch) -> str:
    monkeypatch.setenv("SGU_DATA", str(tmp_path / "root"))
    (tmp_path / "tables").mkdir()
    write_part(tmp_path / "tables" / "train-0.parquet", 0)
    write_part(tmp_path / "tables" / "test-0.parquet", 100)
    return str(tmp_path / "tables")


def load(data: str, monkeypatch, limit: int) -> Source:
    monkeypatch.setenv("SGU_MEMORY_LIMIT", str(limit))
    return load_source(data)


@pytest.fixture
def pair(data, monkeypatch) -> tuple[Source, Source]:
    """The source in memory and on disk."""
    size = 80 * 3 * 16 * 16
    return load(data, monkeypatch, size), load(data, monkeypatch, size - 1)


def test_the_limit_decides_and_the_examples_are_the_same(pair):
    resident, mapped = pair
    assert resident.train.file is resident.heldout.file is None
    assert mapped.train.file
    assert mapped.heldout.file
    assert torch.equal(mapped.train.inputs, resident.train.inputs)
    assert torch.equal(mapped.heldout.inputs, resident.heldout.inputs)
    assert torch.equal(mapped.train.targets, resident.train.targets)
    assert mapped.fingerprint == resident.fingerprint


def test_at_gives_the_examples_at_indices_of_either(pair):
    indices = torch.tensor([39, 0, 7, 7])
    for source in pair:
        inputs, targets = source.train.at(indices, "cpu")
        assert torch.equal(inputs, pair[0].train.inputs[indices])
        assert targets.tolist() == [3, 0, 3, 3]


def test_a_mapped_set_stays_on_disk_and_travels_as_its_path(pair):
    mapped = pair[1].train
    assert mapped.to(torch.device("meta")) is mapped
    sent = pickle.dumps(mapped)
    assert len(sent) < len(mapped) * 8 + 2000 < mapped.inputs.nbytes  # targets and a path
    assert torch.equal(pickle.loads(sent).inputs, mapped.inputs)
    resident = pickle.loads(pickle.dumps(pair[0].train))
    assert torch.equal(resident.inputs, mapped.inputs)
    assert resident.file is None


def test_a_path_that_leads_nowhere_or_to_a_torn_file_is_named(pair):
    file = pair[1].train.file
    sent = pickle.dumps(pair[1].train)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(
        DataError, match=r"inputs\.npy: no decoded inputs .*: load the source again"
    ):
        pickle.loads(sent)
    file.unlink()
    with pytest.raises(
        DataError, match=r"inputs\.npy: no decoded inputs .*: load the source again"
    ):
        pickle.loads(sent)


def test_a_changed_table_is_noticed_and_an_unchanged_one_is_not_decoded_again(
    data, monkeypatch, pair
):
    first, opened = pair[1], []
    pixels = decode.pixels
    monkeypatch.setattr(decode, "pixels", lambda *a: opened.append(a) or pixels(*a))
    assert load(data, monkeypatch, 0).train.file == first.train.file
    assert len(opened) == 1  # the first image, for its shape
    path = Path(data) / "train-0.parquet"
    times, size = path.stat(), path.stat().st_size
    write_part(path, 0, first_label=1)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # the time of the file is put back
    assert path.stat().st_size == size
    changed = load(data, monkeypatch, 0)
    assert changed.train.targets.tolist()[:4] == [1, 2, 3, 0]
    assert changed.fingerprint != first.fingerprint
    assert len(opened) == 2 + 40  # the held-out table was left alone


def test_a_failure_in_the_middle_leaves_nothing(data, monkeypatch, tmp_path):
    path = Path(data) / "train-0.parquet"
    table = pq.read_table(path)
    images = table["image"].to_pylist()
    write(path, [*images[:30], b"torn", *images[31:]], table["label"].to_pylist())
    with pytest.raises(DataError, match=r"train-0\.parquet, row 30: no image of a known format"):
        load(data, monkeypatch, 0)
    assert list((tmp_path / "root" / "decoded").iterdir()) == []
    write(path, images, table["label"].to_pylist())
    assert load(data, monkeypatch, 0).train.file


def test_two_threads_that_write_the_same_set_end_with_one(data, monkeypatch, tmp_path):
    barrier, sources = threading.Barrier(2), []
    make = memmap._temporary

    def together(*arguments):
        barrier.wait(10)  # both have seen that the set is missing
        return make(*arguments)

    monkeypatch.setenv("SGU_MEMORY_LIMIT", "0")
    monkeypatch.setattr(memmap, "_temporary", together)
    threads = [threading.Thread(target=lambda: sources.append(load_source(data))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sources) == 2
    assert sources[0].train.file == sources[1].train.file
    assert len(list((tmp_path / "root" / "decoded").iterdir())) == 2  # train and held-out


def test_a_full_or_closed_disk_and_a_limit_that_is_no_number_are_named(data, monkeypatch, tmp_path):
    usage = type("usage", (), {"free": 1000})
    with monkeypatch.context() as patched:
        patched.setattr(memmap.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(DataError, match="takes 30,720 bytes, 1,000 are free: point SGU_DATA"):
            load(data, monkeypatch, 0)
    (tmp_path / "root" / "decoded").rmdir()
    (tmp_path / "root" / "decoded").write_bytes(b"")
    with pytest.raises(DataError, match=r"decoded: the decoded set cannot be written \(.*SGU_DATA"):
        load(data, monkeypatch, 0)
    monkeypatch.setenv("SGU_MEMORY_LIMIT", "4 GB")
    with pytest.raises(DataError, match="SGU_MEMORY_LIMIT is '4 GB'; need a whole number of bytes"):
        load_source(data)


def test_what_is_taken_from_a_mapped_set_is_mapped_if_it_is_too_large(pair, monkeypatch):
    resident, mapped = (source.train for source in pair)
    indices = torch.tensor([5, 3, 39, 3])
    monkeypatch.setenv("SGU_MEMORY_LIMIT", str(4 * 768))
    assert mapped.take(indices).file is None
    monkeypatch.setenv("SGU_MEMORY_LIMIT", str(4 * 768 - 1))
    for taken in (mapped.take(indices), mapped.take(indices)):
        assert taken.file
        assert taken.file != mapped.file
        assert torch.equal(taken.inputs, resident.take(indices).inputs)
        assert torch.equal(taken.targets, resident.take(indices).targets)


def test_a_subset_is_the_same_of_either(data, monkeypatch):
    prints = set()
    for limit in (10**9, 0):
        monkeypatch.setenv("SGU_MEMORY_LIMIT", str(limit))
        prints.add(load_source(data, 20).fingerprint)
    assert len(prints) == 1


MEASURE = """
import os, sys
from sgu.data.sources import load_source
def peak():  # not resource.getrusage, which includes the parent's memory before the start
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
prints, size = set(), int(sys.argv[2])
for limit in (size - 1, size):  # on disk, then in memory
    os.environ["SGU_MEMORY_LIMIT"] = str(limit)
    before = peak()
    prints.add(load_source(sys.argv[1]).fingerprint)
    print(peak() - before)
assert len(prints) == 1
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads /proc of Linux")
@pytest.mark.long
def test_memory_is_bounded_while_a_large_set_is_loaded(tmp_path):
    images = [noise(seed, 128, "BMP") for seed in range(2)]  # as large encoded as decoded
    for part, labels in (("train", [0, 1] * 1500), ("test", [1, 0] * 500)):
        encoded = [images[label] for label in labels]
        write(tmp_path / f"{part}-0.parquet", encoded, labels, rows_a_group=3000)
    size = 4000 * 3 * 128 * 128
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), str(size)],
        env={**os.environ, "SGU_DATA": str(tmp_path / "root"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    mapped, resident = map(int, done.stdout.split())
    assert mapped < size / 4  # 30 MB; a row group read whole would take 147 MB
    assert resident > 0.9 * size  # the measure sees the 197 MB of a set in memory


def test_the_limit_is_half_of_what_the_machine_has_left(monkeypatch):
    monkeypatch.delenv("SGU_MEMORY_LIMIT", raising=False)
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < memmap.memory_limit() <= whole / 2
    container = {"/sys/fs/cgroup/memory.max": "3000\n", "/sys/fs/cgroup/memory.current": "1000\n"}
    monkeypatch.setattr(memmap, "_text", lambda path: container.get(path, ""))
    assert memmap.memory_limit() == 1000


def test_a_set_larger_than_the_machine_is_mapped(tmp_path):
    """The file is sparse: it takes no space on disk."""
    side = math.isqrt(2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with open(tmp_path / memmap.INPUTS, "wb") as file:
        np.lib.format.write_array_header_1_0(file, memmap._header((1, 1, side, side), np.uint8))
        file.truncate(file.tell() + side**2)
    np.save(tmp_path / memmap.TARGETS, np.array([3]))
    examples = Examples.mapped(tmp_path / memmap.INPUTS)
    assert examples.inputs[0, 0, -1, -1] == 0
    assert examples.targets.tolist() == [3]


def test_training_on_disk_gives_the_bits_of_training_in_memory(pair):
    weights = []
    for source in pair:
        model = build("small_cnn", source.shape, seed=0)
        retain = random_splits(source, fraction=0.1, seed=0).retain
        pipeline = Pipeline.of(source.train.inputs)
        optimisation = Optimisation(epochs=2, lr=0.1, batch_size=8, augment=True)
        train(model, source.train, retain, pipeline, optimisation, seed=0)
        weights.append(model.state_dict())
    start = build("small_cnn", pair[0].shape, seed=0).state_dict()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in start)
    assert not all(torch.equal(weights[0][name], start[name]) for name in start)


def test_a_user_without_a_home_is_told_what_to_name(monkeypatch):
    monkeypatch.delenv("SGU_DATA", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as of an unknown user
    with pytest.raises(DataError, match="name a folder for data in SGU_DATA"):
        memmap.data_folder()
